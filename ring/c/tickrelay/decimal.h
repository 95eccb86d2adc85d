/* Exact numbers: value = mantissa × 10^exponent, as in every record. */
#ifndef TICKRELAY_DECIMAL_H
#define TICKRELAY_DECIMAL_H

#include "base.h"

/* Room for the longest text with its NUL: sign, "0.", 128 decimals, or 19
 * digits and 127 zeros. */
#define TR_DECIMAL_MAX 152

__extension__ typedef unsigned __int128 tr_u128;
__extension__ typedef __int128 tr_i128;

static inline uint64_t tr_abs(int64_t v) { return v < 0 ? 0 - (uint64_t)v : (uint64_t)v; }

static inline uint64_t tr_pow10(int n) { /* n from 0 to 19 */
    uint64_t p = 1;
    while (n-- > 0) p *= 10;
    return p;
}

/* tr_digits writes the digits of u from digits[n] on, the last first: how many
 * there are then. */
static inline int tr_digits(char *digits, int n, uint64_t u) {
    do {
        digits[n++] = (char)('0' + u % 10);
        u /= 10;
    } while (u);
    return n;
}

/* tr_digits_text writes n digits, the last first, × 10^e. */
static inline size_t tr_digits_text(char *buf, bool negative, const char *digits, int n, int e) {
    int at = 0;
    if (negative) buf[at++] = '-';
    if (-e >= n) {
        buf[at++] = '0';
        buf[at++] = '.';
        for (int i = -e; i > n; i--) buf[at++] = '0';
        while (n) buf[at++] = digits[--n];
    } else {
        while (n) {
            if (n == -e) buf[at++] = '.';
            buf[at++] = digits[--n];
        }
        while (e-- > 0) buf[at++] = '0';
    }
    buf[at] = 0;
    return (size_t)at;
}

/* tr_decimal_text writes the shortest exact text of mant × 10^exp, without
 * exponent form: "64123.45", "0.00000011", "-5", "1200"; "" for TR_ABSENT. buf
 * has TR_DECIMAL_MAX bytes. Returns the length. */
static inline size_t tr_decimal_text(char *buf, int64_t mant, int8_t exp) {
    char digits[20];
    int e = exp;
    uint64_t u = tr_abs(mant);
    if (mant == TR_ABSENT) {
        buf[0] = 0;
        return 0;
    }
    if (u == 0) e = 0;
    while (e < 0 && u % 10 == 0) {
        u /= 10;
        e++;
    }
    return tr_digits_text(buf, mant < 0, digits, tr_digits(digits, 0, u), e);
}

/* tr_mid_text writes half the sum of two mantissas × 10^exp, exact for all of
 * them, as tr_decimal_text does; "" if one is TR_ABSENT. */
static inline size_t tr_mid_text(char *buf, int64_t bid, int64_t ask, int8_t exp) {
    tr_i128 sum = (tr_i128)bid + ask;
    uint64_t half = (uint64_t)((sum < 0 ? -sum : sum) / 2);
    char digits[21] = {'5'}; /* what follows half if the sum is odd */
    if (bid == TR_ABSENT || ask == TR_ABSENT) return tr_decimal_text(buf, TR_ABSENT, exp);
    if (sum % 2 == 0) return tr_decimal_text(buf, (int64_t)(sum / 2), exp);
    return tr_digits_text(buf, sum < 0, digits, half ? tr_digits(digits, 1, half) : 1, exp - 1);
}

/* tr_double is the double nearest to mant × 10^exp; NaN for TR_ABSENT. For
 * statistics: prices and sizes that you send back stay integers. */
static inline double tr_double(int64_t mant, int8_t exp) {
    static const double tens[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    char text[32];
    if (mant == TR_ABSENT) return __builtin_nan("");
    /* Both operands are exact doubles, so the one operation rounds once. */
    if (TR_LIKELY(tr_abs(mant) <= (UINT64_C(1) << 53) && exp >= -22 && exp <= 22))
        return exp < 0 ? (double)mant / tens[-exp] : (double)mant * tens[exp];
    snprintf(text, sizeof text, "%llde%d", (long long)mant, exp);
    return strtod(text, NULL); /* rounds correctly; no point in the text, so no locale */
}

/* tr_rescale gives the mantissa of mant × 10^from at exponent to in *out: true
 * if it is exact there. TR_ABSENT stays TR_ABSENT. */
static inline bool tr_rescale(int64_t mant, int8_t from, int8_t to, int64_t *out) {
    int d = (int)from - (int)to;
    *out = mant;
    if (d == 0 || mant == 0 || mant == TR_ABSENT) return true;
    if (d > 18 || d < -18) return false;
    if (d > 0) {
        tr_u128 v = (tr_u128)tr_abs(mant) * tr_pow10(d);
        if (v > INT64_MAX) return false;
        *out = mant < 0 ? -(int64_t)v : (int64_t)v;
        return true;
    }
    *out = mant / (int64_t)tr_pow10(-d);
    return *out * (int64_t)tr_pow10(-d) == mant;
}

/* tr_cmp_scaled compares a × 10^d with b, a > 0, d ≥ 0. */
static inline int tr_cmp_scaled(uint64_t a, int d, uint64_t b) {
    tr_u128 v;
    if (d > 19) return 1; /* more than any 64 bits */
    v = (tr_u128)a * tr_pow10(d);
    return v > b ? 1 : v < b ? -1 : 0;
}

/* tr_cmp compares two numbers by value, exact for every input: −1, 0, +1. */
static inline int tr_cmp(int64_t a, int8_t a_exp, int64_t b, int8_t b_exp) {
    int c, d = (int)a_exp - (int)b_exp;
    if (d == 0 || a == 0 || b == 0 || (a < 0) != (b < 0)) return (a > b) - (a < b);
    c = d > 0 ? tr_cmp_scaled(tr_abs(a), d, tr_abs(b)) : -tr_cmp_scaled(tr_abs(b), -d, tr_abs(a));
    return a < 0 ? -c : c;
}

#endif
