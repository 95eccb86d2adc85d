// A price-level book kept from the messages of one book topic.

import { parse, scaled } from "./decimal.js";

/**
 * Levels is one side, best first. A level is {price, size, key}: price and size are the
 * relay's text, key is the price's mantissa at the side's exponent `exp`, for comparing.
 */
export class Levels {
  /** @param {boolean} rising the best price is the lowest: asks */
  constructor(rising) {
    this.rising = rising;
    this.exp = 0;
    this.list = [];
  }

  get length() { return this.list.length; }

  clear() { this.list = []; }

  /** place is the index of the first level that is not better than key. */
  place(key) {
    const list = this.list;
    let lo = 0, hi = list.length;
    // A snapshot comes in order: most levels belong at the end.
    if (hi > 0 && this.better(list[hi - 1].key, key)) return hi;
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if (this.better(list[mid].key, key)) lo = mid + 1;
      else hi = mid;
    }
    return lo;
  }

  better(a, b) { return this.rising ? a < b : a > b; }

  /** set puts a level, or takes it out where size is "0". It throws for what is no decimal. */
  set(price, size) {
    const p = parse(price);
    const amount = parse(size).mant;
    if (amount < 0n) throw new RangeError("size below 0: " + size);
    if (p.exp < this.exp) this.refine(p.exp);
    const key = scaled(p, this.exp);
    const at = this.place(key);
    const level = this.list[at];
    const found = level !== undefined && level.key === key;
    if (amount === 0n) {
      if (found) this.list.splice(at, 1);
    } else if (found) {
      level.price = price;
      level.size = size;
    } else if (at === this.list.length) {
      this.list.push({ price, size, key });
    } else {
      this.list.splice(at, 0, { price, size, key });
    }
  }

  /** refine holds all keys at a smaller exponent. */
  refine(exp) {
    const by = 10n ** BigInt(this.exp - exp);
    for (const level of this.list) level.key *= by;
    this.exp = exp;
  }
}

/**
 * Book follows one book topic. state is "building" until the first snapshot, "live"
 * while it is complete and current as of seq, and "broken" (with reason) after a gap until
 * the next snapshot. A book that is not live is empty: it cannot be mistaken for one.
 */
export class Book {
  constructor(topic) {
    this.topic = topic;
    this.bids = new Levels(false);
    this.asks = new Levels(true);
    this.reset("building", "");
    this.seq = 0;
    this.tsEvent = this.tsRecv = "0";
  }

  get live() { return this.state === "live"; }

  /** bestBid and bestAsk are the touch: {price, size}, undefined on an empty side. */
  get bestBid() { return this.bids.list[0]; }
  get bestAsk() { return this.asks.list[0]; }

  reset(state, reason) {
    this.state = state;
    this.reason = reason;
    this.bids.clear();
    this.asks.clear();
  }

  /** apply takes a book or gap message of the topic, in the order of arrival. */
  apply(m) {
    this.seq = m.seq;
    if (m.type === "gap") {
      this.reset("broken", m.reason);
      return;
    }
    if (m.action === "snapshot") {
      this.reset("live", "");
    } else if (this.state !== "live") {
      return;
    }
    for (const [price, size] of m.bids) this.bids.set(price, size);
    for (const [price, size] of m.asks) this.asks.set(price, size);
    this.tsEvent = m.ts_event;
    this.tsRecv = m.ts_recv;
  }

  /** top returns copies of the best n levels of each side: {bids: [[price, size]], asks: …}. */
  top(n = Infinity) {
    const cut = (side) => side.list.slice(0, n).map((l) => [l.price, l.size]);
    return { bids: cut(this.bids), asks: cut(this.asks) };
  }
}
