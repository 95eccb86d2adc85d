// One subscription: the patterns and options of one request, and the topics it holds.

import { matches } from "./topic.js";

const RESUME_BYTES = 32 << 10; // of the topics that one resume names; the relay takes 65,536 bytes in all
const ENTRY_BYTES = 72; // of a topic's position, without its name, at most

/**
 * Subscription is what Client.subscribe returns. topics are those that its patterns
 * select now. error is {code, message} if the relay refused it.
 */
export class Subscription {
  constructor(client, patterns, { depth = 0, conflateMs = 0, onMessage = null, onTopic = null } = {}) {
    this.client = client;
    this.patterns = patterns;
    this.depth = depth;
    this.conflateMs = conflateMs;
    this.onMessage = onMessage;
    this.onTopic = onTopic;
    this.topics = new Map();
    this.error = null;
    this.closed = false;
    this.asked = false; // on this connection
    this.ready = new Promise((resolve, reject) => Object.assign(this, { resolve, reject }));
    this.ready.catch(() => {}); // error tells it as well; nobody has to look here
  }

  /** close ends the subscription; nothing of its topics is delivered from now on. */
  close() {
    if (!this.closed) this.client.unsubscribe(this);
  }

  covers(topic) { return this.patterns.some((p) => matches(p, topic)); }

  options() {
    const out = {};
    if (this.depth) out.depth = this.depth;
    if (this.conflateMs) out.conflate_ms = this.conflateMs;
    return out;
  }

  /**
   * requests are the subscribe request, or resumes that name what can go on: as many as the
   * relay's bound of a message wants, the last one with the patterns.
   */
  requests() {
    const parts = [];
    let room = 0;
    for (const topic of this.topics.values()) {
      if (!topic.resumable) continue;
      topic.offered = { epoch: topic.epoch, seq: topic.seq };
      room -= topic.name.length + ENTRY_BYTES;
      if (room < 0) {
        parts.push({});
        room = RESUME_BYTES;
      }
      Object.defineProperty(parts.at(-1), topic.name, { value: topic.offered, enumerable: true });
    }
    if (parts.length === 0) return [{ op: "subscribe", topics: this.patterns, ...this.options() }];
    return parts.map((topics, i) => ({ op: "resume", topics, ...(i === parts.length - 1 && { patterns: this.patterns }), ...this.options() }));
  }

  /** again is the request that brings one topic back on the same connection. */
  again(topic) {
    if (!topic.resumable) return { op: "subscribe", topics: [topic.name], ...this.options() };
    topic.offered = { epoch: topic.epoch, seq: topic.seq };
    return { op: "resume", topics: { [topic.name]: topic.offered }, ...this.options() };
  }
}
