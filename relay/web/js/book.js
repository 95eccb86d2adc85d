// The order book: keeps the levels of a window and draws the ladder.

import { parse, compare, decimals, pad, at, format, group } from "./decimal.js";

const ROWS = 25; // levels per side asked for and at most shown
export const DEPTH = ROWS;
const ROW_PX = 21; // height of a row, as in panels.css
const MARK_MS = 220; // how long a changed level stays marked

class Side {
  constructor(body, best) {
    this.body = body;
    this.fits = ROWS; // whole rows that the panel has room for
    this.best = best; // 1: the highest price is the best, -1: the lowest
    this.levels = []; // {price, size: text, p, s: decimals, mark: ms}, best first
    this.rows = [];
    for (let i = 0; i < ROWS; i++) this.rows.push(makeRow(body, best < 0));
  }

  clear() { this.levels = []; }

  measure() { this.fits = Math.max(1, Math.min(ROWS, Math.floor(this.body.clientHeight / ROW_PX))); }

  set([price, size], now) {
    const p = parse(price);
    let lo = 0, hi = this.levels.length;
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if (compare(this.levels[mid].p, p) * this.best > 0) lo = mid + 1;
      else hi = mid;
    }
    const found = lo < this.levels.length && compare(this.levels[lo].p, p) === 0;
    if (size === "0") {
      if (found) this.levels.splice(lo, 1);
      return;
    }
    const level = { price, size, p, s: parse(size), mark: now };
    this.levels.splice(lo, found ? 1 : 0, level);
  }
}

function makeRow(body, upwards) {
  const row = document.createElement("tr");
  const bar = document.createElement("td");
  bar.className = "depth";
  bar.setAttribute("aria-hidden", "true");
  const cells = [0, 1, 2].map(() => document.createElement("td"));
  row.append(...cells, bar);
  row.hidden = true;
  if (upwards) body.prepend(row);
  else body.append(row);
  return { row, bar, cells, price: "", size: "", total: "", scale: -1, marked: false };
}

function put(slot, key, cell, text) {
  if (slot[key] === text) return;
  slot[key] = text;
  cell.textContent = text;
}

export class Book {
  constructor(find) {
    this.panel = find("book");
    this.state = find("book-state");
    this.mid = find("mid-price");
    this.note = find("mid-note");
    this.bid = find("best-bid");
    this.ask = find("best-ask");
    this.spread = find("spread");
    this.asks = new Side(find("asks"), -1);
    this.bids = new Side(find("bids"), 1);
    const measure = () => [this.asks, this.bids].forEach((side) => side.measure());
    new ResizeObserver(measure).observe(this.panel);
    this.reset("waiting for a snapshot");
  }

  reset(why) {
    this.asks.clear();
    this.bids.clear();
    this.live = false;
    this.why = why;
    this.seq = 0;
    this.pricePlaces = this.sizePlaces = 0;
  }

  /** apply takes a book or gap message. */
  apply(m, now) {
    this.seq = m.seq;
    if (m.type === "gap") {
      this.live = false;
      this.why = "broken: " + m.reason;
      return;
    }
    if (m.action === "snapshot") {
      this.asks.clear();
      this.bids.clear();
      this.live = true;
    }
    for (const level of m.bids) this.bids.set(level, now);
    for (const level of m.asks) this.asks.set(level, now);
  }

  /** draw shows the state; it returns true while marks have to fade. */
  draw(now) {
    this.panel.classList.toggle("stale", !this.live);
    this.state.textContent = this.live ? "#" + this.seq : this.why;
    const shown = [this.asks, this.bids].map((side) => side.levels.slice(0, side.fits));
    for (const level of shown.flat()) {
      this.pricePlaces = Math.max(this.pricePlaces, decimals(level.price));
      this.sizePlaces = Math.max(this.sizePlaces, decimals(level.size));
    }
    const totals = shown.map((levels) => this.totals(levels));
    let most = 1n;
    for (const list of totals) if (list.length && list[list.length - 1] > most) most = list[list.length - 1];
    const fading = [this.asks, this.bids].map((side, i) => this.drawSide(side, shown[i], totals[i], most, now));
    this.drawTouch(shown[1][0], shown[0][0]);
    return fading.includes(true);
  }

  totals(levels) {
    let sum = 0n;
    return levels.map((level) => (sum += at(level.s, this.sizePlaces)));
  }

  drawSide(side, levels, totals, most, now) {
    let fading = false;
    side.rows.forEach((slot, i) => {
      const level = levels[i];
      if (slot.row.hidden === Boolean(level)) slot.row.hidden = !level;
      if (!level) return;
      put(slot, "price", slot.cells[0], group(pad(level.price, this.pricePlaces)));
      put(slot, "size", slot.cells[1], pad(level.size, this.sizePlaces));
      put(slot, "total", slot.cells[2], format(totals[i], this.sizePlaces));
      const scale = Number((totals[i] * 1000n) / most) / 1000;
      if (slot.scale !== scale) {
        slot.scale = scale;
        slot.bar.style.transform = "scaleX(" + scale + ")";
      }
      const marked = now - level.mark < MARK_MS;
      fading ||= marked;
      if (slot.marked !== marked) {
        slot.marked = marked;
        slot.row.classList.toggle("changed", marked);
      }
    });
    return fading;
  }

  drawTouch(bid, ask) {
    this.bid.textContent = bid ? group(pad(bid.price, this.pricePlaces)) : "–";
    this.ask.textContent = ask ? group(pad(ask.price, this.pricePlaces)) : "–";
    if (!bid || !ask) {
      this.mid.textContent = this.spread.textContent = "–";
      this.note.textContent = "";
      return;
    }
    const scale = this.pricePlaces;
    const b = at(bid.p, scale), a = at(ask.p, scale);
    // One decimal more holds the half exactly.
    this.mid.textContent = group(format((a + b) * 5n, scale + 1));
    this.spread.textContent = format(a - b, scale);
    const points = a + b > 0n ? Number(((a - b) * 2000000n) / (a + b)) / 100 : 0;
    this.note.textContent = "mid · spread " + format(a - b, scale) + " · " + points.toFixed(2) + " bp";
  }

  /** spoken is the touch in words, for screen readers. */
  spoken() {
    const bid = this.bids.levels[0], ask = this.asks.levels[0];
    return this.live && bid && ask ? "Best bid " + bid.price + ", best ask " + ask.price : "";
  }
}
