// The depth chart: sizes summed from the touch outwards, both sides on one scale.

import { toNumber } from "/client/tickrelay.js";
import { Surface, steps } from "./canvas.js";
import { put, short } from "./text.js";

const FOOT = 18;

export class Depth {
  constructor(find) {
    this.surface = new Surface(find("depth"));
    this.note = find("depth-note");
  }

  draw(topic) {
    const { g, c, w, h } = this.surface.begin();
    const book = topic?.state === "live" ? topic.book : null;
    if (!book || !book.bestBid || !book.bestAsk || w < 20) {
      put(this.note, "");
      return;
    }
    const sides = [sum(book.bids.list), sum(book.asks.list)];
    const mid = (sides[0][0].price + sides[1][0].price) / 2;
    // Both sides as far as the nearer end, so that neither is cut.
    const reach = Math.max(1e-12, Math.min(...sides.map((s) => Math.abs(s[s.length - 1].price - mid))));
    const inside = sides.map((s) => s.filter((p) => Math.abs(p.price - mid) <= reach));
    const most = Math.max(1e-12, ...inside.map((s) => (s.length ? s[s.length - 1].total : 0)));
    const x = (price) => w / 2 + ((price - mid) / reach) * (w / 2);
    const y = (total) => h - FOOT - (h - FOOT - 6) * (total / most);
    g.fillStyle = c.soft;
    g.textAlign = "center";
    for (const price of steps(mid - reach, mid + reach, Math.max(2, w / 130))) {
      g.strokeStyle = c.line;
      line(g, Math.round(x(price)) + 0.5, 0, Math.round(x(price)) + 0.5, h - FOOT);
      if (x(price) > 34 && x(price) < w - 34) g.fillText(tidy(price, reach), x(price), h - 5);
    }
    this.side(g, inside[0], x, y, h, 0, c.buy, c["buy-bar"]);
    this.side(g, inside[1], x, y, h, w, c.sell, c["sell-bar"]);
    g.strokeStyle = c.strong;
    line(g, Math.round(w / 2) + 0.5, 0, Math.round(w / 2) + 0.5, h - FOOT);
    const [bids, asks] = inside.map((s) => (s.length ? s[s.length - 1].total : 0));
    put(this.note, "±" + ((reach / mid) * 100).toFixed(2) + " %   bids " + short(bids) + "   asks " + short(asks));
    this.surface.canvas.setAttribute("aria-label", "Depth within " + ((reach / mid) * 100).toFixed(2) + " percent: bids " + short(bids) + ", asks " + short(asks));
  }

  side(g, points, x, y, h, edge, stroke, fill) {
    if (!points.length) return;
    const path = () => {
      g.beginPath();
      g.moveTo(x(points[0].price), h - FOOT);
      let before = h - FOOT;
      for (const p of points) {
        g.lineTo(x(p.price), before);
        before = y(p.total);
        g.lineTo(x(p.price), before);
      }
      g.lineTo(edge, before);
    };
    path();
    g.lineTo(edge, h - FOOT);
    g.fillStyle = fill;
    g.fill();
    path();
    g.strokeStyle = stroke;
    g.lineWidth = 1.5;
    g.stroke();
    g.lineWidth = 1;
  }
}

function sum(levels) {
  let total = 0;
  return levels.map((l) => ({ price: toNumber(l.price), total: (total += toNumber(l.size)) }));
}

function line(g, x1, y1, x2, y2) {
  g.beginPath();
  g.moveTo(x1, y1);
  g.lineTo(x2, y2);
  g.stroke();
}

function tidy(price, reach) { return price.toFixed(Math.max(0, Math.min(8, 1 - Math.floor(Math.log10(reach))))); }
