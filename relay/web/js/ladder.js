// The ladder: the best levels of the client's book, each row written only where it changed.

import { fixed, places, parse, scaled } from "/client/tickrelay.js";
import { group, pad, put } from "./text.js";

const ROWS = 30; // per side, at most
const ROW_PX = 20; // as in panels.css
const MARK_MS = 240; // how long a changed level stays marked

class Side {
  constructor(body, upwards) {
    this.body = body;
    this.fits = ROWS;
    this.slots = [];
    this.seen = new Map(); // price → {size, at}: what was drawn last
    for (let i = 0; i < ROWS; i++) this.slots.push(slot(body, upwards));
  }

  measure() { this.fits = Math.max(1, Math.min(ROWS, Math.floor(this.body.clientHeight / ROW_PX))); }

  /** marks notes which levels changed since the last drawing. */
  marks(levels, now) {
    const seen = new Map();
    for (const l of levels) {
      const was = this.seen.get(l.price);
      seen.set(l.price, was && was.size === l.size ? was : { size: l.size, at: this.seen.size ? now : 0 });
    }
    this.seen = seen;
  }
}

function slot(body, upwards) {
  const row = document.createElement("tr");
  const bar = document.createElement("td");
  bar.className = "depth-bar";
  bar.setAttribute("aria-hidden", "true");
  const cells = [0, 1, 2].map(() => document.createElement("td"));
  row.append(...cells, bar);
  row.hidden = true;
  if (upwards) body.prepend(row);
  else body.append(row);
  return { row, bar, cells, scale: -1, marked: false };
}

export class Ladder {
  constructor(find) {
    this.panel = find("book");
    this.state = find("book-state");
    this.mid = find("mid-price");
    this.note = find("mid-note");
    this.touch = { bid: find("best-bid"), ask: find("best-ask"), spread: find("spread") };
    this.asks = new Side(find("asks"), true);
    this.bids = new Side(find("bids"), false);
    new ResizeObserver(() => [this.asks, this.bids].forEach((side) => side.measure())).observe(this.panel);
    this.reset();
  }

  reset() {
    this.pricePlaces = this.sizePlaces = 0;
    this.asks.seen = new Map();
    this.bids.seen = new Map();
  }

  /** draw shows a topic's book; it returns true while marks have to fade. */
  draw(topic, now) {
    const book = topic?.book;
    const live = topic?.state === "live";
    this.panel.classList.toggle("stale", !live);
    put(this.state, live ? "#" + book.seq : words(topic));
    const shown = [this.asks, this.bids].map((side, i) => (book ? (i ? book.bids : book.asks).list.slice(0, side.fits) : []));
    for (const level of shown.flat()) {
      this.pricePlaces = Math.max(this.pricePlaces, places(level.price));
      this.sizePlaces = Math.max(this.sizePlaces, places(level.size));
    }
    const totals = shown.map((levels) => {
      let sum = 0n;
      return levels.map((level) => (sum += scaled(parse(level.size), -this.sizePlaces)));
    });
    const most = totals.reduce((m, list) => (list.length && list[list.length - 1] > m ? list[list.length - 1] : m), 1n);
    const fading = [this.asks, this.bids].map((side, i) => this.side(side, shown[i], totals[i], most, now));
    this.drawTouch(shown[1][0], shown[0][0]);
    return fading.includes(true);
  }

  side(side, levels, totals, most, now) {
    let fading = false;
    side.marks(levels, now);
    side.slots.forEach((slot, i) => {
      const level = levels[i];
      if (slot.row.hidden === Boolean(level)) slot.row.hidden = !level;
      if (!level) return;
      put(slot.cells[0], group(pad(level.price, this.pricePlaces)));
      put(slot.cells[1], pad(level.size, this.sizePlaces));
      put(slot.cells[2], fixed(totals[i], this.sizePlaces));
      const scale = Number((totals[i] * 1000n) / most) / 1000;
      if (slot.scale !== scale) {
        slot.scale = scale;
        slot.bar.style.transform = "scaleX(" + scale + ")";
      }
      const marked = now - side.seen.get(level.price).at < MARK_MS;
      fading ||= marked;
      if (slot.marked !== marked) {
        slot.marked = marked;
        slot.row.classList.toggle("changed", marked);
      }
    });
    return fading;
  }

  drawTouch(bid, ask) {
    put(this.touch.bid, bid ? group(pad(bid.price, this.pricePlaces)) : "–");
    put(this.touch.ask, ask ? group(pad(ask.price, this.pricePlaces)) : "–");
    if (!bid || !ask) {
      put(this.mid, "–");
      put(this.touch.spread, "–");
      put(this.note, "");
      return;
    }
    const b = scaled(parse(bid.price), -this.pricePlaces), a = scaled(parse(ask.price), -this.pricePlaces);
    put(this.mid, group(fixed((a + b) * 5n, this.pricePlaces + 1))); // one decimal more holds the half
    put(this.touch.spread, fixed(a - b, this.pricePlaces));
    const points = a + b > 0n ? Number(((a - b) * 2000000n) / (a + b)) / 100 : 0;
    put(this.note, "spread " + fixed(a - b, this.pricePlaces) + " · " + points.toFixed(2) + " bp");
  }

  /** spoken is the touch in words, for screen readers. */
  spoken(topic) {
    const { bestBid, bestAsk } = topic?.book ?? {};
    return topic?.state === "live" && bestBid && bestAsk ? "Best bid " + bestBid.price + ", best ask " + bestAsk.price : "";
  }
}

function words(topic) {
  if (!topic) return "waiting for the topic";
  const texts = { waiting: "waiting for the topic", building: "waiting for a snapshot", broken: "broken: " + topic.reason, stale: "not connected, as of #" + topic.seq };
  return texts[topic.state] ?? topic.state;
}
