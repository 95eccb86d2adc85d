// A past window: apart from the live topics, told once whatever the connection does.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Client, Replay } from "../tickrelay.js";
import { Fake, turn } from "./fake.js";

const BOOK = "okx.book.BTC-USDT", TRADES = "okx.trades.BTC-USDT";
const at = (n) => String(1000 + n);
const book = (seq, prev, n, rest = {}) => ({ type: "book", topic: BOOK, seq, prev, ts_event: "0", ts_recv: at(n), action: "update", bids: [], asks: [], ...rest });
const snapshot = (seq, n, price) => book(seq, seq, n, { action: "snapshot", bids: [[price, "1"]], asks: [["100", "1"]] });
const trade = (seq, n) => ({ type: "trade", topic: TRADES, seq, prev: seq - 1, ts_event: "0", ts_recv: at(n), id: "1", price: "5", size: "1", side: "buy" });
const gap = (topic, seq, n) => ({ type: "gap", topic, seq, prev: seq - 1, ts_event: "0", ts_recv: at(n), reason: "sequence", first: String(seq), missed: 1 });
const WINDOW = { from: at(0), to: at(100) };
const replaying = (id, topics) => ({ op: "replaying", id, topics, ...WINDOW });
const positions = (b, t, epoch = "7") => ({ [BOOK]: { epoch, seq: b }, [TRADES]: { epoch, seq: t } });

async function start(window, options = {}) {
  const client = new Client({ url: "ws://relay/ws", WebSocket: Fake, backoff: { random: () => 0 }, ...options });
  await turn();
  const live = Fake.made.at(-1);
  live.open();
  const seen = [], errors = [];
  const past = client.replay([BOOK, TRADES], { ...WINDOW, onMessage: (m) => seen.push(m.type + " " + m.seq), ...window });
  past.on("error", (e) => errors.push(e));
  await turn();
  return { client, live, past, seen, errors, socket: Fake.made.at(-1) };
}

async function again(old) {
  for (let i = 0; i < 400 && Fake.made.at(-1) === old; i++) await new Promise((r) => setTimeout(r, 5));
  assert.notEqual(Fake.made.at(-1), old, "no new attempt");
  Fake.made.at(-1).open();
  return Fake.made.at(-1);
}

test("plays a window on a connection of its own, to its end", async () => {
  const { client, live, past, seen, socket } = await start({ from: new Date(5), to: 7000000n, speed: "max", depth: 3, conflateMs: 20 });
  assert.notEqual(socket, live);
  client.subscribe(BOOK);
  live.give({ op: "subscribed", id: 1, topics: { [BOOK]: { epoch: "9", seq: 50 } } }, snapshot(50, 500, "77"));
  socket.open();
  assert.deepEqual(socket.last(), { op: "replay", topics: [BOOK, TRADES], from: "5000000", speed: "max", to: "7000000", depth: 3, conflate_ms: 20, id: 1 });
  socket.give(replaying(1, positions(3, 9)), snapshot(3, -5, "9"), trade(10, 1), book(4, 3, 2, { bids: [["9.5", "2"]] }));
  assert.equal(await past.ready, past);
  assert.equal(past.from, at(0));
  assert.equal(past.at, at(2));
  assert.equal(past.book(BOOK).bestBid.price, "9.5");
  assert.equal(client.book(BOOK).bestBid.price, "77");
  assert.ok(client.replays.has(past));
  socket.give({ op: "replay_end", id: 1, reason: "done", events: "2" }, trade(11, 3));
  assert.deepEqual(await past.done, { reason: "done" });
  assert.deepEqual(seen, ["book 3", "trade 10", "book 4"]);
  assert.equal(past.state, "closed");
  assert.equal(past.book(BOOK).state, "live"); // as of the window's end
  assert.equal(socket.closedWith[0], 1000);
  await turn();
  assert.equal(client.replays.size, 0);
  assert.equal(client.state, "live");
  client.close();
});

test("a lost connection goes on where it was: nothing twice, nothing missed", async () => {
  const { client, past, seen, socket, errors } = await start({});
  let s = socket;
  s.open();
  s.give(replaying(1, positions(3, 9)), snapshot(3, -5, "9"), book(4, 3, 1, { bids: [["9.5", "2"]] }), trade(10, 2), trade(11, 5), book(5, 4, 5, { bids: [["9.5", "0"]] }));
  s.end(1006);
  assert.equal(past.book(BOOK).state, "stale");
  s = await again(s);
  assert.equal(s.last().from, at(5));
  assert.equal(s.last().to, at(100));
  // State before at(5), then what came at that moment once more, then what is new.
  s.give(replaying(1 + 1, positions(4, 10)), snapshot(4, 1, "9.5"), book(5, 4, 5, { bids: [["9.5", "0"], ["9", "1"]] }), trade(11, 5), gap(BOOK, 6, 6), trade(12, 6));
  s.end(1006);
  s = await again(s);
  assert.equal(s.last().from, at(6));
  // The book was broken when the connection went: the snapshot with the gap's number is new.
  s.give(replaying(3, positions(5, 11)), snapshot(5, 5, "9"), gap(BOOK, 6, 6), trade(12, 6), snapshot(6, 6, "8"), trade(13, 7), { op: "replay_end", id: 3, reason: "done" });
  await past.done;
  assert.deepEqual(seen, ["book 3", "book 4", "trade 10", "trade 11", "book 5", "gap 6", "trade 12", "book 6", "trade 13"]);
  assert.equal(past.book(BOOK).bestBid.price, "8");
  assert.equal(past.sessions, 3);
  assert.deepEqual(errors, []);
  client.close();
});

