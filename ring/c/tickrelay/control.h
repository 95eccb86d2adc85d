/* The control socket: one JSON line each way, descriptors beside the answer
 * (SCM_RIGHTS, unix(7)). The connection is the lease: the rings go when it
 * closes.
 *
 *   → {"op":"attach","strategy":"alpha","topics":["binance.>"],"capacity":65536,"wake":"eventfd","version":1}
 *   ← {"op":"attached","relay":"r","dir":"…","table":true,"eventfd":true,"rings":[{"name":"…"},…]}
 *   → {"op":"subscribe","topics":[…]}   ← {"op":"subscribed","topics":[…],"rings":[…]}
 *   ← {"op":"error","code":"…","message":"…"}
 *
 * Descriptors come in this order: table, the one to wake by, .data and .ctl of
 * each ring that is new. */
#ifndef TICKRELAY_CONTROL_H
#define TICKRELAY_CONTROL_H

#include <sys/socket.h>
#include <sys/un.h>

#include "json.h"
#include "layout.h"

#define TR_MAX_LINE (64 * 1024)
#define TR_MAX_RINGS 126
#define TR_MAX_FDS 256
#ifndef TR_ANSWER_WITHIN_S
#define TR_ANSWER_WITHIN_S 10 /* the relay may have to make the rings first */
#endif

typedef struct tr_answer {
    char op[16], code[24], message[440];
    char relay[32], dir[256];
    bool table, by_fd;
    unsigned n_rings;
    char ring[TR_MAX_RINGS][64];
    char *topics; /* blank-separated, NULL: the answer had none; to be freed */
    int fds[TR_MAX_FDS];
    unsigned n_fds, taken; /* fds before taken have another owner */
    bool late;   /* nothing of it came in time: it still comes, before any other */
    bool broken; /* it came in part, or makes no sense: nor would what comes after it */
} tr_answer;

static inline void tr_answer_free(tr_answer *a) {
    while (a->taken < a->n_fds) close(a->fds[a->taken++]);
    free(a->topics);
    a->topics = NULL;
}

/* tr_answer_take hands out the next descriptor, −1 if there is none. */
static inline int tr_answer_take(tr_answer *a) { return a->taken < a->n_fds ? a->fds[a->taken++] : -1; }

static inline void tr_answer_rings(tr_json_in *j, tr_answer *a) {
    char key[32];
    tr_json_need(j, '[');
    for (bool first = true; !j->bad && !tr_json_next(j, ']'); first = false) {
        bool first_key = true;
        if (!first) tr_json_need(j, ',');
        tr_json_need(j, '{');
        if (a->n_rings >= TR_MAX_RINGS) j->bad = true;
        while (!j->bad && tr_json_key(j, &first_key, key, sizeof key)) {
            if (!strcmp(key, "name"))
                tr_json_get_string(j, a->ring[a->n_rings], sizeof a->ring[0]);
            else
                tr_json_skip(j, 0);
        }
        a->n_rings++;
    }
}

static inline void tr_answer_topics(tr_json_in *j, tr_answer *a) {
    size_t room = (size_t)(j->end - j->p) + 1, len = 0; /* the text is never longer than its JSON */
    free(a->topics);
    a->topics = (char *)calloc(1, room);
    if (!a->topics) j->bad = true;
    tr_json_need(j, '[');
    for (bool first = true; !j->bad && !tr_json_next(j, ']'); first = false) {
        if (!first) tr_json_need(j, ',');
        if (len) a->topics[len++] = ' ';
        tr_json_get_string(j, a->topics + len, room - len);
        len += strlen(a->topics + len);
    }
}

