// A past window of a relay's recording, played on a connection of its own.

import { CLOSE_PROTOCOL, Connection } from "./connection.js";
import { Topic } from "./topic.js";

const CLOSE_AGAIN = 4003; // our own code: the window is asked for again on another connection

/**
 * Replay is what Client.replay returns: the topics of a past window and the books as they
 * were then. from and to are ns since 1970 UTC once the relay has answered; at is how far
 * in the window it is, by receive time. ready resolves with the first answer. done resolves with {reason:
 * "done" or "stopped"} and rejects if the relay refuses or cannot go on.
 *
 * When the connection is lost it comes back and goes on from `at`. What was told is not told
 * again, except that conflated topics and books of a depth begin with their state then.
 */
export class Replay extends Connection {
  constructor(options, patterns, { from, to = null, speed = 1, depth = 0, conflateMs = 0, onMessage = null, onTopic = null } = {}) {
    super(options);
    this.patterns = patterns;
    this.from = timeText("from", from);
    this.to = to === null ? null : timeText("to", to);
    if (speed !== "max" && !(Number.isFinite(speed) && speed > 0)) throw new RangeError("speed " + speed + ': want a number above 0, or "max"');
    Object.assign(this, { speed, depth, conflateMs, onMessage, onTopic });
    this.at = "0";
    this.end = null;
    this.begun = false;
    this.marks = new Map(); // by topic and epoch: how far it was told
    this.repeats = new Map(); // by topic: the mark until which this connection repeats
    this.ready = new Promise((resolve, reject) => { this.readied = { resolve, reject }; });
    this.done = new Promise((resolve, reject) => { this.ended = { resolve, reject }; });
    for (const promise of [this.ready, this.done]) promise.catch(() => {}); // "error" tells it as well
    this.connect();
  }

  /** stop ends the replay; nothing is delivered from now on. Topics stay as they are. */
  stop() { this.finish({ reason: "stopped" }); }

  /** close is stop. */
  close() { this.stop(); }

  finish(end, error = null, code = 1000) {
    if (this.end) return;
    this.end = end;
    super.close(code, end.reason);
    this.readied.reject(error ?? new Error(end.reason));
    if (error) this.ended.reject(error);
    else this.ended.resolve(end);
  }

  fail(text, code = "") {
    if (this.end) return;
    const error = Object.assign(new Error(text), { code });
    this.finish({ reason: "failed" }, error);
    this.emit("error", error);
  }

  become(state, why) {
    super.become(state, why);
    if (state === "closed") this.fail("closed: " + why);
  }

  /** violated ends it: the window is the same, and so would be what comes on another connection. */
  violated(error) { this.finish({ reason: "failed" }, error, CLOSE_PROTOCOL); }

  session() {
    const request = { op: "replay", topics: this.patterns, from: this.begun ? this.at : this.from, speed: this.speed };
    if (this.to !== null) request.to = this.to;
    if (this.depth) request.depth = this.depth;
    if (this.conflateMs) request.conflate_ms = this.conflateMs;
    this.requests.add(request, {
      onAnswer: (m) => this.begins(m),
      onError: (m) => {
        // The relay may not have noticed yet that the connection before is gone.
        if (this.begun && (m.code === "limit" || m.code === "busy")) this.drop(CLOSE_AGAIN, m.message);
        else this.fail(m.code + ": " + m.message, m.code);
      },
    });
  }

  begins(m) {
    if (!this.begun) {
      this.begun = true;
      this.from = this.at = m.from;
      this.to = m.to;
    }
    for (const [name, at] of Object.entries(m.topics)) this.begin(name, at);
    this.readied.resolve(this);
  }

  answered(m) {
    switch (m.op) {
      case "replaying":
        this.requests.answer(m);
        break;
      case "topic":
        for (const [name, at] of Object.entries(m.topics)) this.begin(name, at);
        break;
      case "replay_end":
        if (m.reason === "done" || m.reason === "stopped") this.finish({ reason: m.reason });
        else if (m.reason === "cancelled") this.drop(CLOSE_AGAIN, "cancelled"); // another token, or the relay stops
        else this.fail(m.reason + ": " + (m.message ?? "the relay gave no reason"), m.reason);
    }
  }

  begin(name, at) {
    let topic = this.topics.get(name);
    if (!topic) this.topics.set(name, (topic = new Topic(name)));
    else if (topic.epoch !== at.epoch) this.mark(topic);
    topic.subscription = this;
    this.changing(topic, () => topic.begin(at, false));
    const mark = this.marks.get(name + " " + at.epoch);
    if (!mark || (this.conflateMs && topic.holdsState) || (this.depth && topic.book)) this.repeats.delete(topic);
    else this.repeats.set(topic, mark);
    if (mark && !topic.holdsState && at.seq > mark.seq) this.skipped(topic, mark.seq, at.seq);
  }

  /** mark notes how far a topic was told. */
  mark(topic) {
    if (topic.state === "waiting" || topic.state === "building") return;
    const key = topic.name + " " + topic.epoch, before = this.marks.get(key);
    const mark = { seq: topic.seq, whole: topic.state !== "broken" };
    if (!before || mark.seq > before.seq) this.marks.set(key, mark);
    else if (mark.seq === before.seq) before.whole ||= mark.whole;
  }

  parted() {
    if (this.end) return;
    for (const topic of this.topics.values()) {
      this.mark(topic);
      this.changing(topic, () => topic.lost());
    }
  }

  deliver(m, topic) {
    if (this.end) return;
    if (later(m.ts_recv, this.at)) this.at = m.ts_recv;
    if (this.repeated(m, topic)) return;
    super.deliver(m, topic);
  }

  /** repeated reports whether a message was told on a connection before this one. */
  repeated(m, topic) {
    const mark = this.repeats.get(topic);
    if (!mark) return false;
    if (m.seq < mark.seq || (m.seq === mark.seq && (mark.whole || m.type === "gap"))) return true;
    this.repeats.delete(topic);
    return false;
  }

  /** skipped tells of numbers that were between two connections. */
  skipped(topic, seq, to) {
    topic.gaps++;
    topic.missed += to - seq;
    super.deliver({ type: "gap", topic: topic.name, seq: to, prev: seq, ts_event: "0", ts_recv: this.at, reason: "client",
      first: String(seq + 1), missed: to - seq }, topic);
  }

  /** lost takes a message whose predecessors never came: the window is asked for again from here. */
  lost(topic, m) {
    this.missed(topic, m);
    this.drop(CLOSE_AGAIN, "missed something of " + topic.name);
  }
}

/** later compares two times in decimal ns. */
function later(a, b) { return a.length > b.length || (a.length === b.length && a > b); }

function timeText(name, time) {
  if (time instanceof Date && !Number.isNaN(time.getTime())) return String(BigInt(time.getTime()) * 1000000n);
  if (typeof time === "bigint" && time > 0n) return String(time);
  if (typeof time === "string") return time;
  throw new TypeError(name + ": want a Date, a bigint of ns since 1970 UTC, or a string");
}
