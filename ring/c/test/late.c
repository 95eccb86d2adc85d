/* A relay that answers late, and its client: an answer that was not waited for
 * is not taken for the next one, and is taken up. Compile with
 * TR_ANSWER_WITHIN_S 1. Prints ok. */
#include "tickrelay.h"

#include <sys/wait.h>

static void answer(int conn, const char *line) {
    if (send(conn, line, strlen(line), MSG_NOSIGNAL) != (ssize_t)strlen(line)) _exit(3);
}

static void hear(int conn, const char *part) {
    char buf[4096];
    ssize_t n = recv(conn, buf, sizeof buf - 1, 0);
    if (n <= 0) _exit(4);
    buf[n] = 0;
    if (!strstr(buf, part)) _exit(5);
}

/* relay answers late: when the client has given up, which it says in the pipe. */
static void relay(int listener, int pipe) {
    char b;
    int conn = accept(listener, NULL, NULL);
    hear(conn, "attach");
    answer(conn, "{\"op\":\"attached\",\"dir\":\"/nowhere\",\"rings\":[]}\n");
    hear(conn, "one");
    if (read(pipe, &b, 1) != 1) _exit(7);
    answer(conn, "{\"op\":\"subscribed\",\"topics\":[\"first\",\"one\"],\"rings\":[]}\n");
    hear(conn, "two");
    answer(conn, "{\"op\":\"error\",\"code\":\"bad_topic\",\"message\":\"two\"}\n");
    hear(conn, "three");
    if (read(pipe, &b, 1) != 1) _exit(7);
    answer(conn, "{\"op\":\"subscribed\",\"topics\":[\"first\",\"one\",\"three\"],\"rings\":[]}\n");
    hear(conn, "four");
    answer(conn, "{\"op\":\"subscr");
    hear(conn, "never"); /* the client hangs up */
}

static int fail(const char *what, const tr_client *c) {
    printf("%s: %s, topics %s\n", what, tr_message(c), c->topics);
    return 1;
}

int main(int argc, char **argv) {
    struct sockaddr_un addr;
    tr_record r;
    tr_error err;
    tr_client *c;
    int status, gave_up[2], listener = socket(AF_UNIX, SOCK_STREAM, 0);
    pid_t child;
    if (argc != 2) return 2;
    memset(&addr, 0, sizeof addr);
    addr.sun_family = AF_UNIX;
    snprintf(addr.sun_path, sizeof addr.sun_path, "%s", argv[1]);
    if (bind(listener, (struct sockaddr *)&addr, sizeof addr) || listen(listener, 1) || pipe(gave_up)) return 2;
    child = fork();
    if (child == 0) {
        relay(listener, gave_up[0]);
        _exit(6);
    }
    c = tr_attach(argv[1], "late", "first", &err);
    if (!c) {
        printf("attach: %s\n", err.text);
        return 1;
    }
    if (tr_subscribe(c, "one") != TR_E_SYSTEM || strcmp(c->topics, "first")) return fail("the first answer is late", c);
    if (write(gave_up[1], "", 1) != 1) return 2;
    if (tr_subscribe(c, "two") != TR_E_TOPIC || strcmp(c->topics, "first one")) return fail("the second is its own", c);
    if (tr_subscribe(c, "three") != TR_E_SYSTEM || !c->owed) return fail("the third is late", c);
    if (write(gave_up[1], "", 1) != 1) return 2;
    for (int i = 0; i < 10000 && c->owed; i++) {
        if (tr_poll(c, &r, 1) != 0) return fail("nothing to read", c);
        usleep(1000);
    }
    if (c->owed || strcmp(c->topics, "first one three")) return fail("the third is taken up", c);
    if (tr_subscribe(c, "four") != TR_E_SYSTEM || !c->hung_up) return fail("the fourth comes in part", c);
    if (tr_subscribe(c, "five") != TR_E_NO_RELAY) return fail("nothing is asked on that connection any more", c);
    if (waitpid(child, &status, 0) != child || !WIFEXITED(status) || WEXITSTATUS(status) != 4) return fail("the relay saw us hang up", c);
    tr_detach(c);
    printf("ok\n");
    return 0;
}
