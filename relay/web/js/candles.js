// The candle chart. Candles come from the relay, which keeps the last day; where it makes
// none, those of the trades since the page was opened are drawn.

import { toNumber } from "/client/tickrelay.js";
import { Surface, steps } from "./canvas.js";
import { group, put, short } from "./text.js";

const AXIS = 74, FOOT = 20, SLOT = 7, KEEP = 1500;
const SPAN = { "1s": 1000, "1m": 60000 };

export class Candles {
  constructor(find) {
    this.surface = new Surface(find("chart"));
    this.legend = find("ohlc");
    this.interval = "1s";
    this.pointer = null; // candles from the right, where the reader looks
    const canvas = this.surface.canvas;
    canvas.addEventListener("pointermove", (e) => this.look((canvas.clientWidth - AXIS - e.offsetX) / SLOT));
    canvas.addEventListener("pointerleave", () => this.look(null));
    canvas.addEventListener("blur", () => this.look(null));
    canvas.addEventListener("keydown", (e) => {
      const by = { ArrowLeft: 1, ArrowRight: -1 }[e.key];
      if (!by) return;
      e.preventDefault();
      this.look(Math.max(0, Math.floor(this.pointer ?? -1) + by));
    });
    this.reset();
  }

  reset() {
    this.list = []; // {t: ms, o, h, l, c: numbers, v, text: [o, h, l, c]}
    this.fromRelay = false;
    this.dirty = true;
  }

  /** look moves the cross; hurried says that a reader waits for the drawing. */
  look(at) {
    this.pointer = at;
    this.dirty = this.hurried = true;
    this.onLook?.();
  }

  /** candle takes a live candle of the relay. */
  candle(m) { this.take(m, true); }

  /** past takes one of its history, which may be older than what came live meanwhile. */
  past(m) { this.take(m, false); }

  take(m, live) {
    if (!this.fromRelay) this.list = [];
    this.fromRelay = true;
    const text = [m.open, m.high, m.low, m.close];
    if (text.includes(null)) return;
    const t = ms(m.start);
    if (!live && this.list.some((k) => k.t === t && k.live)) return;
    const [o, h, l, c] = text.map(toNumber);
    this.put({ t, o, h, l, c, v: toNumber(m.volume ?? "0"), text, live });
  }

  put(candle) {
    let at = this.list.length;
    while (at > 0 && this.list[at - 1].t > candle.t) at--;
    if (at > 0 && this.list[at - 1].t === candle.t) this.list[at - 1] = candle;
    else this.list.splice(at, 0, candle);
    if (this.list.length > KEEP) this.list.splice(0, this.list.length - KEEP);
    this.dirty = true;
  }

  /** trade makes candles of trades, unless the relay makes them. */
  trade(m) {
    if (this.fromRelay || m.price === null) return;
    const t = Math.floor(ms(m.ts_event === "0" ? m.ts_recv : m.ts_event) / SPAN[this.interval]) * SPAN[this.interval];
    const p = toNumber(m.price), v = toNumber(m.size ?? "0");
    const last = this.list[this.list.length - 1];
    if (!last || last.t < t) {
      this.put({ t, o: p, h: p, l: p, c: p, v, text: [m.price, m.price, m.price, m.price] });
    } else if (last.t === t) {
      if (p > last.h) [last.h, last.text[1]] = [p, m.price];
      if (p < last.l) [last.l, last.text[2]] = [p, m.price];
      [last.c, last.text[3]] = [p, m.price];
      last.v += v;
      this.dirty = true;
    }
  }

  draw() {
    if (!this.dirty && !this.surface.stale) return;
    this.dirty = this.hurried = false;
    const { g, c, w, h } = this.surface.begin();
    const room = Math.max(1, Math.floor((w - AXIS - 4) / SLOT));
    const shown = this.slots(room);
    const filled = shown.filter(Boolean);
    if (!filled.length) {
      g.fillStyle = c.soft;
      g.textAlign = "center";
      g.fillText("no trade yet", w / 2, h / 2);
      put(this.legend, "");
      return;
    }
    let low = Math.min(...filled.map((k) => k.l)), high = Math.max(...filled.map((k) => k.h));
    const air = (high - low || Math.abs(high) * 1e-4 || 1) * 0.08;
    low -= air;
    high += air;
    const plot = h - FOOT, bars = plot * 0.2;
    const y = (p) => 4 + (plot - bars - 8) * (1 - (p - low) / (high - low));
    this.grid(g, c, w, h, plot, low, high, y, shown);
    this.bodies(g, c, w, plot, bars, y, shown, Math.max(1e-12, ...filled.map((k) => k.v)));
    this.lastLine(g, c, w, y, filled[0]);
    this.words(g, c, w, plot, shown, filled[0]);
  }

