// Turns the records of one event into the message that the JSON subprotocol has for it,
// so that both formats look the same from here on.

import { format } from "./decimal.js";
import { ABSENT, Flag, Kind, Side, UNKNOWN_MISSING, candleNames, kindNames, reasonNames, signalNames, statNames, statusNames } from "./record.js";

const STAT_VOLUME = 4, STAT_TURNOVER = 5; // of a ticker and of a candle
const CANDLE_RECORDS = 6;

/** messageLength is how many records from index `from` on make one message; at least 1. */
export function messageLength(records, from) {
  const kind = records[from].kind;
  const most = { [Kind.BOOK]: Infinity, [Kind.TICKER]: Infinity, [Kind.BBO]: 2, [Kind.CANDLE]: CANDLE_RECORDS }[kind] ?? 1;
  let n = 1;
  while (n < most && from + n < records.length && together(records[from], records[from + n])) n++;
  return n;
}

/** together reports whether two records may be of one message; a candle's id is its start. */
function together(a, b) {
  return a.kind === b.kind && a.instrument === b.instrument && a.venue === b.venue && (a.kind !== Kind.CANDLE || (a.id === b.id && a.side === b.side));
}

/** toMessage makes the message of an event's records. prev is left out for control records. */
export function toMessage(topic, prev, records) {
  const last = records[records.length - 1];
  const m = { type: kindNames[last.kind] ?? "unknown", topic, seq: last.seq };
  if (last.kind !== Kind.INSTRUMENT && last.kind !== Kind.HEARTBEAT) m.prev = prev;
  m.ts_event = last.tsEvent.toString();
  m.ts_recv = last.tsRecv.toString();
  const fill = fillers[last.kind];
  if (fill) fill(m, last, records);
  return m;
}

const side = (code) => ["unknown", "buy", "sell"][code] ?? "unknown";
const number = (mant, exp) => (mant === ABSENT ? null : format(mant, exp));
const level = (r) => [format(r.price, r.priceExp), format(r.size, r.sizeExp)];
const name = (names, code) => names[code] ?? "unknown";

function id(r) {
  return r.flags & Flag.ID_HASH ? "#" + r.id.toString(16).padStart(16, "0") : r.id.toString();
}

const fillers = {
  [Kind.TRADE](m, r) {
    Object.assign(m, { id: id(r), price: number(r.price, r.priceExp), size: number(r.size, r.sizeExp), side: side(r.side) });
  },
  [Kind.BOOK](m, _, records) {
    m.action = records[0].flags & Flag.SNAPSHOT ? "snapshot" : "update";
    m.bids = records.filter((r) => r.side === Side.BID).map(level);
    m.asks = records.filter((r) => r.side === Side.ASK).map(level);
  },
  [Kind.BBO](m, _, records) {
    m.bid = null;
    m.ask = null;
    for (const r of records) {
      if (r.size === 0n || r.size === ABSENT || r.price === ABSENT) continue;
      if (r.side === Side.BID) m.bid = level(r);
      if (r.side === Side.ASK) m.ask = level(r);
    }
  },
  [Kind.TICKER](m, _, records) {
    for (const r of records) {
      const quantity = r.level === STAT_VOLUME || r.level === STAT_TURNOVER;
      const stat = statNames[r.level];
      if (stat) m[stat] = quantity ? number(r.size, r.sizeExp) : number(r.price, r.priceExp);
    }
  },
  [Kind.CANDLE](m, last, records) {
    m.start = last.id.toString();
    for (const r of records) {
      const quantity = r.level === STAT_VOLUME || r.level === STAT_TURNOVER;
      m[name(candleNames, r.level)] = quantity ? number(r.size, r.sizeExp) : number(r.price, r.priceExp);
    }
    Object.assign(m, { trades: last.count, closed: Boolean(last.flags & Flag.CLOSED), incomplete: Boolean(last.flags & Flag.PARTIAL) });
  },
  [Kind.FUNDING](m, r) {
    Object.assign(m, { rate: number(r.price, r.priceExp), next_ts: r.id.toString(), interval_s: r.count, predicted: r.level === 2 });
  },
  [Kind.OPEN_INTEREST](m, r) {
    Object.assign(m, { size: number(r.size, r.sizeExp), value: number(r.price, r.priceExp) });
  },
  [Kind.LIQUIDATION](m, r) {
    Object.assign(m, { price: number(r.price, r.priceExp), size: number(r.size, r.sizeExp), side: side(r.side), id: id(r) });
  },
  [Kind.STATUS](m, r) {
    m.status = name(statusNames, r.level);
    if (r.id !== 0n) m.effective_ts = r.id.toString();
  },
  [Kind.INSTRUMENT](m, r) {
    Object.assign(m, { tick: number(r.price, r.priceExp), lot: number(r.size, r.sizeExp), generation: r.id.toString() });
  },
  [Kind.GAP](m, r) {
    Object.assign(m, { reason: name(reasonNames, r.level), first: r.id.toString(), missed: r.count === UNKNOWN_MISSING ? null : r.count });
  },
  [Kind.SIGNAL](m, r) {
    Object.assign(m, { signal: name(signalNames, r.level), value: number(r.price, r.priceExp), levels: r.count });
  },
  [Kind.HEARTBEAT](m, r) { m.epoch = r.id.toString(); },
};
