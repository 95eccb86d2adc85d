// The WebSocket: connects, comes back with growing pauses, hands messages on.

const FIRST_PAUSE = 500, LONGEST_PAUSE = 10000;

export class Link {
  /** onState(state, text), onOpen(), onMessage(object) */
  constructor({ onState, onOpen, onMessage }) {
    Object.assign(this, { onState, onOpen, onMessage });
    this.pause = FIRST_PAUSE;
    this.connect();
  }

  connect() {
    this.onState("connecting", "connecting");
    const url = new URL("/ws", location.href);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    const socket = (this.socket = new WebSocket(url, "tickrelay.v1.json"));
    socket.onopen = () => {
      this.pause = FIRST_PAUSE;
      this.onState("live", "live");
      this.onOpen();
    };
    socket.onmessage = (event) => this.onMessage(JSON.parse(event.data));
    socket.onclose = (event) => this.lost(event);
  }

  lost(event) {
    const wait = this.pause * (0.5 + Math.random() / 2);
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
    const why = event.reason || (event.code === 1006 ? "no connection" : "closed (" + event.code + ")");
    this.onState("lost", why);
    setTimeout(() => this.connect(), wait);
  }

  send(message) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }
}
