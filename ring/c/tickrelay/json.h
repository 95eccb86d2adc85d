/* The control socket's lines are JSON (RFC 8259). This is a writer for strings
 * and a reader that walks one object, taking the few fields it knows and
 * stepping over whatever a later relay adds. It allocates nothing and never
 * reads beyond the line. */
#ifndef TICKRELAY_JSON_H
#define TICKRELAY_JSON_H

#include "base.h"

#define TR_JSON_DEPTH 16 /* deeper nesting is refused */

/* A line being written; what does not fit sets full and changes nothing else. */
typedef struct tr_json_out {
    char *buf;
    size_t len, cap;
    bool full;
} tr_json_out;

static inline void tr_json_raw(tr_json_out *o, const char *s, size_t n) {
    if (o->full || n > o->cap - o->len) {
        o->full = true;
        return;
    }
    memcpy(o->buf + o->len, s, n);
    o->len += n;
}

static inline void tr_json_text(tr_json_out *o, const char *s) { tr_json_raw(o, s, strlen(s)); }

/* tr_json_string writes n bytes of UTF-8 as a JSON string. */
static inline void tr_json_string(tr_json_out *o, const char *s, size_t n) {
    char esc[8];
    tr_json_raw(o, "\"", 1);
    for (size_t i = 0; i < n; i++) {
        unsigned char ch = (unsigned char)s[i];
        if (ch == '"' || ch == '\\') {
            tr_json_raw(o, "\\", 1);
            tr_json_raw(o, s + i, 1);
        } else if (ch < 0x20 || ch == 0x7f) {
            snprintf(esc, sizeof esc, "\\u%04x", ch);
            tr_json_raw(o, esc, 6);
        } else {
            tr_json_raw(o, s + i, 1);
        }
    }
    tr_json_raw(o, "\"", 1);
}

/* A text being read, from p to end; bad once it was no JSON. */
typedef struct tr_json_in {
    const char *p, *end;
    bool bad;
} tr_json_in;

static inline void tr_json_space(tr_json_in *j) {
    while (j->p < j->end && (*j->p == ' ' || *j->p == '\t' || *j->p == '\n' || *j->p == '\r')) j->p++;
}

/* tr_json_next takes the character c, if it comes next. */
static inline bool tr_json_next(tr_json_in *j, char c) {
    tr_json_space(j);
    if (j->bad || j->p >= j->end || *j->p != c) return false;
    j->p++;
    return true;
}

static inline void tr_json_need(tr_json_in *j, char c) {
    if (!tr_json_next(j, c)) j->bad = true;
}

static inline unsigned tr_json_hex4(tr_json_in *j) {
    unsigned v = 0;
    for (int i = 0; i < 4; i++, j->p++) {
        int c = j->p < j->end ? (unsigned char)*j->p : 0;
        int d = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (d < 0) {
            j->bad = true;
            return 0;
        }
        v = v << 4 | (unsigned)d;
    }
    return v;
}

