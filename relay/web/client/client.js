// The connection to a relay: connects, subscribes, comes back and resumes, and keeps
// what was subscribed to.

import { Backoff, staysAway } from "./backoff.js";
import { BinaryReader, ProtocolError, readText } from "./decode.js";
import { Requests } from "./requests.js";
import { Subscription } from "./subscription.js";
import { Topic } from "./topic.js";

const PROTOCOLS = { json: "tickrelay.v1.json", binary: "tickrelay.v1.binary" };
const OPEN = 1; // WebSocket.readyState
const STABLE_MS = 10000; // a connection that held so long begins the pauses anew
const TOKEN_ENDED = 3000; // the relay's code for a token that expired or was revoked
const CLOSE_PROTOCOL = 4002; // our own code: the relay sent what the protocol does not allow

/**
 * Client holds one connection. Events: on("state", (state, why)), on("message", (message,
 * topic)), on("topic", (topic)), on("list", (topics)), on("error", (error)). state is
 * "connecting", "live", "waiting" (for the next attempt) or "closed".
 */
export class Client {
  constructor(options) {
    this.url = new URL(options.url, globalThis.location?.href);
    if (this.url.protocol === "http:") this.url.protocol = "ws:";
    if (this.url.protocol === "https:") this.url.protocol = "wss:";
    this.format = options.format ?? "json";
    if (!PROTOCOLS[this.format]) throw new RangeError("format " + this.format + ": want json or binary");
    this.token = options.token ?? null;
    this.WebSocket = options.WebSocket ?? globalThis.WebSocket;
    if (!this.WebSocket) throw new TypeError("no WebSocket here: pass one as options.WebSocket, for instance that of the package ws");
    this.socketOptions = options.socketOptions;
    this.silenceMs = options.silenceMs ?? 15000;
    this.backoff = new Backoff(options.backoff);
    this.topics = new Map();
    this.subscriptions = new Set();
    this.handlers = new Map();
    this.requests = new Requests((text) => this.socket.send(text));
    this.sessions = 0; // connections that were open
    this.received = 0; // messages
    this.receivedBytes = 0;
    this.state = "connecting";
    this.why = "";
    this.connect();
  }

  /** on registers a handler and returns the function that takes it away. */
  on(event, handler) {
    const list = this.handlers.get(event) ?? [];
    this.handlers.set(event, [...list, handler]);
    return () => this.handlers.set(event, this.handlers.get(event).filter((h) => h !== handler));
  }

  emit(event, ...args) {
    for (const handler of this.handlers.get(event) ?? []) {
      if (event !== "error") this.guard(handler, ...args);
      else handler(...args);
    }
  }

  /** guard calls the user's code: what it throws must not stop the stream. */
  guard(handler, ...args) {
    try {
      handler(...args);
    } catch (error) {
      if (this.handlers.get("error")?.length) this.emit("error", error);
      else queueMicrotask(() => { throw error; });
    }
  }

  /** subscribe takes a topic or pattern or a list of them. */
  subscribe(patterns, options) {
    if (this.state === "closed") throw new Error("the client is closed");
    const sub = new Subscription(this, [patterns].flat(), options);
    this.subscriptions.add(sub);
    if (this.opened) this.ask(sub);
    return sub;
  }

  /** book is the book of a topic that is subscribed to, undefined if there is none. */
  book(topic) { return this.topics.get(topic)?.book ?? undefined; }

  /** list asks for every topic there is: a promise of {topic: {epoch, seq}}. */
  list() {
    return new Promise((resolve, reject) => {
      if (!this.opened) reject(new Error("not connected"));
      else this.requests.add({ op: "list" }, { onAnswer: (m) => resolve(m.topics), onError: (e) => reject(new Error(e.message)) });
    });
  }

  /** close ends the connection for good. */
  close(code = 1000, reason = "") {
    if (this.state === "closed") return;
    const socket = this.socket;
    this.detach();
    if (socket && socket.readyState <= OPEN) socket.close(code, reason);
    this.become("closed", reason || "closed by the program");
  }

  // The connection.

