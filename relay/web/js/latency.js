// Latency by stage, as histograms of the last ten seconds: venue → relay and within the
// relay from its own counters, relay → browser from what arrives here. The first and the
// last compare the clocks of two hosts.

import { Surface } from "./canvas.js";
import { duration, put } from "./text.js";

const WINDOW_MS = 10000, BUCKETS = 26, FIRST_NS = 1000; // bucket i holds up to 2^i µs
const STAGES = [["receive", "venue → relay", "stage1"], ["publish", "socket → ring", "stage2"], ["browser", "relay → browser", "stage3"]];

class Stage {
  constructor(parent, label, colour) {
    this.label = label;
    this.colour = colour;
    this.root = document.createElement("div");
    this.root.className = "stage";
    const line = document.createElement("p");
    const name = document.createElement("span");
    name.textContent = label;
    this.figures = document.createElement("b");
    line.append(name, this.figures);
    const canvas = document.createElement("canvas");
    canvas.setAttribute("role", "img");
    this.root.append(line, canvas);
    parent.append(this.root);
    this.surface = new Surface(canvas);
    this.history = []; // {at, counts}: totals as they were
  }

  /** totals takes counts since some start; the window is the difference to an older one. */
  totals(at, counts) {
    const last = this.history[this.history.length - 1];
    if (last && counts.some((n, i) => n < last.counts[i])) this.history = []; // the relay began anew
    this.history.push({ at, counts });
    while (this.history.length > 2 && this.history[1].at <= at - WINDOW_MS) this.history.shift();
  }

  recent() {
    if (this.history.length < 2) return new Array(BUCKETS + 1).fill(0);
    const first = this.history[0].counts, last = this.history[this.history.length - 1].counts;
    return last.map((n, i) => n - first[i]);
  }

  draw() {
    const counts = this.recent();
    const total = counts.reduce((a, b) => a + b, 0);
    const { g, c, w, h } = this.surface.begin();
    const foot = 13, most = Math.max(1, ...counts), wide = w / counts.length;
    g.font = "10px " + c.mono;
    counts.forEach((n, i) => {
      g.fillStyle = c.line;
      g.fillRect(i * wide + 1, h - foot - 1, wide - 2, 1);
      const tall = n ? Math.max(2, (h - foot - 2) * (n / most)) : 0;
      g.fillStyle = c[this.colour];
      g.fillRect(i * wide + 1, h - foot - tall, wide - 2, tall);
    });
    g.fillStyle = c.soft;
    for (const [i, text] of [[0, "1 µs"], [10, "1 ms"], [20, "1 s"]]) {
      g.textAlign = i ? "center" : "left";
      g.fillText(text, i ? (i + 1) * wide : 0, h - 2);
    }
    const text = total ? "p50 " + upTo(counts, total, 0.5) + "  p99 " + upTo(counts, total, 0.99) : "–";
    put(this.figures, text);
    this.surface.canvas.setAttribute("aria-label", this.label + ", " + (total ? text + " of " + total + " events" : "no events"));
  }
}

/** upTo is the upper bound of the bucket that a quantile lies in. */
function upTo(counts, total, q) {
  let left = Math.ceil(total * q);
  for (let i = 0; i < counts.length; i++) {
    left -= counts[i];
    if (left <= 0) return i < BUCKETS ? "≤\u2009" + duration(FIRST_NS * 2 ** i) : ">\u2009" + duration(FIRST_NS * 2 ** (BUCKETS - 1));
  }
  return "–";
}

export class Latency {
  constructor(find) {
    this.stages = new Map(STAGES.map(([id, label, colour]) => [id, new Stage(find("stages"), label, colour)]));
    this.counts = new Array(BUCKETS + 1).fill(0);
  }

  /** add counts a message that was just received. */
  add(m) {
    const wall = performance.timeOrigin + performance.now();
    const ns = wall * 1e6 - Number(m.ts_recv);
    if (!(ns >= 0)) return; // the clocks differ
    const i = Math.ceil(Math.log2(Math.max(1, ns / FIRST_NS)));
    this.counts[Math.min(i, BUCKETS)]++;
  }

  /** feeds takes an answer of /api/v1/feeds: all feeds together. */
  feeds(list) {
    const now = performance.now();
    for (const name of ["receive", "publish"]) {
      const sum = new Array(BUCKETS + 1).fill(0);
      for (const feed of list) {
        const stage = feed.stages.find((s) => s.name === name);
        stage?.bounds_ns.concat(Infinity).forEach((bound, i) => {
          const at = bound === Infinity ? BUCKETS : Math.min(BUCKETS, Math.max(0, Math.ceil(Math.log2(bound / FIRST_NS))));
          sum[at] += stage.counts[i];
        });
      }
      this.stages.get(name).totals(now, sum);
    }
  }

  draw() {
    this.stages.get("browser").totals(performance.now(), [...this.counts]);
    for (const stage of this.stages.values()) stage.draw();
  }
}
