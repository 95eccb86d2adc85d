// A WebSocket in the test's hands.

export class Fake extends EventTarget {
  static made = [];
  constructor(url, protocols, options) {
    super();
    Object.assign(this, { url, protocols, options, readyState: 0, sent: [], closedWith: null });
    Fake.made.push(this);
  }
  send(text) { this.sent.push(JSON.parse(text)); }
  close(code, reason) { this.readyState = 2; this.closedWith = [code, reason]; }
  fire(type, fields) { this.dispatchEvent(Object.assign(new Event(type), fields)); }
  open() { this.readyState = 1; this.fire("open", {}); }
  give(...messages) { for (const m of messages) this.fire("message", { data: typeof m === "string" || m instanceof ArrayBuffer ? m : JSON.stringify(m) }); }
  end(code, reason = "") { this.readyState = 3; this.fire("close", { code, reason }); }
  last() { return this.sent[this.sent.length - 1]; }
}

/** turn lets pending promises run. */
export const turn = () => new Promise((resolve) => setImmediate(resolve));