test("numbers that another connection does not bring are told; another epoch is not taken for the one before", async () => {
  const { client, past, socket } = await start({});
  const gaps = [], trades = [];
  past.on("message", (m) => (m.type === "gap" ? gaps.push([m.topic, m.reason, m.first, m.missed]) : trades.push(m.seq)));
  let s = socket;
  s.open();
  s.give(replaying(1, positions(0, 9)), trade(10, 2), { op: "topic", topics: { [TRADES]: { epoch: "8", seq: 0 } } }, trade(1, 2));
  s.end(1006);
  s = await again(s);
  s.give(replaying(2, positions(0, 9)), trade(10, 2), { op: "topic", topics: { [TRADES]: { epoch: "8", seq: 0 } } }, trade(1, 2), trade(2, 3));
  assert.deepEqual(trades, [10, 1, 2]);
  s.end(1006);
  s = await again(s);
  s.give(replaying(3, positions(0, 4, "8")), trade(5, 6));
  assert.deepEqual(gaps, [[TRADES, "client", "3", 2]]);
  assert.deepEqual(trades, [10, 1, 2, 5]);
  client.close();
  await past.done;
});

test("conflated topics begin with their state again", async () => {
  const { client, seen, socket } = await start({ conflateMs: 50 });
  let s = socket;
  s.open();
  s.give(replaying(1, positions(3, 9)), snapshot(3, -5, "9"), book(8, 3, 5, { bids: [["9.5", "2"]] }), trade(10, 5));
  s.end(1006);
  s = await again(s);
  s.give(replaying(2, positions(7, 9)), snapshot(7, 4, "9"), trade(10, 5), book(8, 7, 5, { bids: [["9.5", "2"]] }), trade(11, 6));
  assert.deepEqual(seen, ["book 3", "book 8", "trade 10", "book 7", "book 8", "trade 11"]);
  client.close();
});

test("stop ends it at once", async () => {
  const { client, past, seen, socket } = await start({});
  socket.open();
  socket.give(replaying(1, positions(3, 9)), trade(10, 1));
  past.stop();
  socket.give(trade(11, 2));
  assert.deepEqual(await past.done, { reason: "stopped" });
  assert.deepEqual(seen, ["trade 10"]);
  assert.equal(socket.closedWith[0], 1000);
  past.stop();
  const other = client.replay(BOOK, WINDOW);
  client.close();
  assert.deepEqual(await other.done, { reason: "stopped" });
  await assert.rejects(other.ready, /stopped/);
  assert.throws(() => client.replay(BOOK, WINDOW), /closed/);
});

test("refusals and failures reject; what passes is asked for again", async () => {
  const refused = await start({});
  refused.socket.open();
  refused.socket.give({ op: "error", id: 1, code: "unsupported", message: "no recording is served here" });
  await assert.rejects(refused.past.done, (e) => e.code === "unsupported");
  await assert.rejects(refused.past.ready, /no recording/);
  assert.equal(refused.errors.length, 1);
  assert.equal(refused.client.state, "live");

  const limited = await start({});
  limited.socket.open();
  limited.socket.give({ op: "error", id: 1, code: "limit", message: "8 replays run already" });
  await assert.rejects(limited.past.done, (e) => e.code === "limit");

  const failed = await start({});
  failed.socket.open();
  failed.socket.give(replaying(1, positions(3, 9)), { op: "replay_end", id: 1, reason: "failed", message: "the recording cannot be read" });
  await assert.rejects(failed.past.done, (e) => e.code === "failed" && /cannot be read/.test(e.message));
  assert.equal(await failed.past.ready, failed.past);

  // A relay that stops, and one that has not noticed that the connection before is gone.
  const { past, socket, client } = await start({});
  socket.open();
  socket.give(replaying(1, positions(3, 9)), trade(10, 1), { op: "replay_end", id: 1, reason: "cancelled" });
  let s = await again(socket);
  s.give({ op: "error", id: 2, code: "limit", message: "8 replays run already" });
  s = await again(s);
  s.give(replaying(3, positions(3, 10)), { op: "replay_end", id: 3, reason: "done" });
  await past.done;

  // What breaks the protocol would come again each time.
  const broken = await start({});
  broken.socket.open();
  broken.socket.give({ op: "replaying", id: 1, topics: {} });
  await assert.rejects(broken.past.done, /from and to/);
  assert.equal(broken.socket.closedWith[0], 4002);
  assert.equal(broken.past.state, "closed");

  const away = await start({});
  away.socket.open();
  away.socket.end(1002, "your fault");
  await assert.rejects(away.past.done, /your fault/);
  for (const c of [client, refused.client, limited.client, failed.client, broken.client, away.client]) c.close();
});

test("windows that are none are refused here", async () => {
  const { client, past } = await start({});
  assert.ok(past instanceof Replay);
  for (const window of [{}, { from: 5 }, { from: new Date("x") }, { from: 0n }, { ...WINDOW, to: 5 }, { ...WINDOW, speed: 0 }, { ...WINDOW, speed: Infinity }, { ...WINDOW, speed: "fast" }]) {
    const made = Fake.made.length;
    assert.throws(() => client.replay(BOOK, window), (e) => e instanceof TypeError || e instanceof RangeError);
    assert.equal(Fake.made.length, made);
  }
  client.close();
});
