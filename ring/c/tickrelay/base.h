/* Errors, clock and small things that all parts share. */
#ifndef TICKRELAY_BASE_H
#define TICKRELAY_BASE_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "record.h"

typedef struct tr_record tr_record;

/* What functions return below 0. The text that goes with it says what to do. */
enum tr_code {
    TR_OK = 0,
    TR_E_ARGUMENT = -1,    /* the caller asked for something impossible */
    TR_E_NO_RELAY = -2,    /* nothing listens there, or no such ring */
    TR_E_DENIED = -3,      /* no permission */
    TR_E_TOPIC = -4,       /* a pattern that does not parse, or a topic nobody serves */
    TR_E_REFUSED = -5,     /* the relay said no */
    TR_E_BUSY = -6,        /* the ring has a reader already, or the relay no lease left */
    TR_E_FORMAT = -7,      /* another version, or no ring at all */
    TR_E_GONE = -8,        /* the relay ended and everything was read */
    TR_E_CORRUPT = -9,     /* indices out of range: the ring is not usable */
    TR_E_SYSTEM = -10,     /* a system call failed */
    TR_E_UNSUPPORTED = -11 /* the relay or the kernel does not have it */
};

typedef struct tr_error {
    int code;       /* enum tr_code */
    char text[500]; /* for people, one line, "" if code is 0 */
} tr_error;

/* Channels of topics; a gap or heartbeat record has its channel in side. */
enum tr_channel {
    TR_CH_ALL = 0, TR_CH_TRADES = 1, TR_CH_BOOK = 2, TR_CH_BBO = 3, TR_CH_TICKER = 4,
    TR_CH_FUNDING = 5, TR_CH_OPEN_INTEREST = 6, TR_CH_LIQUIDATIONS = 7, TR_CH_STATUS = 8,
    TR_CH_SIGNALS = 9, TR_CH_CANDLES_1S = 10, TR_CH_CANDLES_1M = 11, TR_CH_RAW = 12
};

/* Reasons of gaps, in level. */
enum tr_gap_reason {
    TR_GAP_SEQUENCE = 1, TR_GAP_CHECKSUM = 2, TR_GAP_DISCONNECT = 3,
    TR_GAP_OVERRUN = 4, TR_GAP_RANGE = 5, TR_GAP_VENUE = 6
};

#if defined(__GNUC__)
#define TR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define TR_LIKELY(x) __builtin_expect(!!(x), 1)
#else
#define TR_PRINTF(fmt, args)
#define TR_LIKELY(x) (x)
#endif

/* tr_fail fills err, if there is one, and returns code. */
static inline int tr_fail(tr_error *err, int code, const char *fmt, ...) TR_PRINTF(3, 4);
static inline int tr_fail(tr_error *err, int code, const char *fmt, ...) {
    if (err) {
        va_list ap;
        va_start(ap, fmt);
        err->code = code;
        vsnprintf(err->text, sizeof err->text, fmt, ap);
        va_end(ap);
    }
    return code;
}

/* tr_fail_errno is tr_fail for a failed call on something named: "open /x: …". */
static inline int tr_fail_errno(tr_error *err, const char *call, const char *what) {
    int e = errno, code = TR_E_SYSTEM;
    const char *hint = "";
    if (e == ENOENT || e == ECONNREFUSED || e == ENOTDIR) {
        code = TR_E_NO_RELAY;
        hint = "; is the relay running? (tickrelay ring ls)";
    } else if (e == EACCES || e == EPERM) {
        code = TR_E_DENIED;
        hint = "; run as the relay's user or join the group that it is configured with";
    } else if (e == EMFILE || e == ENFILE) {
        hint = "; raise the limit of open files (ulimit -n)";
    }
    return tr_fail(err, code, "%s %s: %s%s", call, what, strerror(e), hint);
}

static inline int64_t tr_clock(clockid_t id) {
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* tr_now is the time in ns since 1970 UTC, as in ts_recv. */
static inline int64_t tr_now(void) { return tr_clock(CLOCK_REALTIME); }

static inline int64_t tr_monotonic(void) { return tr_clock(CLOCK_MONOTONIC); }

/* tr_pause tells the core that this is a spinning loop. */
static inline void tr_pause(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory");
#endif
}

static inline void tr_close_fd(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

#endif