/* tr_json_utf8 encodes a code point; returns the number of bytes. */
static inline size_t tr_json_utf8(unsigned v, char *out) {
    if (v < 0x80) {
        out[0] = (char)v;
        return 1;
    }
    if (v < 0x800) {
        out[0] = (char)(0xc0 | v >> 6);
        out[1] = (char)(0x80 | (v & 0x3f));
        return 2;
    }
    if (v < 0x10000) {
        out[0] = (char)(0xe0 | v >> 12);
        out[1] = (char)(0x80 | (v >> 6 & 0x3f));
        out[2] = (char)(0x80 | (v & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | v >> 18);
    out[1] = (char)(0x80 | (v >> 12 & 0x3f));
    out[2] = (char)(0x80 | (v >> 6 & 0x3f));
    out[3] = (char)(0x80 | (v & 0x3f));
    return 4;
}

/* tr_json_escape reads what follows a backslash. */
static inline size_t tr_json_escape(tr_json_in *j, char *out) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = j->p < j->end ? *j->p++ : 0;
    const char *at = c ? strchr(from, c) : NULL;
    unsigned v, low;
    if (at) {
        out[0] = to[at - from];
        return 1;
    }
    if (c != 'u') {
        j->bad = true;
        return 0;
    }
    v = tr_json_hex4(j);
    if (v >= 0xd800 && v < 0xdc00) { /* a pair of surrogates */
        if (j->end - j->p < 6 || j->p[0] != '\\' || j->p[1] != 'u') {
            j->bad = true;
            return 0;
        }
        j->p += 2;
        low = tr_json_hex4(j);
        if (low < 0xdc00 || low > 0xdfff) j->bad = true;
        v = 0x10000 + ((v - 0xd800) << 10) + ((low - 0xdc00) & 0x3ff);
    } else if (v >= 0xdc00 && v < 0xe000) {
        j->bad = true;
    }
    return tr_json_utf8(v, out);
}

/* tr_json_get_string reads a string into buf, cut to size − 1 bytes, with its
 * NUL; buf may be NULL. */
static inline void tr_json_get_string(tr_json_in *j, char *buf, size_t size) {
    size_t len = 0;
    tr_json_need(j, '"');
    while (!j->bad) {
        char bytes[4];
        size_t n = 1;
        if (j->p >= j->end || (unsigned char)*j->p < 0x20) {
            j->bad = true;
            break;
        }
        bytes[0] = *j->p++;
        if (bytes[0] == '"') break;
        if (bytes[0] == '\\') n = tr_json_escape(j, bytes);
        if (buf && len + n < size) {
            memcpy(buf + len, bytes, n);
            len += n;
        }
    }
    if (buf && size) buf[len] = 0;
}

/* tr_json_get_int reads a whole number from 0 on. */
static inline uint64_t tr_json_get_int(tr_json_in *j) {
    uint64_t v = 0;
    tr_json_space(j);
    if (j->p >= j->end || *j->p < '0' || *j->p > '9') j->bad = true;
    while (!j->bad && j->p < j->end && *j->p >= '0' && *j->p <= '9') {
        unsigned d = (unsigned)(*j->p++ - '0');
        if (v > (UINT64_MAX - d) / 10) j->bad = true;
        v = v * 10 + d;
    }
    return v;
}

/* tr_json_word takes a literal as true, if it comes next. */
static inline bool tr_json_word(tr_json_in *j, const char *word) {
    size_t n = strlen(word);
    tr_json_space(j);
    if (j->bad || (size_t)(j->end - j->p) < n || memcmp(j->p, word, n)) return false;
    j->p += n;
    return true;
}

static inline bool tr_json_get_bool(tr_json_in *j) {
    if (tr_json_word(j, "true")) return true;
    if (!tr_json_word(j, "false")) j->bad = true;
    return false;
}

/* tr_json_key takes the next key of an object; false at its end. The opening
 * brace was taken; first is true before the first key. */
static inline bool tr_json_key(tr_json_in *j, bool *first, char *key, size_t size) {
    if (tr_json_next(j, '}')) return false;
    if (!*first) tr_json_need(j, ',');
    *first = false;
    tr_json_get_string(j, key, size);
    tr_json_need(j, ':');
    return !j->bad;
}

/* tr_json_skip steps over any value. */
static inline void tr_json_skip(tr_json_in *j, int depth) {
    char open;
    bool first = true;
    tr_json_space(j);
    open = j->p < j->end ? *j->p : 0;
    if (depth > TR_JSON_DEPTH) {
        j->bad = true;
    } else if (open == '"') {
        tr_json_get_string(j, NULL, 0);
    } else if (open == '{') {
        j->p++;
        while (tr_json_key(j, &first, NULL, 0)) tr_json_skip(j, depth + 1);
    } else if (open == '[') {
        for (j->p++; !j->bad && !tr_json_next(j, ']'); first = false) {
            if (!first) tr_json_need(j, ',');
            tr_json_skip(j, depth + 1);
        }
    } else if (open == '-' || (open >= '0' && open <= '9')) {
        while (j->p < j->end && *j->p && strchr("+-.0123456789eE", *j->p)) j->p++;
    } else if (!tr_json_word(j, "true") && !tr_json_word(j, "false") && !tr_json_word(j, "null")) {
        j->bad = true;
    }
}

#endif
