// The client against a socket that does what the test says.

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Client } from "../tickrelay.js";
import { Fake, turn } from "./fake.js";

const BOOK = "binance.book.BTC-USDT", TRADES = "binance.trades.BTC-USDT";
const book = (seq, prev, fields) => ({ type: "book", topic: BOOK, seq, prev, ts_event: "1", ts_recv: "2", action: "update", bids: [], asks: [], ...fields });
const trade = (seq) => ({ type: "trade", topic: TRADES, seq, prev: seq - 1, ts_event: "1", ts_recv: "2", id: "1", price: "5", size: "1", side: "buy" });
const SNAPSHOT = { action: "snapshot", bids: [["9", "1"]], asks: [["10", "1"]] };

async function start(options = {}) {
  const errors = [];
  const client = new Client({ url: "ws://relay/ws", WebSocket: Fake, backoff: { random: () => 0 }, ...options });
  client.on("error", (e) => errors.push(e));
  await turn();
  return { client, errors, socket: () => Fake.made.at(-1) };
}

/** again waits for the socket of the next attempt. */
async function again(old) {
  for (let i = 0; i < 200 && Fake.made.at(-1) === old; i++) await new Promise((r) => setTimeout(r, 5));
  assert.notEqual(Fake.made.at(-1), old, "no new attempt");
  return Fake.made.at(-1);
}

test("subscribes, follows a book, resumes where it was", async () => {
  const { client, socket, errors } = await start();
  const seen = [];
  const sub = client.subscribe([BOOK, "*.trades.*"], { depth: 5, conflateMs: 20, onMessage: (m) => seen.push(m.type) });
  let s = socket();
  assert.deepEqual(s.protocols, ["tickrelay.v1.json"]);
  s.open();
  assert.deepEqual(s.last(), { op: "subscribe", topics: [BOOK, "*.trades.*"], depth: 5, conflate_ms: 20, id: 1 });
  s.give({ op: "subscribed", id: 1, topics: { [BOOK]: { epoch: "7", seq: 3 } } });
  assert.equal(await sub.ready, sub);
  assert.equal(client.book(BOOK).state, "building");
  s.give(book(3, 3, SNAPSHOT), book(5, 3, { bids: [["9.5", "2"]] }));
  assert.equal(client.book(BOOK).bestBid.price, "9.5");
  s.give({ op: "topic", topics: { [TRADES]: { epoch: "7", seq: 40 } } }, trade(41));
  assert.deepEqual(seen, ["book", "book", "trade"]);

  s.end(1001);
  assert.equal(client.book(BOOK).state, "stale");
  assert.equal(client.state, "waiting");
  s = await again(s);
  s.open();
  assert.deepEqual(s.last(), { op: "resume", topics: { [BOOK]: { epoch: "7", seq: 5 }, [TRADES]: { epoch: "7", seq: 41 } },
    patterns: [BOOK, "*.trades.*"], depth: 5, conflate_ms: 20, id: 2 });
  s.give({ op: "subscribed", id: 2, topics: { [BOOK]: { epoch: "7", seq: 5 }, [TRADES]: { epoch: "7", seq: 41 } } });
  assert.equal(client.book(BOOK).state, "live");
  assert.equal(client.topics.get(BOOK).resumed, 1);
  s.give(trade(42), book(6, 5, { bids: [["9.5", "0"]] }));
  assert.deepEqual(client.book(BOOK).top(), { bids: [["9", "1"]], asks: [["10", "1"]] });
  assert.equal(seen.length, 5);
  client.close();
  assert.deepEqual(errors, []);
});

test("a broken book is subscribed to again, trades are resumed; another epoch begins anew", async () => {
  const { client, socket } = await start();
  client.subscribe([BOOK, TRADES]);
  let s = socket();
  s.open();
  s.give({ op: "subscribed", id: 1, topics: { [BOOK]: { epoch: "7", seq: 3 }, [TRADES]: { epoch: "7", seq: 9 } } }, book(3, 3, SNAPSHOT),
    { type: "gap", topic: BOOK, seq: 4, prev: 3, ts_event: "0", ts_recv: "0", reason: "checksum", first: "4", missed: null });
  assert.equal(client.book(BOOK).state, "broken");
  assert.equal(client.book(BOOK).reason, "checksum");
  assert.equal(client.book(BOOK).bids.length, 0);
  s.end(1006);
  s = await again(s);
  s.open();
  assert.deepEqual(s.last().topics, { [TRADES]: { epoch: "7", seq: 9 } });
  s.give({ op: "subscribed", id: 2, topics: { [BOOK]: { epoch: "8", seq: 1 }, [TRADES]: { epoch: "8", seq: 0 } } });
  s.give({ type: "gap", topic: TRADES, seq: 2, prev: 0, ts_event: "0", ts_recv: "0", reason: "disconnect", first: "1", missed: null }, trade(3), book(1, 1, SNAPSHOT));
  assert.equal(client.topics.get(TRADES).seq, 3);
  assert.equal(client.topics.get(TRADES).epoch, "8");
  assert.equal(client.topics.get(TRADES).gaps, 1);
  assert.equal(client.book(BOOK).state, "live");
  client.close();
});

