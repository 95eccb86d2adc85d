// Wires the page: messages go to the panels as they come, the panels are drawn at
// most once per animation frame.

import { Link } from "./link.js";
import { Book, DEPTH } from "./book.js";
import { Tape } from "./tape.js";
import { Latency } from "./latency.js";
import { Picker } from "./picker.js";
import { Feeds } from "./feeds.js";

const QUOTES_MS = 500; // pace of the picker's prices
const MANY = 300; // instruments beyond which the picker shows no prices
const LIST_MS = 10000, CHART_MS = 500, SPEAK_MS = 15000;

const find = (id) => document.getElementById(id);
const book = new Book(find);
const tape = new Tape(find);
const latency = new Latency(find);
const picker = new Picker(find, show);
const feeds = new Feeds(find);
let shown = null; // the instrument shown
let topics = {}; // of it: {book, trades}
let messages = 0, gaps = 0, planned = false, quoting = false;

const link = new Link({
  onState(state, text) {
    find("link").dataset.state = state;
    find("link").lastElementChild.textContent = text;
    if (state !== "live") book.reset("not connected");
    plan();
  },
  onOpen() {
    quoting = false;
    link.send({ op: "list" });
    if (shown) subscribe();
  },
  onMessage(m) {
    messages++;
    if (m.op) answer(m);
    else event(m);
    plan();
  },
});

function answer(m) {
  if (m.op === "error") console.warn("tickrelay:", m.code, m.message);
  if (m.op !== "list" && m.op !== "topic") return;
  picker.topics(Object.keys(m.topics));
  if (m.op === "list" && !quoting && picker.items.size > 0 && picker.items.size <= MANY) {
    quoting = true;
    link.send({ op: "subscribe", topics: ["*.bbo.*"], conflate_ms: QUOTES_MS });
  }
}

function event(m) {
  if (m.type === "gap") {
    gaps++;
    find("gaps").textContent = gaps;
  }
  if (m.topic === topics.book) {
    book.apply(m, performance.now());
    if (m.action === "update") latency.add(m);
  } else if (m.topic === topics.trades) {
    tape.apply(m);
    if (m.type === "trade") latency.add(m);
  } else if (m.type === "bbo") {
    picker.quote(m);
  }
}

function show(item) {
  if (shown) link.send({ op: "unsubscribe", topics: Object.values(topics) });
  shown = item;
  topics = { book: item.venue + ".book." + item.symbol, trades: item.venue + ".trades." + item.symbol };
  const [symbol, venue] = [document.createElement("span"), document.createElement("span")];
  symbol.className = "symbol";
  symbol.textContent = item.symbol;
  venue.className = "venue";
  venue.textContent = item.venue;
  find("instrument").replaceChildren(symbol, venue);
  document.title = item.symbol + " " + item.venue + " · tickrelay";
  book.reset("waiting for a snapshot");
  tape.reset();
  latency.reset();
  subscribe();
  plan();
}

function subscribe() {
  link.send({ op: "subscribe", topics: [topics.book], depth: DEPTH });
  link.send({ op: "subscribe", topics: [topics.trades] });
}

function plan() {
  if (planned) return;
  planned = true;
  requestAnimationFrame((now) => {
    planned = false;
    const fading = book.draw(now);
    tape.draw();
    picker.draw();
    if (fading) plan();
  });
}

function every(ms, work) { setInterval(work, ms); }

every(1000, () => {
  find("rate").textContent = messages;
  messages = 0;
});
every(CHART_MS, () => {
  if (!document.hidden) requestAnimationFrame(() => latency.draw());
});
every(LIST_MS, () => link.send({ op: "list" }));
every(SPEAK_MS, () => { find("spoken").textContent = book.spoken(); });

const theme = find("theme");
const light = matchMedia("(prefers-color-scheme: light)");
function paint(name) { document.documentElement.dataset.theme = name; }
paint(stored() ?? (light.matches ? "light" : "dark"));
theme.addEventListener("click", () => {
  const next = document.documentElement.dataset.theme === "light" ? "dark" : "light";
  paint(next);
  try { localStorage.setItem("theme", next); } catch { /* private window */ }
});
function stored() {
  try { return localStorage.getItem("theme"); } catch { return null; }
}
