// Reads what the relay sends, in both formats, into messages. It believes nothing:
// what does not fit the protocol is a ProtocolError, and the connection is made anew.

import { Flag, Kind, Side, channelNames, channelOf, readRecords, venueNames } from "./record.js";
import { messageLength, toMessage } from "./message.js";
import { holdsState } from "./topic.js";

/** ProtocolError is a message that the protocol does not allow. */
export class ProtocolError extends Error {
  constructor(text) {
    super(text);
    this.name = "ProtocolError";
  }
}

const isObject = (v) => typeof v === "object" && v !== null && !Array.isArray(v);
const isNumber = (v) => Number.isSafeInteger(v) && v >= 0;
const isTime = (v) => typeof v === "string" && /^[1-9][0-9]{0,18}$/.test(v);
const isPair = (v) => Array.isArray(v) && v.length === 2 && typeof v[0] === "string" && typeof v[1] === "string";

/** readText parses a text message and checks what the client relies on. */
export function readText(text) {
  let m;
  try {
    m = JSON.parse(text);
  } catch {
    throw new ProtocolError("not JSON: " + text.slice(0, 60));
  }
  if (!isObject(m) || (typeof m.op !== "string" && typeof m.type !== "string")) throw new ProtocolError("neither op nor type: " + text.slice(0, 60));
  if (typeof m.op === "string") checkAnswer(m);
  else checkEvent(m);
  return m;
}

function checkAnswer(m) {
  if (m.op === "instruments") {
    const good = (e) => isObject(e) && isNumber(e.id) && typeof e.venue === "string" && typeof e.symbol === "string";
    if (!Array.isArray(m.instruments) || !m.instruments.every(good)) throw new ProtocolError("bad instruments");
  }
  if (m.op === "replaying" && !(isTime(m.from) && isTime(m.to))) throw new ProtocolError("replaying without from and to");
  if (m.op === "subscribed" || m.op === "topic" || m.op === "list" || m.op === "replaying") {
    const good = ([name, at]) => isTopic(name) && isObject(at) && typeof at.epoch === "string" && isNumber(at.seq);
    if (!isObject(m.topics) || !Object.entries(m.topics).every(good)) throw new ProtocolError("bad topics in " + m.op);
  }
  if (m.op === "unsubscribed" && !(Array.isArray(m.topics) && m.topics.every(isTopic))) throw new ProtocolError("bad topics in unsubscribed");
}

function isTopic(name) { return typeof name === "string" && name.split(".").length === 3; }

function checkEvent(m) {
  if (!isTopic(m.topic) || !isNumber(m.seq)) throw new ProtocolError(m.type + " without topic or seq");
  if (m.type === "heartbeat" || m.type === "instrument") return;
  if (!isNumber(m.prev)) throw new ProtocolError(m.type + " without prev");
  if (m.type === "book") {
    const good = Array.isArray(m.bids) && m.bids.every(isPair) && Array.isArray(m.asks) && m.asks.every(isPair);
    if (!good || (m.action !== "snapshot" && m.action !== "update")) throw new ProtocolError("bad book message of " + m.topic);
  }
  if (m.type === "gap" && (typeof m.reason !== "string" || (m.missed !== null && !isNumber(m.missed)))) {
    throw new ProtocolError("bad gap of " + m.topic);
  }
}

/**
 * BinaryReader turns binary messages into those of the JSON subprotocol. It knows the
 * instruments by the relay's text messages.
 */
export class BinaryReader {
  /** @param {(topic: string) => number} position the last seq of a topic, for prev of merged deliveries */
  constructor(position) {
    this.position = position;
    this.instruments = new Map();
  }

  /** learn takes the entries of an "instruments" message. */
  learn(entries) {
    for (const e of entries) this.instruments.set(e.id, e);
  }

  /** read returns the messages of one binary message; control records make none. */
  read(buffer) {
    let records;
    try {
      records = readRecords(buffer);
    } catch (error) {
      throw new ProtocolError(error.message);
    }
    const out = [];
    for (let at = 0; at < records.length; ) {
      const n = messageLength(records, at);
      const part = records.slice(at, at + n);
      at += n;
      if (part[0].kind === Kind.HEARTBEAT || part[0].kind === Kind.INSTRUMENT) continue;
      const topic = this.topicOf(part[0]);
      if (topic === null) continue;
      const last = out[out.length - 1];
      const known = last && last.topic === topic ? last.seq : this.position(topic);
      const m = toMessage(topic, previous(part, known), part);
      if (!isNumber(m.seq)) throw new ProtocolError("seq " + m.seq + " of " + topic + " is not exact");
      out.push(m);
    }
    return out;
  }

  /** topicOf is null for a kind that this client does not know. */
  topicOf(r) {
    const channel = channelNames[channelOf(r)];
    if (!channel) return null;
    const entry = this.instruments.get(r.instrument);
    if (!entry) throw new ProtocolError("record of instrument " + r.instrument + ", which was not announced");
    const venue = venueNames[r.venue] ?? entry.venue;
    return venue + "." + channel + "." + entry.symbol;
  }
}

/**
 * previous is the number before an event: records of one event chain one by one, while a
 * snapshot and a merged delivery connect to whatever came before.
 */
function previous(records, known) {
  const first = records[0];
  if (first.kind === Kind.GAP) {
    // Of a channel that holds a state a merged stream leaves numbers out, and a gap ends
    // what is held in any case.
    const before = first.id > 0n ? Number(first.id) - 1 : 0;
    return holdsState(channelNames[first.side]) ? Math.min(known, before) : before;
  }
  if (first.flags & (Flag.SNAPSHOT | Flag.CONFLATED)) {
    checkSnapshot(records);
    return Math.min(known, records[records.length - 1].seq);
  }
  for (let i = 1; i < records.length; i++) {
    if (records[i].seq !== records[i - 1].seq + 1) return records[i].seq - 1;
  }
  return Math.max(0, first.seq - 1);
}

function checkSnapshot(records) {
  if (records[0].kind !== Kind.BOOK || !(records[0].flags & Flag.SNAPSHOT)) return;
  if (records[0].side !== Side.CLEAR || records[records.length - 1].side !== Side.END) throw new ProtocolError("a snapshot without clear or end");
}
