// A connection to a relay: connects, proves who it is, comes back, and reads what is sent.
// What is asked for on it is the matter of Client and Replay.

import { Backoff, staysAway } from "./backoff.js";
import { BinaryReader, ProtocolError, readText } from "./decode.js";
import { Requests } from "./requests.js";

const PROTOCOLS = { json: "tickrelay.v1.json", binary: "tickrelay.v1.binary" };
const OPEN = 1; // WebSocket.readyState
const STABLE_MS = 10000; // a connection that held so long begins the pauses anew
const TOKEN_ENDED = 3000; // the relay's code for a token that expired or was revoked
export const CLOSE_PROTOCOL = 4002; // our own code: the relay sent what the protocol does not allow

/**
 * Connection is what Client and Replay have in common. Events: on("state", (state, why)),
 * on("message", (message, topic)), on("topic", (topic)), on("error", (error)). state is
 * "connecting", "live", "waiting" (for the next attempt) or "closed".
 *
 * It calls session() when it may be asked for something, parted() when it is gone,
 * answered(m) for operations, lost(topic, m) for a message whose predecessors never came.
 */
export class Connection {
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
    this.handlers = new Map();
    this.requests = new Requests((text) => this.socket.send(text));
    this.sessions = 0; // connections that were open
    this.received = 0; // messages
    this.receivedBytes = 0;
    this.state = "connecting";
    this.why = "";
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

  /** book is the book of a topic that is subscribed to, undefined if there is none. */
  book(topic) { return this.topics.get(topic)?.book ?? undefined; }

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
    socket.addEventListener("open", mine(() => this.opens()));
    socket.addEventListener("message", mine((event) => this.receive(event.data)));
    socket.addEventListener("close", mine((event) => this.closes(event.code, event.reason)));
    socket.addEventListener("error", mine((event) => { this.failure = event.message ?? ""; }));
  }

  open(token) {
    this.tokenSent = token;
    const protocols = [PROTOCOLS[this.format]];
    if (token) protocols.push(tokenProtocol(token));
    const args = this.socketOptions ? [this.socketOptions] : [];
    return new this.WebSocket(this.url.href, protocols, ...args);
  }

  opens() {
    this.opened = true;
    this.sessions++;
    this.failure = "";
    this.binary = new BinaryReader((name) => this.topics.get(name)?.seq ?? 0);
    this.heard = Date.now();
    this.watch = setInterval(() => this.look(), Math.max(10, this.silenceMs / 3));
    this.stable = setTimeout(() => this.backoff.reset(), STABLE_MS);
    this.become("live", "");
    if (this.tokenSent) this.authenticate(this.tokenSent).catch(() => {}); // tells when it ends
    this.session();
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

  closes(code, reason) {
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
    this.parted();
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

  // What comes.

  receive(data) {
    this.heard = Date.now();
    this.received++;
    this.receivedBytes += typeof data === "string" ? data.length : data.byteLength;
    try {
      if (typeof data !== "string") for (const m of this.binary.read(data)) this.event(m);
      else this.text(readText(data));
    } catch (error) {
      const wrong = error instanceof ProtocolError ? error : new ProtocolError(error.message);
      this.emit("error", wrong);
      if (this.opened) this.violated(wrong);
    }
  }

  /** violated is told of a message that breaks the protocol: nothing on this connection is believed any more. */
  violated(error) { this.drop(CLOSE_PROTOCOL, error.message); }

  text(m) {
    if (typeof m.op !== "string") {
      this.event(m);
      return;
    }
    switch (m.op) {
      case "instruments":
        this.binary.learn(m.instruments);
        break;
      case "error":
        if (!this.requests.answer(m)) this.emit("error", new Error(m.code + ": " + m.message));
        break;
      case "pong": case "auth":
        this.requests.answer(m);
        break;
      default:
        this.answered(m);
    }
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
    if (what === "ok") this.deliver(m, topic);
    if (what === "lost") this.lost(topic, m);
  }

  deliver(m, topic) {
    if (topic.subscription.onMessage) this.guard(topic.subscription.onMessage, m, topic);
    this.emit("message", m, topic);
  }

  /** missed tells that messages before m never came, and where that leaves the topic. */
  missed(topic, m) {
    const gap = { type: "gap", topic: topic.name, seq: topic.seq, prev: topic.seq, ts_event: m.ts_event, ts_recv: m.ts_recv,
      reason: "client", first: String(topic.seq + 1), missed: null };
    topic.gaps++;
    this.changing(topic, () => topic.lost());
    this.deliver(gap, topic);
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
