// Wires the page: the client keeps books and topics, the panels are drawn at most once
// per animation frame, whatever the market does.

import { Client, places, toNumber } from "/client/tickrelay.js";
import { Access } from "./access.js";
import { Candles } from "./candles.js";
import { Depth } from "./depth.js";
import { Feeds } from "./feeds.js";
import { Ladder } from "./ladder.js";
import { Latency } from "./latency.js";
import { Picker } from "./picker.js";
import { Subscriptions } from "./subs.js";
import { Tape } from "./tape.js";
import { theme } from "./theme.js";
import { group, pad, put, short } from "./text.js";

const BOOK = { depth: 200, conflateMs: 33 }; // no faster than it is drawn
const QUOTES_MS = 500; // pace of the picker's prices
const MANY = 300; // markets beyond which the picker shows no prices
const LIST_MS = 10000, FEEDS_MS = 2000, SLOW_MS = 125, SPEAK_MS = 15000;

const find = (id) => document.getElementById(id);
const access = new Access(find);
const candles = new Candles(find), depth = new Depth(find), feeds = new Feeds(find), ladder = new Ladder(find);
const latency = new Latency(find), subscriptions = new Subscriptions(find), tape = new Tape(find);
const picker = new Picker(find, show);
let client = null;
let market = null; // what is shown: {venue, symbol}
let held = []; // its subscriptions
let candleSub = null, quotes = null;
let served = new Set(); // channels that this relay has topics of
let planned = false, slowAt = 0;

const topicOf = (channel) => market && client?.topics.get(market.venue + "." + channel + "." + market.symbol);

async function start() {
  await access.ensure();
  client = new Client({ url: new URL("/ws", location.href), token: async () => access.token || null });
  client.on("state", (state, why) => {
    const badge = find("link");
    badge.dataset.state = state;
    badge.title = why;
    put(badge.lastElementChild, state === "live" ? "live" : state === "waiting" ? why || "no connection" : state);
    if (state === "live") list();
    else {
      picker.gone();
      put(find("last-price"), "–");
    }
    if (state === "waiting" && /token/.test(why)) renew();
    plan();
  });
  client.on("message", (m) => {
    if (m.type === "bbo") picker.quote(m);
    plan();
  });
  client.on("topic", (topic) => {
    if (topic === topicOf("book") && topic.state === "broken") put(find("spoken"), "The order book is broken: " + topic.reason);
    if (topic.channel === "bbo" && topic.state !== "live") picker.gone(topic.name);
    plan();
  });
  client.on("error", (error) => console.info("tickrelay:", error.message));
  window.addEventListener("pagehide", () => client.close());
}

async function renew() {
  access.forget();
  await access.ensure();
}

async function list() {
  try {
    const names = Object.keys(await client.list());
    served = new Set(names.map((name) => name.split(".")[1]));
    picker.topics(names);
  } catch {
    return; // the connection went; the next one asks again
  }
  if (!quotes && picker.items.size > 0 && picker.items.size <= MANY) quotes = client.subscribe("*.bbo.*", { conflateMs: QUOTES_MS });
  if (!market) picker.first();
}

function show(item) {
  held.forEach((sub) => sub.close());
  market = item;
  ladder.reset();
  tape.reset();
  const [symbol, venue] = [document.createElement("span"), document.createElement("span")];
  [symbol.className, symbol.textContent] = ["symbol", item.symbol];
  [venue.className, venue.textContent] = ["venue", item.venue];
  find("instrument").replaceChildren(symbol, venue);
  document.title = item.symbol + " " + item.venue + " · tickrelay";
  put(find("last-price"), "–");
  noFigures();
  const name = (channel) => item.venue + "." + channel + "." + item.symbol;
  held = [
    client.subscribe(name("book"), { ...BOOK, onMessage: (m) => m.action === "update" && latency.add(m) }),
    client.subscribe(name("trades"), { onMessage: trade }),
    client.subscribe(name("ticker"), { conflateMs: QUOTES_MS }),
  ];
  chart();
  plan();
}