/* tr_answer_parse reads one line; false if it is no answer. */
static inline bool tr_answer_parse(tr_answer *a, const char *line, size_t len) {
    tr_json_in j = {line, line + len, false};
    bool first = true;
    char key[32];
    tr_json_need(&j, '{');
    while (!j.bad && tr_json_key(&j, &first, key, sizeof key)) {
        if (!strcmp(key, "op")) tr_json_get_string(&j, a->op, sizeof a->op);
        else if (!strcmp(key, "code")) tr_json_get_string(&j, a->code, sizeof a->code);
        else if (!strcmp(key, "message")) tr_json_get_string(&j, a->message, sizeof a->message);
        else if (!strcmp(key, "relay")) tr_json_get_string(&j, a->relay, sizeof a->relay);
        else if (!strcmp(key, "dir")) tr_json_get_string(&j, a->dir, sizeof a->dir);
        else if (!strcmp(key, "table")) a->table = tr_json_get_bool(&j);
        else if (!strcmp(key, "eventfd")) a->by_fd = tr_json_get_bool(&j);
        else if (!strcmp(key, "rings")) tr_answer_rings(&j, a);
        else if (!strcmp(key, "topics")) tr_answer_topics(&j, a);
        else tr_json_skip(&j, 0);
    }
    tr_json_space(&j);
    return !j.bad && j.p == j.end;
}

/* tr_answer_fds keeps the descriptors of one control message. */
static inline bool tr_answer_fds(tr_answer *a, struct msghdr *msg) {
    bool all = !(msg->msg_flags & MSG_CTRUNC);
    for (struct cmsghdr *m = CMSG_FIRSTHDR(msg); m; m = CMSG_NXTHDR(msg, m)) {
        size_t n;
        if (m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_RIGHTS) continue;
        n = (m->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(m) + i * sizeof fd, sizeof fd);
            if (a->n_fds < TR_MAX_FDS) {
                a->fds[a->n_fds++] = fd;
            } else {
                close(fd);
                all = false;
            }
        }
    }
    return all;
}

/* tr_receive reads one answer and its descriptors. tr_answer_free it in any case. */
static inline int tr_receive(int conn, tr_answer *a, tr_error *err) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * TR_MAX_FDS)];
    } control;
    size_t len = 0;
    int rc = TR_OK;
    char *buf = (char *)malloc(TR_MAX_LINE), *end = NULL;
    memset(a, 0, sizeof *a);
    if (!buf) return tr_fail(err, TR_E_SYSTEM, "out of memory");
    while (rc == TR_OK && !end) {
        struct iovec iov;
        struct msghdr msg;
        ssize_t n;
        memset(&msg, 0, sizeof msg);
        memset(&control, 0, sizeof control);
        iov.iov_base = buf + len;
        iov.iov_len = TR_MAX_LINE - len;
        msg.msg_iov = &iov;
        msg.msg_iovlen = 1;
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof control.bytes;
        n = recvmsg(conn, &msg, MSG_CMSG_CLOEXEC);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            a->late = errno == EAGAIN && len == 0 && a->n_fds == 0;
            rc = errno == EAGAIN ? tr_fail(err, TR_E_SYSTEM, "the relay did not answer within %d s", TR_ANSWER_WITHIN_S)
                                 : tr_fail_errno(err, "read", "the relay's answer");
        } else if (!tr_answer_fds(a, &msg)) {
            rc = tr_fail(err, TR_E_SYSTEM, "not all descriptors of the relay's answer arrived; raise the limit of open files (ulimit -n)");
        } else if (n == 0 || iov.iov_len == (size_t)n) {
            rc = tr_fail(err, n ? TR_E_FORMAT : TR_E_NO_RELAY, n ? "the relay's answer is longer than %d bytes" : "the relay hung up", TR_MAX_LINE);
        } else {
            end = (char *)memchr(buf + len, '\n', (size_t)n);
            len += (size_t)n;
        }
    }
    if (rc == TR_OK && !tr_answer_parse(a, buf, (size_t)(end - buf)))
        rc = tr_fail(err, TR_E_FORMAT, "the relay's answer is not understood: %.200s", buf);
    free(buf);
    return rc;
}

/* tr_refusal turns an error answer into a code and a text. */
static inline int tr_refusal(const tr_answer *a, tr_error *err) {
    static const struct {
        const char *name;
        int code;
    } codes[] = {{"bad_topic", TR_E_TOPIC}, {"denied", TR_E_DENIED}, {"busy", TR_E_BUSY},
                 {"bad_request", TR_E_ARGUMENT}, {"bad_version", TR_E_FORMAT}};
    int code = TR_E_REFUSED;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        if (!strcmp(codes[i].name, a->code)) code = codes[i].code;
    return tr_fail(err, code, "the relay refused (%s): %s", a->code, a->message);
}

