// What a program subscribes to at a relay: asked for, kept, resumed on the next connection.

import { Connection } from "./connection.js";
import { Replay } from "./replay.js";
import { Subscription } from "./subscription.js";
import { Topic } from "./topic.js";

/** Client holds one connection and what is subscribed to on it; Connection has its events and states. */
export class Client extends Connection {
  constructor(options) {
    super(options);
    this.options = options;
    this.subscriptions = new Set();
    this.replays = new Set();
    this.connect();
  }

  /** subscribe takes a topic or pattern or a list of them. */
  subscribe(patterns, options) {
    if (this.state === "closed") throw new Error("the client is closed");
    const sub = new Subscription(this, [patterns].flat(), options);
    this.subscriptions.add(sub);
    if (this.opened) this.ask(sub);
    return sub;
  }

  /**
   * replay plays a past window of the relay's recording, on a connection of its own: the
   * live topics neither wait for it nor mix with it.
   */
  replay(patterns, window) {
    if (this.state === "closed") throw new Error("the client is closed");
    const past = new Replay({ ...this.options, token: this.token }, [patterns].flat(), window);
    this.replays.add(past);
    past.done.catch(() => {}).then(() => this.replays.delete(past));
    return past;
  }

  /** list asks for every topic there is: a promise of {topic: {epoch, seq}}. */
  list() {
    return new Promise((resolve, reject) => {
      if (!this.opened) reject(new Error("not connected"));
      else this.requests.add({ op: "list" }, { onAnswer: (m) => resolve(m.topics), onError: (e) => reject(new Error(e.message)) });
    });
  }

  /** close ends the connection for good, and the replays with it. */
  close(code = 1000, reason = "") {
    for (const past of this.replays) past.stop();
    super.close(code, reason);
  }

  session() {
    for (const sub of this.subscriptions) this.ask(sub);
  }

  parted() {
    for (const sub of this.subscriptions) sub.asked = false;
    for (const topic of this.topics.values()) this.changing(topic, () => topic.lost());
  }

  // Requests.

  ask(sub) {
    if (sub.closed || sub.error) return;
    sub.asked = true;
    for (const request of sub.requests()) this.send(sub, request);
  }

  send(sub, request) {
    const named = new Set(request.op === "resume" ? Object.keys(request.topics) : []);
    this.requests.add(request, {
      onAnswer: (m) => {
        for (const [name, at] of Object.entries(m.topics)) this.begin(name, at, sub, named.has(name));
        if (request.op === "subscribe" || request.patterns) sub.resolve(sub);
      },
      onError: (m) => {
        sub.error = { code: m.code, message: m.message };
        const error = new Error(m.code + ": " + m.message);
        sub.reject(error);
        this.emit("error", error);
      },
    });
  }

  unsubscribe(sub) {
    sub.closed = true;
    this.subscriptions.delete(sub);
    for (const name of sub.topics.keys()) this.topics.delete(name);
    if (!sub.asked || !this.opened) return;
    this.requests.add({ op: "unsubscribe", topics: sub.patterns }, {
      // The relay ends every topic that the patterns select. Others' go on where they were.
      onAnswer: (m) => {
        const hurt = new Set();
        for (const name of m.topics) {
          const topic = this.topics.get(name);
          if (!topic) continue;
          hurt.add(topic.subscription);
          this.changing(topic, () => topic.lost());
        }
        for (const other of this.subscriptions) if (other.patterns.some((p) => sub.covers(p))) hurt.add(other);
        for (const other of hurt) this.ask(other);
      },
      onError: (m) => this.emit("error", new Error(m.code + ": " + m.message)),
    });
  }

  // What comes.

  answered(m) {
    switch (m.op) {
      case "topic":
        for (const [name, at] of Object.entries(m.topics)) this.appeared(name, at);
        break;
      case "unsubscribed":
        if (!this.requests.answer(m)) for (const name of m.topics) this.ended(name);
        break;
      case "subscribed": case "list":
        this.requests.answer(m);
    }
  }

  /** ended takes a topic that the relay ended: the token does not cover it any more. */
  ended(name) {
    const topic = this.topics.get(name);
    if (!topic) return;
    this.topics.delete(name);
    topic.subscription.topics.delete(name);
    this.changing(topic, () => topic.become("waiting", "forbidden"));
  }

  /** appeared takes a topic that is new, or that begins a new epoch. */
  appeared(name, at) {
    const known = this.topics.get(name);
    const sub = known?.subscription ?? this.owner(name);
    if (sub) this.begin(name, at, sub, true);
  }

  /** owner is the subscription that a new topic belongs to: who names it comes first. */
  owner(name) {
    const all = [...this.subscriptions].filter((sub) => sub.covers(name));
    return all.find((sub) => sub.patterns.includes(name)) ?? all[0];
  }

  begin(name, at, sub, named) {
    if (sub.closed) return;
    let topic = this.topics.get(name);
    if (!topic) this.topics.set(name, (topic = new Topic(name)));
    if (topic.subscription !== sub) {
      topic.subscription?.topics.delete(name);
      topic.subscription = sub;
      sub.topics.set(name, topic);
    }
    this.changing(topic, () => topic.begin(at, named));
  }

  /**
   * lost takes a message whose predecessors never came, which the relay never lets happen
   * without a word: the topic is asked for again from where it was.
   */
  lost(topic, m) {
    this.missed(topic, m);
    const sub = topic.subscription;
    this.requests.add(sub.again(topic), {
      onAnswer: (answer) => { for (const [name, pos] of Object.entries(answer.topics)) this.begin(name, pos, sub, true); },
      onError: (answer) => this.emit("error", new Error(answer.code + ": " + answer.message)),
    });
  }
}
