// One subscription: the patterns and options of one request, and the topics it holds.

import { matches } from "./topic.js";

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

  /** request is the subscribe request, or a resume that names what can go on. */
  request() {
    const held = {};
    let any = false;
    for (const topic of this.topics.values()) {
      if (!topic.resumable) continue;
      topic.offered = { epoch: topic.epoch, seq: topic.seq };
      Object.defineProperty(held, topic.name, { value: topic.offered, enumerable: true });
      any = true;
    }
    if (!any) return { op: "subscribe", topics: this.patterns, ...this.options() };
    return { op: "resume", topics: held, patterns: this.patterns, ...this.options() };
  }

  /** again is the request that brings one topic back on the same connection. */
  again(topic) {
    if (!topic.resumable) return { op: "subscribe", topics: [topic.name], ...this.options() };
    topic.offered = { epoch: topic.epoch, seq: topic.seq };
    return { op: "resume", topics: { [topic.name]: topic.offered }, ...this.options() };
  }
}