  /** slots are the newest candles by time, newest first; null where nothing was traded. */
  slots(room) {
    const out = [];
    const span = SPAN[this.interval];
    let at = this.list.length - 1;
    if (at < 0) return out;
    for (let t = this.list[at].t; out.length < room && at >= 0; t -= span) {
      if (this.list[at].t === t) out.push(this.list[at--]);
      else out.push(null);
      while (at >= 0 && this.list[at].t > t - span && this.list[at].t !== t - span) at--;
    }
    return out;
  }

  grid(g, c, w, h, plot, low, high, y, shown) {
    g.strokeStyle = c.line;
    g.fillStyle = c.soft;
    g.textAlign = "left";
    const tag = y(shown.find(Boolean).c);
    const digits = Math.max(0, Math.min(8, 1 - Math.floor(Math.log10(high - low))));
    for (const p of steps(low, high, plot / 56)) {
      const at = Math.round(y(p)) + 0.5;
      stroke(g, 0, at, w - AXIS, at);
      if (Math.abs(at - tag) > 16) g.fillText(group(p.toFixed(digits)), w - AXIS + 8, at + 4);
    }
    g.textAlign = "center";
    const newest = shown.find(Boolean).t, span = SPAN[this.interval], first = shown.indexOf(shown.find(Boolean));
    const every = this.interval === "1s" ? (w > 700 ? 15 : 20) : 15;
    shown.forEach((_, i) => {
      const t = newest - (i - first) * span;
      if ((t / span) % every !== 0) return;
      const x = Math.round(w - AXIS - (i + 0.5) * SLOT) + 0.5;
      if (x < 26) return;
      stroke(g, x, 0, x, plot);
      g.fillText(new Date(t).toISOString().slice(11, this.interval === "1s" ? 19 : 16), x, h - 5);
    });
  }

  bodies(g, c, w, plot, bars, y, shown, most) {
    shown.forEach((k, i) => {
      if (!k) return;
      const x = w - AXIS - (i + 1) * SLOT + 1, up = k.c >= k.o;
      g.fillStyle = up ? c["buy-bar"] : c["sell-bar"];
      const tall = Math.max(1, bars * (k.v / most));
      g.fillRect(x, plot - tall, SLOT - 2, tall);
      g.fillStyle = g.strokeStyle = up ? c.buy : c.sell;
      const middle = x + (SLOT - 2) / 2;
      stroke(g, middle, y(k.h), middle, y(k.l));
      const top = y(Math.max(k.o, k.c));
      g.fillRect(x, top, SLOT - 2, Math.max(1, y(Math.min(k.o, k.c)) - top));
    });
  }

  lastLine(g, c, w, y, last) {
    const at = Math.round(y(last.c)) + 0.5, colour = last.c >= last.o ? c.buy : c.sell;
    g.strokeStyle = colour;
    g.setLineDash([2, 3]);
    stroke(g, 0, at, w - AXIS, at);
    g.setLineDash([]);
    g.fillStyle = colour;
    g.fillRect(w - AXIS + 2, at - 9, AXIS - 4, 18);
    g.fillStyle = c.panel;
    g.textAlign = "left";
    g.fillText(group(last.text[3]), w - AXIS + 8, at + 4);
  }

  words(g, c, w, plot, shown, last) {
    let k = last;
    if (this.pointer !== null) {
      const i = Math.min(shown.length - 1, Math.max(0, Math.floor(this.pointer)));
      k = shown[i] ?? last;
      g.strokeStyle = c.faint;
      const x = Math.round(w - AXIS - (i + 0.5) * SLOT) + 0.5;
      g.setLineDash([3, 3]);
      stroke(g, x, 0, x, plot);
      g.setLineDash([]);
    }
    const [o, h, l, close] = k.text;
    put(this.legend, "O " + o + "  H " + h + "  L " + l + "  C " + close + "  V " + short(k.v));
    const when = new Date(k.t).toISOString().slice(11, 19);
    this.surface.canvas.setAttribute("aria-label", "Candle chart of " + this.interval + ", at " + when + ": open " + o + ", high " + h + ", low " + l + ", close " + close);
  }
}

function ms(ns) { return Number(BigInt(ns) / 1000000n); }

function stroke(g, x1, y1, x2, y2) {
  g.beginPath();
  g.moveTo(x1, y1);
  g.lineTo(x2, y2);
  g.stroke();
}
