/* The floor of the fan-out benchmark: what the kernel alone costs. A loop over epoll
 * that answers every handshake with the same bytes, then, for each tick that standard
 * input brings, frames the messages once and writes them to every socket with one
 * send(2). It checks nothing, queues nothing, and a reader that is behind holds up all
 * the others.
 *
 * Standard input: u32 number of messages, then for each u32 length and the bytes,
 * little-endian. End of input ends the program. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_CONNS = 65536, FRAMES = 1 << 20 };

static int conns[MAX_CONNS], nconns;
static unsigned char frames[FRAMES];

/* The answer to the one key that the benchmark's clients send (RFC 6455, 1.3). */
static const char answer[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* Reads all of n bytes; 0 at the end of input. */
static int take(void *p, size_t n) {
    for (size_t got = 0; got < n;) {
        ssize_t r = read(0, (char *)p + got, n - got);
        if (r < 0 && errno == EINTR) continue;
        if (r < 0) die("floor: read ticks");
        if (r == 0) return 0;
        got += (size_t)r;
    }
    return 1;
}

static void send_all(int fd, const unsigned char *p, size_t n) {
    while (n > 0) {
        ssize_t r = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (r < 0 && errno == EAGAIN) {
            struct pollfd w = {.fd = fd, .events = POLLOUT};
            poll(&w, 1, -1);
            continue;
        }
        if (r < 0) return; /* gone: its reader misses what it asked to miss */
        p += r;
        n -= (size_t)r;
    }
}

static int tick(void) {
    uint32_t count, len;
    size_t at = 0;
    if (!take(&count, 4)) return 0;
    while (count-- > 0) {
        if (!take(&len, 4)) return 0;
        if (len > 0xffff || at + len + 4 > FRAMES) die("floor: tick too big");
        frames[at++] = 0x81;
        if (len < 126) {
            frames[at++] = (unsigned char)len;
        } else {
            frames[at++] = 126;
            frames[at++] = (unsigned char)(len >> 8);
            frames[at++] = (unsigned char)len;
        }
        if (!take(frames + at, len)) return 0;
        at += len;
    }
    for (int i = 0; i < nconns; i++) send_all(conns[i], frames, at);
    return 1;
}

static void welcome(int ep, int listener) {
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), on = 1;
    if (fd < 0 || nconns == MAX_CONNS) return;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev)) die("floor: epoll_ctl");
}

/* A socket is readable: its handshake, or its end. */
static void heard(int ep, int fd) {
    char buf[4096];
    ssize_t r = recv(fd, buf, sizeof buf, 0);
    if (r > 0 && memmem(buf, (size_t)r, "\r\n\r\n", 4)) {
        send_all(fd, (const unsigned char *)answer, sizeof answer - 1);
        conns[nconns++] = fd;
    }
    if (r > 0 || (r < 0 && errno == EAGAIN)) return;
    epoll_ctl(ep, EPOLL_CTL_DEL, fd, NULL);
    for (int i = 0; i < nconns; i++)
        if (conns[i] == fd) conns[i] = conns[--nconns];
    close(fd);
}

int main(void) {
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int l = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), ep = epoll_create1(EPOLL_CLOEXEC);
    if (l < 0 || bind(l, (struct sockaddr *)&a, len) || listen(l, 4096) || getsockname(l, (struct sockaddr *)&a, &len))
        die("floor: listen");
    printf("listen 127.0.0.1:%d\n", ntohs(a.sin_port));
    fflush(stdout);
    struct epoll_event in = {.events = EPOLLIN, .data.fd = 0}, ln = {.events = EPOLLIN, .data.fd = l}, ev[256];
    if (epoll_ctl(ep, EPOLL_CTL_ADD, 0, &in) || epoll_ctl(ep, EPOLL_CTL_ADD, l, &ln)) die("floor: epoll_ctl");
    for (;;) {
        int n = epoll_wait(ep, ev, 256, -1);
        for (int i = 0; i < n; i++) {
            if (ev[i].data.fd == 0) {
                if (!tick()) return 0;
            } else if (ev[i].data.fd == l) {
                welcome(ep, l);
            } else {
                heard(ep, ev[i].data.fd);
            }
        }
    }
}
