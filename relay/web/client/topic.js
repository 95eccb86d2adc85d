// What a client knows of one topic: its position, whether it can be trusted, its state.

import { Book } from "./book.js";

const stateChannels = new Set(["book", "bbo", "ticker", "funding", "open_interest", "status",
  "candles_1s", "candles_1m"]);

/** holdsState reports whether a channel's newest value replaces the ones before it. */
export function holdsState(channel) { return stateChannels.has(channel); }

/**
 * Topic is one topic that a client holds. state is
 *   "waiting"  asked for, not there yet,
 *   "building" there, its first value or snapshot not yet,
 *   "live"     complete and current as of seq,
 *   "broken"   after a gap, until the next snapshot or value,
 *   "stale"    the connection is gone; what is held was right as of seq.
 * Channels that hold no state (trades, liquidations, signals) know waiting, live and stale.
 */
export class Topic {
  constructor(name) {
    this.name = name;
    [this.venue, this.channel, this.symbol] = name.split(".");
    this.holdsState = holdsState(this.channel);
    this.state = "waiting";
    this.reason = "";
    this.epoch = "";
    this.seq = 0;
    this.gaps = 0; // gaps met
    this.missed = 0; // records in them, as far as they are known
    this.resumed = 0; // times that it went on after a reconnect without a loss
    this.messages = 0;
    this.book = this.channel === "book" ? new Book(name) : null;
    this.value = null; // last message of the other state channels; of a ticker all statistics
    this.subscription = null;
    this.offered = null; // the position that a resumption on this connection named
  }

  /** resumable reports whether what is held may be built on after a reconnect. */
  get resumable() {
    return this.epoch !== "" && (this.state === "live" || this.state === "stale");
  }

  become(state, reason = "") {
    if (this.state === state && this.reason === reason) return false;
    this.state = state;
    this.reason = reason;
    if (!this.book) {
      if (state !== "live" && state !== "stale") this.value = null;
    } else if (state === "live" || state === "stale") {
      this.book.state = state;
    } else {
      this.book.reset(state === "broken" ? "broken" : "building", reason);
    }
    return true;
  }

  /**
   * begin takes a position of "subscribed" or "topic". named says that this is about the
   * position that was offered: then what is held goes on, if the relay agrees.
   */
  begin({ epoch, seq }, named) {
    const offered = named ? this.offered : null;
    if (named) this.offered = null;
    if (offered && offered.epoch === epoch && seq >= offered.seq) {
      this.resumed++;
      if (this.state === "stale") this.become("live");
      return;
    }
    this.epoch = epoch;
    this.seq = seq;
    this.become(this.holdsState ? "building" : "live");
  }

  /** lost says that the connection is gone. */
  lost() {
    this.offered = null;
    this.become(this.resumable ? "stale" : "waiting");
  }

  /**
   * apply takes an event. It returns "ok", "old" for one that is already known, or "lost"
   * if messages before it never came.
   */
  apply(m) {
    if (this.state === "waiting" || this.state === "stale") return "old";
    if (m.prev > this.seq) return "lost";
    if (m.type === "gap") {
      if (!this.holdsState && m.seq < this.seq) return "old";
      this.gap(m);
      return "ok";
    }
    const snapshot = m.type === "book" && m.action === "snapshot";
    if (m.seq < this.seq || (m.seq === this.seq && !this.holdsState)) {
      if (!snapshot) return "old";
    }
    if (this.book && this.state !== "live" && !snapshot) return "old";
    this.seq = m.seq;
    this.messages++;
    if (this.book) this.book.apply(m);
    else if (this.holdsState) this.value = m.type === "ticker" ? { ...this.value, ...m } : m;
    if (this.holdsState) this.become("live");
    return "ok";
  }

  gap(m) {
    this.seq = m.seq;
    this.gaps++;
    this.missed += m.missed ?? 0;
    if (this.holdsState) this.become("broken", m.reason);
    if (this.book) this.book.seq = m.seq;
  }
}

/** matches reports whether a pattern selects a topic: * is one token, > one or more at the end. */
export function matches(pattern, topic) {
  const want = pattern.split("."), have = topic.split(".");
  for (let i = 0; i < want.length; i++) {
    if (want[i] === ">") return i === want.length - 1 && have.length > i && have[1] !== "raw";
    if (i >= have.length || (want[i] !== "*" && want[i] !== have[i])) return false;
    if (want[i] === "*" && have[i] === "raw" && i === 1) return false;
  }
  return want.length === have.length;
}