/* tr_hear reads the answer to a request, which must be of op want. */
static inline int tr_hear(int conn, const char *want, tr_answer *a, tr_error *err) {
    int rc = tr_receive(conn, a, err);
    if (rc == TR_OK && !strcmp(a->op, "error")) return tr_refusal(a, err);
    if (rc == TR_OK && (strcmp(a->op, want) || a->n_fds != 2 * a->n_rings + a->table + a->by_fd))
        rc = tr_fail(err, TR_E_FORMAT, "the relay answered \"%s\" with %u descriptors for %u rings", a->op, a->n_fds, a->n_rings);
    a->broken = rc != TR_OK && !a->late;
    return rc;
}

/* tr_ask sends a line and hears the answer. */
static inline int tr_ask(int conn, const char *line, size_t len, const char *want, tr_answer *a, tr_error *err) {
    const size_t all = len;
    memset(a, 0, sizeof *a);
    while (len > 0) {
        ssize_t n = send(conn, line, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EPIPE) break; /* it may have said why before it hung up */
        if (n < 0) {
            a->broken = len < all;
            return tr_fail_errno(err, "write to", "the relay's control socket");
        }
        line += n;
        len -= (size_t)n;
    }
    return tr_hear(conn, want, a, err);
}

/* tr_json_topics writes blank-separated patterns as a list; returns how many. */
static inline unsigned tr_json_topics(tr_json_out *o, const char *topics) {
    unsigned n = 0;
    tr_json_text(o, "[");
    while (*topics) {
        size_t len = strcspn(topics, " \t\n,");
        if (len > 0) {
            if (n++) tr_json_text(o, ",");
            tr_json_string(o, topics, len);
        }
        topics += len + (topics[len] != 0);
    }
    tr_json_text(o, "]");
    return n;
}

/* tr_connect connects to a control socket, with time limits. */
static inline int tr_connect(const char *path, tr_error *err) {
    struct sockaddr_un addr;
    struct timeval limit = {TR_ANSWER_WITHIN_S, 0};
    int fd;
    memset(&addr, 0, sizeof addr);
    addr.sun_family = AF_UNIX;
    if (strlen(path) >= sizeof addr.sun_path) return tr_fail(err, TR_E_ARGUMENT, "socket path longer than 107 bytes: %.120s", path);
    strcpy(addr.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return tr_fail_errno(err, "socket for", path);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    while (connect(fd, (struct sockaddr *)&addr, sizeof addr)) {
        if (errno == EINTR) continue;
        tr_fail_errno(err, "connect to", path);
        close(fd);
        return err ? err->code : TR_E_SYSTEM;
    }
    return fd;
}

/* tr_there writes a path of at most size − 1 bytes; does something exist there? */
static inline bool tr_there(char *path, size_t size, const char *fmt, ...) TR_PRINTF(3, 4);
static inline bool tr_there(char *path, size_t size, const char *fmt, ...) {
    va_list ap;
    int n;
    va_start(ap, fmt);
    n = vsnprintf(path, size, fmt, ap);
    va_end(ap);
    return n >= 0 && (size_t)n < size && !access(path, F_OK);
}

/* tr_find_socket is where a relay listens: a path if the name has a slash, else
 * the first of its usual places where a socket is. */
static inline void tr_find_socket(const char *relay, char *path, size_t size) {
    const char *run = getenv("XDG_RUNTIME_DIR");
    if (strchr(relay, '/')) {
        tr_there(path, size, "%s", relay);
        return;
    }
    if (tr_there(path, size, "/run/tickrelay/%s.sock", relay)) return;
    if (run && *run) {
        if (tr_there(path, size, "%s/tickrelay/%s.sock", run, relay)) return;
    } else if (tr_there(path, size, "/run/user/%u/tickrelay/%s.sock", (unsigned)geteuid(), relay)) {
        return;
    }
    tr_there(path, size, "/dev/shm/tickrelay/%s/attach.sock", relay);
}

#endif