test("a loss without a word is told and made good", async () => {
  const { client, socket } = await start();
  const gaps = [];
  client.subscribe([BOOK, TRADES], { onMessage: (m) => m.type === "gap" && gaps.push([m.topic, m.reason, m.first]) });
  const s = socket();
  s.open();
  s.give({ op: "subscribed", id: 1, topics: { [BOOK]: { epoch: "7", seq: 3 }, [TRADES]: { epoch: "7", seq: 9 } } }, book(3, 3, SNAPSHOT));
  s.give(book(9, 8, { bids: [["1", "1"]] }), book(10, 9, {}), trade(12));
  assert.deepEqual(gaps, [[BOOK, "client", "4"], [TRADES, "client", "10"]]);
  assert.equal(client.book(BOOK).state, "stale");
  assert.deepEqual(s.sent.slice(-2).map((r) => [r.op, r.topics]), [["resume", { [BOOK]: { epoch: "7", seq: 3 } }], ["resume", { [TRADES]: { epoch: "7", seq: 9 } }]]);
  s.give({ op: "subscribed", id: 2, topics: { [BOOK]: { epoch: "7", seq: 3 } } }, book(8, 3, { bids: [["8", "4"]] }), book(9, 8, {}));
  assert.deepEqual(client.book(BOOK).top().bids, [["9", "1"], ["8", "4"]]);
  assert.equal(client.book(BOOK).state, "live");
  client.close();
});

test("closing a subscription leaves the others' topics alone", async () => {
  const { client, socket } = await start();
  const one = client.subscribe("*.trades.*"), two = client.subscribe(TRADES);
  const s = socket();
  s.open();
  const at = { [TRADES]: { epoch: "7", seq: 9 } };
  s.give({ op: "subscribed", id: 1, topics: at }, { op: "subscribed", id: 2, topics: at });
  assert.equal(client.topics.get(TRADES).subscription, two);
  one.close();
  assert.equal(s.last().op, "unsubscribe");
  s.give({ op: "unsubscribed", id: 3, topics: [TRADES] });
  assert.deepEqual(s.last(), { op: "resume", topics: at, patterns: [TRADES], id: 4 });
  s.give({ op: "subscribed", id: 4, topics: at }, trade(10));
  assert.equal(client.topics.get(TRADES).seq, 10);
  two.close();
  s.give(trade(11));
  assert.equal(client.topics.size, 0);
  client.close();
});

test("stays away where coming back is of no use", async () => {
  for (const code of [1002, 1003, 1007, 1009]) {
    const { client, socket } = await start();
    socket().open();
    socket().end(code, "your fault");
    assert.equal(client.state, "closed", String(code));
    assert.equal(client.why, "your fault");
  }
  const { client, socket } = await start();
  socket().fire("error", { message: "Unexpected server response: 401" });
  socket().end(1006);
  assert.equal(client.state, "closed");
  assert.throws(() => client.subscribe(BOOK), /closed/);
});

test("a token may be a function, asked anew for each attempt", async () => {
  let n = 0;
  const { client, socket } = await start({ token: async () => "t" + ++n, format: "binary" });
  await turn();
  let s = socket();
  assert.equal(s.protocols[0], "tickrelay.v1.binary");
  assert.match(s.protocols[1], /t1$/);
  s.end(1006);
  s = await again(s);
  assert.match(s.protocols[1], /t2$/);
  client.close();
});

test("a silent connection is probed, then left", async () => {
  mock.timers.enable({ apis: ["setInterval", "setTimeout", "Date"] });
  mock.method(Math, "random", () => 0.99); // a short pause may be over already
  try {
    const client = new Client({ url: "ws://relay/ws", WebSocket: Fake, silenceMs: 3000 });
    for (let i = 0; i < 5; i++) await Promise.resolve();
    const s = Fake.made.at(-1);
    s.open();
    mock.timers.tick(4001);
    assert.equal(s.last().op, "ping");
    s.give({ op: "pong", id: s.last().id });
    mock.timers.tick(3000);
    assert.equal(client.state, "live");
    mock.timers.tick(5000);
    assert.equal(client.state, "waiting");
    assert.equal(s.closedWith[0], 4000);
    client.close();
  } finally {
    mock.timers.reset();
    mock.restoreAll();
  }
});

