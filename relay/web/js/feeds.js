// The health of the feeds and their lines, asked for every two seconds.

import { duration } from "./latency.js";

const EVERY = 2000;

export class Feeds {
  constructor(find) {
    this.body = find("feeds");
    this.before = new Map();
    this.ask();
  }

  async ask() {
    try {
      const answer = await fetch("/api/v1/feeds");
      if (answer.ok) this.show(await answer.json());
    } catch {
      // The connection badge says that the relay is away.
    }
    setTimeout(() => this.ask(), EVERY);
  }

  show({ now, feeds }) {
    const seconds = (feed) => {
      const was = this.before.get(feed.name);
      this.before.set(feed.name, { now: BigInt(now), frames: feed.frames });
      if (!was) return "–";
      const span = Number(BigInt(now) - was.now) / 1e9;
      return span > 0 ? Math.round(Math.max(0, feed.frames - was.frames) / span).toString() : "–";
    };
    const rows = feeds.flatMap((feed) => this.rows(feed, seconds(feed)));
    if (rows.length === 0) rows.push(row(["No feed runs in this process."], "empty"));
    this.body.replaceChildren(...rows);
  }

  rows(feed, perSecond) {
    const live = feed.lines.filter((line) => line.state === "live").length;
    const lag = (ns) => (ns ? short(ns) : "–");
    const out = [row([feed.name, feed.state + " " + live + "/" + feed.lines.length, perSecond, String(feed.gaps),
      lag(feed.latency_p50_ns), lag(feed.latency_p99_ns)], "", feed.state)];
    if (feed.broken_books) out.push(row(["Books that wait for a snapshot: " + feed.broken_books], "line"));
    for (const line of feed.lines) {
      if (line.state !== "live" || line.error) {
        const text = "line " + line.line + " " + line.state + (line.error ? ": " + line.error : "");
        out.push(row([text], "line"));
      }
    }
    return out;
  }
}

function short(ns) { return duration(ns / 1e6).replace(/\.(\d)\d /, ".$1 "); }

function row(texts, kind, state) {
  const tr = document.createElement("tr");
  tr.className = kind;
  texts.forEach((text) => {
    const td = document.createElement("td");
    td.textContent = text;
    tr.append(td);
  });
  if (texts.length === 1) tr.firstChild.colSpan = 6;
  if (state) {
    tr.dataset.state = state;
    const dot = document.createElement("span");
    dot.className = "dot";
    tr.firstChild.prepend(dot);
  }
  return tr;
}
