// The least that a feed could do: read the socket without sleeping, find the
// WebSocket frame's end, copy its payload into a ring in shared memory.
// usage: baseline PORT RING CPU
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SLOTS = 1024, SLOT = 256, HEAD = 4096 };

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(atoi(argv[3]), &set);
  sched_setaffinity(0, sizeof set, &set);
  int file = open(argv[2], O_RDWR);
  if (file < 0) return perror("ring"), 1;
  unsigned char *mem = mmap(0, HEAD + SLOTS * SLOT, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (mem == MAP_FAILED) return perror("mmap"), 1;
  _Atomic uint64_t *head = (_Atomic uint64_t *)mem;

  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  if (s < 0 || connect(s, (struct sockaddr *)&to, sizeof to) < 0) return perror("connect"), 1;
  setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(s, F_SETFL, O_NONBLOCK);

  static unsigned char buf[1 << 16];
  size_t have = 0;
  for (;;) {
    ssize_t n = recv(s, buf + have, sizeof buf - have, 0);
    if (n == 0) return 0;
    if (n < 0) continue;
    have += n;
    size_t at = 0;
    while (have - at >= 2) {
      size_t len = buf[at + 1] & 127, from = 2;
      if (len == 126) {
        if (have - at < 4) break;
        len = (size_t)buf[at + 2] << 8 | buf[at + 3], from = 4;
      }
      if (have - at < from + len) break;
      uint64_t h = atomic_load_explicit(head, memory_order_relaxed);
      memcpy(mem + HEAD + h % SLOTS * SLOT, buf + at + from, len < SLOT ? len : SLOT);
      atomic_store_explicit(head, h + 1, memory_order_release);
      at += from + len;
    }
    memmove(buf, buf + at, have - at);
    have -= at;
  }
}