  async connect() {
    this.become("connecting", "");
    let token = null, socket;
    try {
      token = typeof this.token === "function" ? await this.token() : this.token;
      if (this.state !== "connecting") return;
      socket = this.open(token);
    } catch (error) {
      this.emit("error", error);
      this.retry(error.message);
      return;
    }
    this.socket = socket;
    socket.binaryType = "arraybuffer";
    const mine = (work) => (event) => { if (this.socket === socket) work(event); };
    socket.addEventListener("open", mine(() => this.onOpen()));
    socket.addEventListener("message", mine((event) => this.onMessage(event.data)));
    socket.addEventListener("close", mine((event) => this.onClose(event.code, event.reason)));
    socket.addEventListener("error", mine((event) => { this.failure = event.message ?? ""; }));
  }

  open(token) {
    this.tokenSent = token;
    const protocols = [PROTOCOLS[this.format]];
    if (token) protocols.push(tokenProtocol(token));
    const args = this.socketOptions ? [this.socketOptions] : [];
    return new this.WebSocket(this.url.href, protocols, ...args);
  }

  onOpen() {
    this.opened = true;
    this.sessions++;
    this.failure = "";
    this.binary = new BinaryReader((name) => this.topics.get(name)?.seq ?? 0);
    this.heard = Date.now();
    this.watch = setInterval(() => this.look(), Math.max(10, this.silenceMs / 3));
    this.stable = setTimeout(() => this.backoff.reset(), STABLE_MS);
    this.become("live", "");
    if (this.tokenSent) this.authenticate(this.tokenSent).catch(() => {}); // tells when it ends
    for (const sub of this.subscriptions) this.ask(sub);
  }

  /**
   * authenticate gives the relay another token before the one in force expires: a promise
   * of what it allows, {topics, expires}. Where the token is a function this happens by itself.
   */
  authenticate(token) {
    return new Promise((resolve, reject) => {
      if (!this.opened) return reject(new Error("not connected"));
      this.requests.add({ op: "auth", token }, {
        onAnswer: (m) => {
          this.tokenSent = token;
          if (typeof this.token === "string") this.token = token;
          this.grant = { topics: m.topics, expires: m.expires };
          this.renewLater(m.expires);
          resolve(this.grant);
        },
        onError: (m) => reject(Object.assign(new Error(m.code + ": " + m.message), { code: m.code })),
      });
    });
  }

  /** renewLater fetches the next token when nine tenths of this one's life are over. */
  renewLater(expires) {
    clearTimeout(this.renewal);
    if (typeof this.token !== "function" || !expires) return;
    const left = Number(BigInt(expires) / 1000000n) - Date.now();
    this.renewal = setTimeout(async () => {
      try {
        const token = await this.token();
        if (this.opened) await this.authenticate(token);
      } catch (error) {
        this.emit("error", error); // it ends with 3000, and the next attempt asks again
      }
    }, Math.min(2 ** 31 - 1, Math.max(1000, left * 0.9)));
  }

  /** look finds a connection that is dead without saying so. */
  look() {
    if (!this.opened) return;
    const silent = Date.now() - this.heard;
    if (silent > 2 * this.silenceMs) this.drop(4000, "nothing heard for " + Math.round(silent / 1000) + " s");
    else if (silent > this.silenceMs) this.requests.add({ op: "ping" }, {});
  }

  /** drop ends a connection that is of no use any more and comes back. */
  drop(code, reason) {
    const socket = this.socket;
    this.detach();
    socket.close(code, reason.slice(0, 100));
    this.retry(reason);
  }

  onClose(code, reason) {
    const failure = this.failure;
    const opened = this.opened;
    this.detach();
    const why = reason || failure || (code === 1006 ? "no connection" : "closed with " + code);
    const spent = code === TOKEN_ENDED && typeof this.token !== "function";
    if (staysAway(code) || spent || (!opened && /\b40[13]\b/.test(failure))) this.become("closed", why);
    else this.retry(why);
  }

  /** detach forgets the socket; its late events mean nothing. */
  detach() {
    clearInterval(this.watch);
    clearTimeout(this.stable);
    clearTimeout(this.timer);
    clearTimeout(this.renewal);
    this.socket = null;
    this.opened = false;
    this.failure = "";
    this.requests.clear();
    for (const sub of this.subscriptions) sub.asked = false;
    for (const topic of this.topics.values()) this.changing(topic, () => topic.lost());
  }

