/* Answers questions on stdin, one per line, for comparison with package md:
 * numbers, names, and lines of the control socket. */
#include "tickrelay.h"

/* A live book of one venue, and the stream's heartbeat of another. */
static int live_after(unsigned venue, unsigned beats) {
    tr_book b;
    tr_record r;
    int live;
    memset(&b, 0, sizeof b);
    memset(&r, 0, sizeof r);
    r.kind = TR_HEARTBEAT, r.venue = (uint16_t)venue, r.side = TR_CH_BOOK, r.id = 7;
    tr_book_apply(&b, &r);
    r.kind = TR_BOOK, r.flags = TR_SNAPSHOT, r.side = TR_CLEAR, r.seq = 1;
    tr_book_apply(&b, &r);
    r.side = TR_BID, r.price = 10, r.size = 1;
    tr_book_apply(&b, &r);
    r.side = TR_END;
    tr_book_apply(&b, &r);
    memset(&r, 0, sizeof r);
    r.kind = TR_HEARTBEAT, r.venue = (uint16_t)beats, r.side = TR_CH_ALL, r.id = 8;
    tr_book_apply(&b, &r);
    live = b.state == TR_BOOK_LIVE && b.bids.n == 1;
    tr_book_free(&b);
    return live;
}

static void answer(const char *line) {
    long long a, b;
    int ae, be;
    char text[TR_DECIMAL_MAX];
    int64_t out;
    if (sscanf(line, "text %lld %d", &a, &ae) == 2) {
        size_t n = tr_decimal_text(text, a, (int8_t)ae);
        double d = tr_double(a, (int8_t)ae);
        printf("%s %s %a\n", text, n == strlen(text) && n < TR_DECIMAL_MAX ? "ok" : "length", d);
    } else if (sscanf(line, "mid %lld %lld %d", &a, &b, &ae) == 3) {
        size_t n = tr_mid_text(text, a, b, (int8_t)ae);
        printf("%s %s\n", text, n == strlen(text) && n < TR_DECIMAL_MAX ? "right" : "length");
    } else if (sscanf(line, "cmp %lld %d %lld %d", &a, &ae, &b, &be) == 4) {
        printf("%d\n", tr_cmp(a, (int8_t)ae, b, (int8_t)be));
    } else if (sscanf(line, "rescale %lld %d %d", &a, &ae, &be) == 3) {
        bool ok = tr_rescale(a, (int8_t)ae, (int8_t)be, &out);
        printf("%d %lld\n", ok, ok ? (long long)out : 0);
    } else if (sscanf(line, "names %d", &ae) == 1) {
        printf("%s %s %s\n", tr_venue_name((unsigned)ae), tr_channel_name((unsigned)ae), tr_gap_reason((unsigned)ae));
    } else if (sscanf(line, "beat %d %d", &ae, &be) == 2) {
        printf("%d\n", live_after((unsigned)ae, (unsigned)be));
    } else if (!strncmp(line, "json ", 5)) {
        tr_answer *ans = (tr_answer *)calloc(1, sizeof *ans);
        size_t n = strlen(line + 5);
        char *copy = (char *)malloc(n ? n : 1); /* exactly as long, for the sanitizers */
        bool ok;
        memcpy(copy, line + 5, n);
        ok = tr_answer_parse(ans, copy, n);
        printf("%d|%s|%s|%s|%d|%d|%u|%s|%s\n", ok, ans->op, ans->message, ans->dir, ans->table, ans->by_fd, ans->n_rings,
               ans->n_rings ? ans->ring[ans->n_rings - 1] : "", ans->topics ? ans->topics : "");
        tr_answer_free(ans);
        free(ans);
        free(copy);
    } else {
        printf("?\n");
    }
}

int main(void) {
    static char line[70000];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = 0;
        answer(line);
    }
    return 0;
}
