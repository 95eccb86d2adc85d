// Latency of the last seconds: venue → relay (ts_recv − ts_event) and relay → browser
// (now − ts_recv). Both compare two hosts' clocks unless they are one host.

const SPAN = 30000, STEP = 250, BUCKETS = SPAN / STEP;

class Series {
  constructor() { this.buckets = new Map(); }

  add(slot, ms) {
    let list = this.buckets.get(slot);
    if (!list) {
      this.buckets.set(slot, (list = []));
      for (const old of this.buckets.keys()) if (old <= slot - BUCKETS) this.buckets.delete(old);
    }
    if (list.length < 200) list.push(ms);
  }

  /** points are the medians by bucket, null where nothing came. */
  points(slot) {
    const out = [];
    for (let i = slot - BUCKETS + 1; i <= slot; i++) {
      const list = this.buckets.get(i);
      out.push(list ? quantile(list, 0.5) : null);
    }
    return out;
  }

  quantiles() {
    const all = [...this.buckets.values()].flat();
    return all.length ? [quantile(all, 0.5), quantile(all, 0.99)] : null;
  }
}

function quantile(list, q) {
  const sorted = [...list].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}

export function duration(ms) {
  const size = Math.abs(ms);
  if (size >= 1000) return (ms / 1000).toFixed(2) + " s";
  if (size >= 10) return ms.toFixed(0) + " ms";
  if (size >= 0.1) return ms.toFixed(2) + " ms";
  return (ms * 1000).toFixed(0) + " µs";
}

export class Latency {
  constructor(find) {
    this.canvas = find("chart");
    this.labels = [find("lat-venue"), find("lat-browser")];
    this.reset();
  }

  reset() { this.series = [new Series(), new Series()]; }

  add(m) {
    const wall = performance.timeOrigin + performance.now();
    const slot = Math.floor(wall / STEP);
    const recv = BigInt(m.ts_recv);
    if (m.ts_event !== "0") this.series[0].add(slot, Number(recv - BigInt(m.ts_event)) / 1e6);
    this.series[1].add(slot, wall - Number(recv / 1000n) / 1000);
  }

  draw() {
    const slot = Math.floor((performance.timeOrigin + performance.now()) / STEP);
    const style = getComputedStyle(this.canvas);
    const ratio = window.devicePixelRatio || 1;
    const width = this.canvas.clientWidth, height = this.canvas.clientHeight;
    if (this.canvas.width !== Math.round(width * ratio) || this.canvas.height !== Math.round(height * ratio)) {
      this.canvas.width = Math.round(width * ratio);
      this.canvas.height = Math.round(height * ratio);
    }
    const g = this.canvas.getContext("2d");
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.clearRect(0, 0, width, height);
    const lines = this.series.map((s) => s.points(slot));
    const top = niceTop(Math.max(0, ...lines.flat().filter((v) => v !== null)));
    this.grid(g, style, width, height, top);
    this.line(g, lines[0], style.getPropertyValue("--hop1"), width, height, top);
    this.line(g, lines[1], style.getPropertyValue("--hop2"), width, height, top);
    this.words();
  }

  grid(g, style, width, height, top) {
    g.strokeStyle = style.getPropertyValue("--line");
    g.fillStyle = style.getPropertyValue("--soft");
    g.font = "11px " + style.getPropertyValue("--mono");
    g.lineWidth = 1;
    for (let i = 0; i <= 2; i++) {
      const y = Math.round(yOf((top * i) / 2, height, top)) + 0.5;
      g.beginPath();
      g.moveTo(12, y);
      g.lineTo(width - 12, y);
      g.stroke();
      if (i > 0) g.fillText(duration((top * i) / 2), 12, y + 13);
    }
  }

  line(g, points, colour, width, height, top) {
    g.strokeStyle = colour;
    g.lineWidth = 1.75;
    g.lineJoin = "round";
    g.beginPath();
    let drawing = false;
    points.forEach((v, i) => {
      if (v === null) return;
      const x = 12 + ((width - 24) * i) / (BUCKETS - 1), y = yOf(Math.max(0, v), height, top);
      if (drawing) g.lineTo(x, y);
      else g.moveTo(x, y);
      drawing = true;
    });
    g.stroke();
  }

  words() {
    const names = ["Venue to relay", "relay to browser"];
    const spoken = this.series.map((s, i) => {
      const q = s.quantiles();
      this.labels[i].textContent = q ? duration(q[0]) + "  p99 " + duration(q[1]) : "–";
      return q ? names[i] + " median " + duration(q[0]) : names[i] + " unknown";
    });
    this.canvas.setAttribute("aria-label", spoken.join(", "));
  }
}

function yOf(v, height, top) { return height - 12 - ((height - 22) * v) / top; }

function niceTop(v) {
  if (v <= 0) return 1;
  const p = 10 ** Math.floor(Math.log10(v));
  return [1.2, 1.5, 2, 3, 5, 7.5, 10].map((f) => f * p).find((t) => t >= v * 1.05) ?? 10 * p;
}
