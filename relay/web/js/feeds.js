// The health of the feeds and their lines.

import { duration } from "./text.js";

export class Feeds {
  constructor(find) {
    this.body = find("feeds");
    this.before = new Map();
  }

  /** show takes an answer of /api/v1/feeds. */
  show({ now, feeds }) {
    const at = BigInt(now);
    const rows = feeds.flatMap((feed) => this.rows(feed, at));
    if (rows.length === 0) rows.push(row(["No feed runs in this process: the rings are filled by another one."], "empty"));
    // As many rows as before: only texts change, and the reading position stays.
    const old = [...this.body.children];
    if (old.length === rows.length && old.every((tr, i) => tr.cells.length === rows[i].cells.length)) old.forEach((tr, i) => copy(rows[i], tr));
    else this.body.replaceChildren(...rows);
  }

  /** rate is the frames per second of a feed or line since the last answer. */
  rate(key, frames, at) {
    const was = this.before.get(key);
    this.before.set(key, { at, frames });
    if (!was || at <= was.at) return "–";
    return String(Math.round(Math.max(0, frames - was.frames) / (Number(at - was.at) / 1e9)));
  }

  rows(feed, at) {
    const live = feed.lines.filter((line) => line.state === "live").length;
    const lag = (ns) => (ns ? duration(ns) : "–");
    const state = feed.state + " " + live + "/" + feed.lines.length;
    const out = [row([feed.name, state, this.rate(feed.name, feed.frames, at), String(feed.gaps), lag(feed.latency_p50_ns), lag(feed.latency_p99_ns)], "feed", feed.state)];
    if (feed.broken_books) out.push(row(["Books that wait for a snapshot: " + feed.broken_books], "note"));
    feed.lines.forEach((line, i) => {
      const since = line.since_ns !== "0" ? duration(Math.max(0, Number(at - BigInt(line.since_ns)))) : "";
      const again = line.reconnects ? line.reconnects + " reconnects" : "";
      out.push(row(["line " + line.line, line.state + (since ? " " + since : ""), this.rate(feed.name + "/" + i, line.frames, at), "", again, ""], "line", line.state));
      if (line.state !== "live" && line.error) out.push(row([line.error], "note"));
    });
    return out;
  }
}

function row(texts, kind, state) {
  const tr = document.createElement("tr");
  tr.className = kind;
  texts.forEach((text) => {
    const td = document.createElement("td");
    td.append(text);
    tr.append(td);
  });
  if (texts.length === 1) tr.firstChild.colSpan = 6;
  if (state) {
    tr.dataset.state = state;
    const dot = document.createElement("span");
    dot.className = "dot";
    tr.cells[1].prepend(dot);
  }
  return tr;
}

function copy(from, to) {
  to.className = from.className;
  if (from.dataset.state) to.dataset.state = from.dataset.state;
  else delete to.dataset.state;
  [...from.cells].forEach((cell, i) => { if (cell.textContent !== to.cells[i].textContent) to.cells[i].replaceChildren(...cell.childNodes); });
}
