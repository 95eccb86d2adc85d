/* tickrelay.h: read a tickrelay relay's market data over shared memory.
 *
 *     tr_error err;
 *     tr_client *md = tr_attach("demo", "alpha", "binance.book.BTC-USDT binance.trades.BTC-USDT", &err);
 *     while (md && tr_wait(md, TR_BLOCK, -1) >= 0) { n = tr_poll(md, recs, 256); ... }
 *
 * C11 and C++17, header only; Linux, little-endian, libc and nothing else.
 * docs/clients.md has the whole interface, docs/record.md what a record means.
 *
 *   relay process ══ NAME.data (read-only here) ══▶ tr_poll, tr_lend ──▶ you
 *                 ◀═ NAME.ctl (tail, sleeper) ════ tr_wait
 *                 ◀─ control socket, the lease ──── tr_attach, tr_detach
 *                 ── instrument table ────────────▶ tr_lookup, tr_get
 *
 * A client belongs to one thread; only tr_interrupt may be called from others.
 * tr_poll, tr_lend, tr_release and the spinning of tr_wait allocate nothing and
 * make no system call (but one every 65,536 empty looks). Nothing here starts a
 * thread, prints, or changes a signal's handling.
 *
 * When the relay ends, every topic gets a gap record (reason disconnect, count
 * unknown), so that nobody trades on a frozen book; then the client attaches
 * again by itself, and what comes is a heartbeat with the new epoch and
 * snapshots, as after the first attachment. */
#ifndef TICKRELAY_H
#define TICKRELAY_H

#ifndef _GNU_SOURCE
#if defined(_FEATURES_H) && defined(__STRICT_ANSI__)
#error "include tickrelay.h before the system's headers, or compile with -D_GNU_SOURCE"
#endif
#define _GNU_SOURCE 1
#endif

#if !defined(__linux__) || !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tickrelay.h needs Linux on a little-endian machine"
#endif

#include "tickrelay/base.h"     /* records, errors, clock */
#include "tickrelay/decimal.h"  /* exact numbers: text, double, compare */
#include "tickrelay/layout.h"   /* bytes of a ring */
#include "tickrelay/ring.h"     /* one ring: open, read, wait */
#include "tickrelay/table.h"    /* instruments and topic names */
#include "tickrelay/json.h"     /* the control socket's lines */
#include "tickrelay/control.h"  /* attach over the socket */
#include "tickrelay/client.h"   /* several rings behind one client */
#include "tickrelay/read.h"     /* poll, lend, change topics, attach again */
#include "tickrelay/wait.h"     /* spin, yield, block, eventfd */
#include "tickrelay/book.h"     /* a price-level book from records */

#endif
