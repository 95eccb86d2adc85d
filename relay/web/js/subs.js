// The subscriptions: every topic that this page holds, and what it is worth.

import { put } from "./text.js";

const MOST = 200; // rows

export class Subscriptions {
  constructor(find) {
    this.body = find("subs");
    this.rate = find("rate");
    this.rows = new Map();
    this.before = { at: performance.now(), messages: 0, bytes: 0 };
  }

  draw(client) {
    this.speed(client);
    const topics = [...client.topics.values()].sort((a, b) => (order(a) - order(b)) || (a.name < b.name ? -1 : 1)).slice(0, MOST);
    const names = topics.map((t) => t.name).join(" ");
    if (names !== this.names) {
      this.names = names;
      const rows = new Map(topics.map((t) => [t.name, this.rows.get(t.name) ?? row(t.name)]));
      this.rows = rows;
      this.body.replaceChildren(...rows.values());
    }
    for (const t of topics) this.show(this.rows.get(t.name), t);
  }

  show(tr, t) {
    const [, state, seq, gaps, resumed] = tr.cells;
    if (tr.dataset.state !== t.state) tr.dataset.state = t.state;
    put(state.lastChild, t.state + (t.state === "broken" ? ": " + t.reason : ""));
    put(seq, t.epoch ? String(t.seq) : "");
    put(gaps, t.gaps + (t.missed ? " (" + t.missed + ")" : ""));
    gaps.className = t.gaps ? "hurt" : "";
    gaps.title = t.missed ? t.missed + " records missed" : "";
    put(resumed, String(t.resumed));
  }

  speed(client) {
    const now = performance.now(), was = this.before;
    if (now - was.at < 900) return;
    const seconds = (now - was.at) / 1000;
    const messages = Math.round((client.received - was.messages) / seconds), kib = (client.receivedBytes - was.bytes) / seconds / 1024;
    this.before = { at: now, messages: client.received, bytes: client.receivedBytes };
    put(this.rate, messages + " messages/s · " + kib.toFixed(0) + " KiB/s");
  }
}

/** order puts what is wrong first, and the quotes of the list last. */
function order(t) {
  if (t.state === "broken") return 0;
  return t.channel === "bbo" ? 2 : 1;
}

function row(name) {
  const tr = document.createElement("tr");
  const cells = [0, 1, 2, 3, 4].map(() => document.createElement("td"));
  cells[0].textContent = name;
  cells[0].title = name;
  const dot = document.createElement("span");
  dot.className = "dot";
  cells[1].append(dot, document.createElement("span"));
  tr.append(...cells);
  return tr;
}