function trade(m) {
  tape.apply(m);
  if (m.type !== "trade") return;
  latency.add(m);
  candles.trade(m);
  if (m.price === null) return;
  const last = find("last-price");
  put(last, group(pad(m.price, tape.pricePlaces)));
  last.className = m.side;
}

/** chart asks for the candles of the market: those of the last day, then live. */
async function chart() {
  candleSub?.close();
  candles.reset();
  const { venue, symbol } = market, interval = candles.interval;
  const mine = () => market?.venue === venue && market?.symbol === symbol && candles.interval === interval;
  candleSub = client.subscribe(venue + ".candles_" + interval + "." + symbol, { onMessage: (m) => m.type === "candle" && candles.candle(m) });
  if (!served.has("candles_" + interval)) return;
  try {
    const answer = await access.get("/api/v1/candles/" + venue + "/" + encodeURIComponent(symbol) + "?limit=600&interval=" + interval);
    if (!answer.ok) return;
    const { candles: past } = await answer.json();
    if (mine()) past.forEach((c) => candles.past(c));
  } catch {
    return; // live ones come all the same
  }
  plan();
}

function noFigures() {
  for (const id of ["day-high", "day-low", "day-volume"]) put(find(id), "–");
  put(find("change"), "");
}

function figures() {
  const topic = topicOf("ticker"), t = topic?.value;
  if (topic?.state !== "live" || !t) return noFigures();
  for (const [id, stat] of [["day-high", "high"], ["day-low", "low"]]) if (t[stat]) put(find(id), group(t[stat]));
  if (t.volume) put(find("day-volume"), short(toNumber(t.volume)));
  if (t.open && t.last) {
    const by = toNumber(t.open) ? (toNumber(t.last) / toNumber(t.open) - 1) * 100 : 0;
    const change = find("change");
    put(change, (by >= 0 ? "+" : "") + by.toFixed(2) + " %");
    change.className = by >= 0 ? "buy" : "sell";
    if (find("last-price").textContent === "–") put(find("last-price"), group(pad(t.last, places(t.last))));
  }
}

/** plan has the page drawn with the next frame, once however many messages come. */
function plan() {
  if (planned) return;
  planned = true;
  requestAnimationFrame((now) => {
    planned = false;
    const fading = ladder.draw(topicOf("book"), now);
    tape.draw();
    if (candles.hurried) candles.draw();
    if (now - slowAt >= SLOW_MS) {
      slowAt = now;
      candles.draw();
      depth.draw(topicOf("book"));
      picker.draw();
      figures();
    }
    if (fading) plan();
  });
}

function every(ms, work) { setInterval(() => { if (client && !document.hidden) work(); }, ms); }

async function askFeeds() {
  try {
    const answer = await access.get("/api/v1/feeds");
    if (!answer.ok) return;
    const health = await answer.json();
    feeds.show(health);
    latency.feeds(health.feeds);
  } catch {
    return; // the badge says that the relay is away
  }
}

candles.onLook = plan;
every(1000, () => requestAnimationFrame(() => { latency.draw(); subscriptions.draw(client); }));
every(FEEDS_MS, askFeeds);
every(LIST_MS, () => { if (client.state === "live") list(); });
every(SPEAK_MS, () => put(find("spoken"), ladder.spoken(topicOf("book"))));
for (const button of document.querySelectorAll("[data-interval]")) {
  button.addEventListener("click", () => {
    candles.interval = button.dataset.interval;
    for (const b of document.querySelectorAll("[data-interval]")) b.setAttribute("aria-pressed", String(b === button));
    if (market) chart();
  });
}
theme(find("theme"), () => {
  candles.dirty = true;
  slowAt = 0;
  if (client) latency.draw();
  plan();
});
start().then(askFeeds);
