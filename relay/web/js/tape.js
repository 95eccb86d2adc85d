// The tape: the latest trades, newest first.

import { places } from "/client/tickrelay.js";
import { group, pad, put } from "./text.js";

const ROWS = 60;

export class Tape {
  constructor(find) {
    this.body = find("trades");
    this.state = find("tape-state");
    this.rows = [];
    for (let i = 0; i < ROWS; i++) {
      const row = document.createElement("tr");
      row.hidden = true;
      this.body.append(row);
      this.rows.push(row);
    }
    this.reset();
  }

  reset() {
    this.trades = [];
    this.fresh = 0; // of trades, how many are not drawn yet
    this.count = 0;
    this.pricePlaces = this.sizePlaces = 0;
    this.redraw = true;
  }

  /** apply takes a trade or gap message. */
  apply(m) {
    if (m.type !== "trade" && m.type !== "gap") return;
    if (m.type === "trade") {
      this.count++;
      const price = Math.max(this.pricePlaces, places(m.price ?? "")), size = Math.max(this.sizePlaces, places(m.size ?? ""));
      this.redraw ||= price !== this.pricePlaces || size !== this.sizePlaces;
      [this.pricePlaces, this.sizePlaces] = [price, size];
    }
    this.trades.unshift(m);
    if (this.trades.length > ROWS) this.trades.length = ROWS;
    this.fresh++;
  }

  /** draw moves the last rows to the top for what is new: no other row is written. */
  draw() {
    if (this.fresh === 0 && !this.redraw) return;
    put(this.state, this.count ? this.count + " since selected" : "none yet");
    const fresh = this.redraw ? ROWS : Math.min(this.fresh, ROWS);
    const moved = this.rows.splice(ROWS - fresh, fresh);
    this.rows.unshift(...moved);
    moved.forEach((row, i) => {
      const trade = this.trades[i];
      row.hidden = !trade;
      if (!trade) return;
      if (trade.type === "gap") this.drawGap(row, trade);
      else this.drawTrade(row, trade);
    });
    this.body.prepend(...moved);
    this.fresh = 0;
    this.redraw = false;
  }

  drawTrade(row, trade) {
    if (row.children.length !== 3) {
      const cells = [0, 1, 2].map(() => document.createElement("td"));
      const arrow = document.createElement("span");
      arrow.className = "arrow";
      cells[0].append(arrow, document.createTextNode(""));
      row.replaceChildren(...cells);
    }
    row.className = trade.side;
    const [price, size, time] = row.children;
    const arrow = trade.side === "buy" ? "▲" : trade.side === "sell" ? "▼" : "";
    price.firstChild.textContent = arrow;
    price.firstChild.setAttribute("aria-label", trade.side);
    price.lastChild.data = group(pad(trade.price ?? "–", this.pricePlaces));
    size.textContent = pad(trade.size ?? "–", this.sizePlaces);
    time.textContent = clock(trade.ts_event === "0" ? trade.ts_recv : trade.ts_event);
  }

  drawGap(row, gap) {
    const cell = document.createElement("td");
    cell.className = "mark";
    cell.textContent = (gap.missed ?? "some") + " missed (" + gap.reason + ")";
    row.className = "";
    row.replaceChildren(cell);
  }
}

function clock(ns) {
  const ms = Number(BigInt(ns) / 1000000n);
  return new Date(ms).toISOString().slice(11, 23);
}