test("refusals are told; too many requests are sent again", async () => {
  const { client, socket, errors } = await start();
  const sub = client.subscribe("nonsense");
  const s = socket();
  s.open();
  s.give({ op: "error", id: 1, code: "bad_topic", message: "no such thing" });
  await assert.rejects(sub.ready, /bad_topic/);
  assert.equal(sub.error.code, "bad_topic");
  assert.equal(errors.length, 1);
  client.subscribe(BOOK);
  s.give({ op: "error", id: 2, code: "rate_limited", message: "slow down" });
  const before = s.sent.length;
  for (let i = 0; i < 300 && s.sent.length === before; i++) await new Promise((r) => setTimeout(r, 10));
  assert.deepEqual(s.last(), { op: "subscribe", topics: [BOOK], id: 3 });
  const list = client.list();
  s.give({ op: "list", id: 4, topics: { [BOOK]: { epoch: "1", seq: 1 } } });
  assert.deepEqual(Object.keys(await list), [BOOK]);
  client.close();
});

test("no more than sixteen requests wait for an answer", async () => {
  const { client, socket } = await start();
  for (let i = 0; i < 40; i++) client.subscribe("a.trades.S" + i);
  const s = socket();
  s.open();
  assert.equal(s.sent.length, 16);
  for (let i = 1; i <= 40; i++) s.give({ op: "subscribed", id: i, topics: {} });
  assert.equal(s.sent.length, 40);
  client.close();
});

test("what a handler throws does not stop the stream", async () => {
  const { client, socket, errors } = await start();
  client.subscribe(TRADES, { onMessage: () => { throw new Error("mine"); } });
  const s = socket();
  s.open();
  s.give({ op: "subscribed", id: 1, topics: { [TRADES]: { epoch: "7", seq: 0 } } }, trade(1), trade(2));
  assert.equal(client.topics.get(TRADES).seq, 2);
  assert.deepEqual(errors.map((e) => e.message), ["mine", "mine"]);
  assert.equal(client.state, "live");
  client.close();
});

test("a token function renews before the end; a fixed token that ended stays away", async () => {
  let n = 0;
  const { client, socket } = await start({ token: () => "t" + ++n });
  await turn();
  let s = socket();
  s.open();
  assert.deepEqual(s.last(), { op: "auth", token: "t1", id: 1 });
  s.give({ op: "auth", id: 1, topics: [">"], expires: String(BigInt(Date.now() + 1100) * 1000000n) });
  assert.deepEqual(client.grant.topics, [">"]);
  for (let i = 0; i < 300 && s.last().token !== "t2"; i++) await new Promise((r) => setTimeout(r, 10));
  assert.deepEqual(s.last(), { op: "auth", token: "t2", id: 2 });
  s.end(3000, "token expired");
  s = await again(s);
  assert.match(s.protocols[1], /t3$/);
  client.close();

  const fixed = await start({ token: "only" });
  fixed.socket().open();
  fixed.socket().end(3000, "token expired");
  assert.equal(fixed.client.state, "closed");
});

test("topics that a new token does not cover end", async () => {
  const { client, socket } = await start();
  const states = [];
  const sub = client.subscribe([BOOK, TRADES], { onTopic: (topic) => states.push(topic.name + " " + topic.state + " " + topic.reason) });
  const s = socket();
  s.open();
  s.give({ op: "subscribed", id: 1, topics: { [BOOK]: { epoch: "7", seq: 3 }, [TRADES]: { epoch: "7", seq: 9 } } }, book(3, 3, SNAPSHOT), { op: "unsubscribed", topics: [BOOK] });
  assert.equal(client.book(BOOK), undefined);
  assert.deepEqual([...sub.topics.keys()], [TRADES]);
  assert.equal(states.at(-1), BOOK + " waiting forbidden");
  client.close();
});

test("more topics than one message holds are resumed by several", async () => {
  const { client, socket, errors } = await start();
  const names = Array.from({ length: 1500 }, (_, i) => "binance.trades.COIN" + i + "-USDT");
  const at = (seq) => Object.fromEntries(names.map((name) => [name, { epoch: "1763842100123456789", seq }]));
  const sub = client.subscribe("*.trades.*");
  let s = socket();
  s.open();
  s.give({ op: "subscribed", id: 1, topics: at(9007199254740991) });
  await sub.ready;
  s.end(1006);
  s = await again(s);
  s.open();
  assert.ok(s.sent.length > 1);
  const named = new Set();
  for (const request of s.sent) {
    assert.equal(request.op, "resume");
    assert.ok(JSON.stringify(request).length < 65536);
    for (const name of Object.keys(request.topics)) named.add(name);
  }
  assert.equal(named.size, names.length);
  assert.deepEqual(s.sent.map((request) => request.patterns), [...Array(s.sent.length - 1).fill(undefined), ["*.trades.*"]]);
  const all = at(9007199254740991);
  for (const request of s.sent) {
    const answered = request.patterns ? names : Object.keys(request.topics);
    s.give({ op: "subscribed", id: request.id, topics: Object.fromEntries(answered.map((name) => [name, all[name]])) });
  }
  for (const name of names) assert.equal(client.topics.get(name).state, "live");
  client.close();
  assert.deepEqual(errors, []);
});
