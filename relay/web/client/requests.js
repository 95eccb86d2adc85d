// Requests on their way: numbered, a few at a time, again when the relay says that they
// come too fast.

const AT_ONCE = 16; // the relay refuses more than 32 without an answer
const AGAIN_MS = 1000;

export class Requests {
  constructor(send) {
    this.send = send;
    this.id = 0;
    this.waiting = [];
    this.sent = new Map(); // by id
    this.timers = new Set();
  }

  /** add sends a request when it is its turn. */
  add(body, { onAnswer = null, onError = null }) {
    this.waiting.push({ body, onAnswer, onError });
    this.pump();
  }

  pump() {
    while (this.waiting.length > 0 && this.sent.size < AT_ONCE) {
      const request = this.waiting.shift();
      const id = ++this.id;
      this.sent.set(id, request);
      this.send(JSON.stringify({ ...request.body, id }));
    }
  }

  /** answer takes an answer and reports whether it belongs to a request. */
  answer(m) {
    const request = this.sent.get(m.id);
    if (!request) return false;
    this.sent.delete(m.id);
    if (m.op === "error" && m.code === "rate_limited") this.later(request);
    else if (m.op === "error") request.onError?.(m);
    else request.onAnswer?.(m);
    this.pump();
    return true;
  }

  later(request) {
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      this.waiting.push(request);
      this.pump();
    }, AGAIN_MS);
    this.timers.add(timer);
  }

  /** clear forgets all: the connection is gone. Lists are refused, subscriptions asked for anew. */
  clear() {
    const open = [...this.sent.values(), ...this.waiting];
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
    this.sent.clear();
    this.waiting = [];
    for (const request of open) if (request.body.op === "list") request.onError?.({ message: "the connection was lost" });
  }
}
