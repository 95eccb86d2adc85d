// The list of instruments: what there is, which one is shown, best prices of each.

import { places } from "/client/tickrelay.js";
import { group, pad } from "./text.js";

const CHANNELS = ["book", "trades"];

export class Picker {
  constructor(find, onPick) {
    this.list = find("topics");
    this.count = find("topic-count");
    this.filter = find("filter");
    this.onPick = onPick;
    this.items = new Map(); // "venue.symbol" → item
    this.filter.addEventListener("input", () => this.sift());
    this.list.addEventListener("keydown", (event) => this.move(event));
    this.filter.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown") this.step(this.visible()[0], event);
    });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.target.closest("input, dialog")) return;
      event.preventDefault();
      this.filter.focus();
    });
  }

  /** topics takes the names of all topics. */
  topics(names) {
    let grown = false;
    for (const name of names) {
      const [venue, channel, symbol] = name.split(".");
      const key = venue + "." + symbol;
      if (CHANNELS.includes(channel) && !this.items.has(key)) {
        this.items.set(key, this.make(key, venue, symbol));
        grown = true;
      }
    }
    if (!grown) return;
    const sorted = [...this.items.values()].sort((a, b) => (a.key < b.key ? -1 : 1));
    this.list.replaceChildren(...sorted.map((item) => item.row));
    this.count.textContent = this.items.size;
    this.sift();
  }

  /** first picks what the address names, else the first of the list. */
  first() {
    const wished = decodeURIComponent(location.hash.slice(1));
    const item = this.items.get(wished) ?? this.visible()[0];
    if (item) this.pick(item);
  }

  make(key, venue, symbol) {
    const row = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    const cells = ["symbol", "bid", "venue", "ask"].map((name) => {
      const cell = document.createElement("span");
      cell.className = name;
      button.append(cell);
      return cell;
    });
    cells[0].textContent = symbol;
    cells[2].textContent = venue;
    row.append(button);
    const item = { key, venue, symbol, row, button, bid: cells[1], ask: cells[3], quote: null };
    button.addEventListener("click", () => this.pick(item));
    return item;
  }

  pick(item) {
    if (this.picked) this.picked.button.removeAttribute("aria-current");
    this.picked = item;
    item.button.setAttribute("aria-current", "true");
    history.replaceState(null, "", "#" + encodeURIComponent(item.key));
    this.onPick(item);
  }

  /** quote takes a bbo message. */
  quote(m) {
    const [venue, , symbol] = m.topic.split(".");
    const item = this.items.get(venue + "." + symbol);
    if (item) item.quote = m;
  }

  /** gone takes the quotes away that are not known to be right any more: of one topic, or all. */
  gone(topic) {
    const [venue, , symbol] = topic?.split(".") ?? [];
    for (const item of topic ? [this.items.get(venue + "." + symbol)] : this.items.values()) {
      if (!item) continue;
      item.quote = null;
      item.bid.textContent = item.ask.textContent = "";
    }
  }

  draw() {
    for (const item of this.items.values()) {
      const m = item.quote;
      if (!m) continue;
      item.quote = null;
      const sides = [m.bid, m.ask].filter(Boolean);
      item.places = Math.max(item.places ?? 0, ...sides.map((side) => places(side[0])));
      item.bid.textContent = m.bid ? group(pad(m.bid[0], item.places)) : "";
      item.ask.textContent = m.ask ? group(pad(m.ask[0], item.places)) : "";
    }
  }

  sift() {
    const words = this.filter.value.toLowerCase().split(/\s+/);
    for (const item of this.items.values()) {
      item.row.hidden = !words.every((word) => item.key.toLowerCase().includes(word));
    }
  }

  visible() { return [...this.items.values()].filter((item) => !item.row.hidden).sort((a, b) => (a.key < b.key ? -1 : 1)); }

  move(event) {
    const items = this.visible();
    const at = items.findIndex((item) => item.button === document.activeElement);
    if (event.key === "ArrowDown") this.step(items[at + 1], event);
    if (event.key === "ArrowUp") this.step(items[at - 1], event);
  }

  step(item, event) {
    event.preventDefault();
    if (item) item.button.focus();
  }
}