  retry(why) {
    if (this.state === "closed") return;
    const pause = this.backoff.next();
    this.become("waiting", why);
    this.timer = setTimeout(() => this.connect(), pause);
  }

  become(state, why) {
    this.state = state;
    this.why = why;
    this.emit("state", state, why);
  }

  // Requests.

  ask(sub) {
    if (sub.closed || sub.error) return;
    const named = new Set();
    const request = sub.request();
    if (request.op === "resume") for (const name of Object.keys(request.topics)) named.add(name);
    sub.asked = true;
    this.requests.add(request, {
      onAnswer: (m) => {
        for (const [name, at] of Object.entries(m.topics)) this.begin(name, at, sub, named.has(name));
        sub.resolve(sub);
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

  onMessage(data) {
    this.heard = Date.now();
    this.received++;
    this.receivedBytes += typeof data === "string" ? data.length : data.byteLength;
    try {
      if (typeof data !== "string") for (const m of this.binary.read(data)) this.event(m);
      else this.text(readText(data));
    } catch (error) {
      const wrong = error instanceof ProtocolError ? error : new ProtocolError(error.message);
      this.emit("error", wrong);
      if (this.opened) this.drop(CLOSE_PROTOCOL, wrong.message);
    }
  }

  text(m) {
    if (typeof m.op !== "string") {
      this.event(m);
      return;
    }
    switch (m.op) {
      case "instruments":
        this.binary.learn(m.instruments);
        break;
      case "topic":
        for (const [name, at] of Object.entries(m.topics)) this.appeared(name, at);
        break;
      case "error":
        if (!this.requests.answer(m)) this.emit("error", new Error(m.code + ": " + m.message));
        break;
      case "unsubscribed":
        if (!this.requests.answer(m)) for (const name of m.topics) this.ended(name);
        break;
      case "subscribed": case "list": case "pong": case "auth":
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

  event(m) {
    const topic = this.topics.get(m.topic);
    if (!topic) return; // unsubscribed from, and on its way
    let what;
    try {
      this.changing(topic, () => { what = topic.apply(m); });
    } catch (error) {
      this.changing(topic, () => topic.become(topic.holdsState ? "broken" : topic.state, "range"));
      throw error;
    }
    if (what === "old") return;
    if (what === "lost") {
      this.lost(topic, m);
      return;
    }
    this.deliver(m, topic);
  }

  deliver(m, topic) {
    if (topic.subscription.onMessage) this.guard(topic.subscription.onMessage, m, topic);
    this.emit("message", m, topic);
  }

  /**
   * lost takes a message whose predecessors never came, which the relay never lets happen
   * without a word: the topic is asked for again from where it was.
   */
  lost(topic, m) {
    const gap = { type: "gap", topic: topic.name, seq: topic.seq, prev: topic.seq, ts_event: m.ts_event, ts_recv: m.ts_recv,
      reason: "client", first: String(topic.seq + 1), missed: null };
    topic.gaps++;
    this.changing(topic, () => topic.lost());
    this.deliver(gap, topic);
    const sub = topic.subscription;
    this.requests.add(sub.again(topic), {
      onAnswer: (answer) => { for (const [name, pos] of Object.entries(answer.topics)) this.begin(name, pos, sub, true); },
      onError: (answer) => this.emit("error", new Error(answer.code + ": " + answer.message)),
    });
  }

  /** changing runs what may change a topic's state and tells of it. */
  changing(topic, work) {
    const before = topic.state, why = topic.reason, epoch = topic.epoch;
    try {
      work();
    } finally {
      if (topic.state !== before || topic.reason !== why || topic.epoch !== epoch) {
        if (topic.subscription?.onTopic) this.guard(topic.subscription.onTopic, topic);
        this.emit("topic", topic);
      }
    }
  }
}

/** tokenProtocol carries a token in the upgrade, where browsers allow no header. */
function tokenProtocol(token) { return "tickrelay.token." + token; }
