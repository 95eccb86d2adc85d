// What a broken or malicious server sends: told as an error, never believed, never thrown.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { BinaryReader, Client, ProtocolError, readText } from "../tickrelay.js";
import { Fake, turn } from "./fake.js";

const BOOK = "binance.book.BTC-USDT";
const head = { topic: BOOK, seq: 5, prev: 4, ts_event: "1", ts_recv: "2" };

const bad = ["", "[]", "5", "null", "{", '{"op":5}', "{}", '"x"', "\u0000",
  { type: "book" }, { type: "book", ...head }, { type: "book", ...head, action: "update", bids: [["1"]], asks: [] },
  { type: "book", ...head, action: "update", bids: [[1, 2]], asks: [] }, { type: "book", ...head, action: "update", bids: {}, asks: [] },
  { type: "book", ...head, action: "erase", bids: [], asks: [] }, { type: "trade", ...head, topic: 5 }, { type: "trade", ...head, topic: "a.b" },
  { type: "trade", ...head, seq: -1 }, { type: "trade", ...head, seq: 1.5 }, { type: "trade", ...head, seq: "5" }, { type: "trade", ...head, seq: 2 ** 60 },
  { type: "trade", ...head, prev: undefined }, { type: "gap", ...head, reason: 5, missed: 1 }, { type: "gap", ...head, reason: "x", missed: "many" },
  { op: "subscribed" }, { op: "subscribed", topics: [] }, { op: "subscribed", topics: { [BOOK]: { epoch: 5, seq: 1 } } },
  { op: "topic", topics: { [BOOK]: { epoch: "5", seq: "1" } } }, { op: "topic", topics: { x: { epoch: "5", seq: 1 } } },
  { op: "instruments", instruments: [{ id: -1 }] }, { op: "instruments" }, { op: "unsubscribed", topics: [5] },
].map((m) => (typeof m === "string" ? m : JSON.stringify(m)));

async function live(format) {
  const client = new Client({ url: "ws://relay/ws", WebSocket: Fake, format, backoff: { random: () => 0 } });
  const errors = [];
  client.on("error", (e) => errors.push(e));
  client.subscribe(BOOK);
  await turn();
  const s = Fake.made.at(-1);
  s.open();
  s.give({ op: "subscribed", id: 1, topics: { [BOOK]: { epoch: "7", seq: 3 } } });
  return { client, s, errors };
}

test("bad text is a ProtocolError, and the connection is made anew", async () => {
  for (const text of bad) {
    assert.throws(() => readText(text), ProtocolError, text);
    const { client, s, errors } = await live("json");
    s.give(text);
    assert.equal(s.closedWith?.[0], 4002, text);
    assert.ok(errors[0] instanceof ProtocolError, text);
    assert.equal(client.state, "waiting");
    client.close();
  }
});

test("unknown kinds, fields and operations are passed over", async () => {
  const { client, s, errors } = await live("json");
  s.give({ op: "surprise" }, { type: "comet", ...head, seq: 4, prev: 3, tail: 7 }, { type: "trade", ...head, topic: "a.trades.b" }, { op: "error", code: "limit", message: "m" });
  assert.equal(s.closedWith, null);
  assert.equal(errors.length, 1);
  client.close();
});

test("numbers that are none break the book, and are not in it", async () => {
  for (const price of ["", "NaN", "1e9", "0x10", "-", "9".repeat(1000)]) {
    const { client, s } = await live("json");
    s.give({ type: "book", ...head, seq: 3, prev: 3, action: "snapshot", bids: [["9", "1"]], asks: [["10", "1"]] });
    assert.equal(client.book(BOOK).state, "live");
    const book = client.book(BOOK);
    s.give({ type: "book", ...head, seq: 4, prev: 3, action: "update", bids: [["8", "1"], [price, "1"]], asks: [] });
    assert.notEqual(book.state, "live", price);
    assert.equal(book.bids.length, 0, price);
    assert.equal(s.closedWith[0], 4002);
    client.close();
  }
});

test("names of Object's own change nothing", async () => {
  const { client, s } = await live("json");
  s.give('{"op":"topic","topics":{"__proto__":{"epoch":"1","seq":1}}}');
  assert.equal({}.epoch, undefined);
  assert.equal(client.topics.size, 1);
  client.close();
});

test("bad binary is a ProtocolError", () => {
  const reader = new BinaryReader(() => 0);
  assert.throws(() => reader.read(new ArrayBuffer(63)), ProtocolError);
  assert.deepEqual(reader.read(new ArrayBuffer(0)), []);
  assert.deepEqual(reader.read(new ArrayBuffer(64)), [], "kind 0 is none that we know");
  const one = new Uint8Array(64);
  one[0] = 1;
  assert.throws(() => reader.read(one.buffer), /not announced/);
  reader.learn([{ id: 0, venue: "x", symbol: "A-B" }]);
  one.fill(255, 8, 16);
  assert.throws(() => reader.read(one.buffer), /not exact/);
});

test("any damage to real messages is survived", async () => {
  const lines = readFileSync(new URL("golden.ndjson", import.meta.url), "utf8").trim().split("\n").map((l) => JSON.parse(l));
  let seed = 1;
  const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
  for (let round = 0; round < 400; round++) {
    const { client, s } = await live(round % 2 ? "binary" : "json");
    const topic = lines[round % lines.length].topic;
    const [venue, , symbol] = topic.split(".");
    s.give({ op: "topic", topics: { [BOOK]: { epoch: "9", seq: 1 } } });
    if (round % 2) s.give({ op: "instruments", instruments: [{ id: 7, venue, symbol }] });
    for (let i = 0; i < 10; i++) {
      const e = lines[random(lines.length)];
      if (round % 2) {
        const data = Uint8Array.from(e.records.match(/../g), (h) => parseInt(h, 16));
        for (let k = random(4); k > 0; k--) data[random(data.length)] = random(256);
        s.give(data.slice(0, data.length - (random(8) ? 0 : random(64))).buffer);
      } else {
        let text = JSON.stringify(e.json[0]).replaceAll("BTC-USDT-PERP", "BTC-USDT");
        for (let k = random(4); k > 0; k--) {
          const at = random(text.length);
          text = text.slice(0, at) + String.fromCharCode(32 + random(96)) + text.slice(at + 1);
        }
        s.give(text);
      }
    }
    const book = client.book(BOOK);
    if (book && !book.live && book.state !== "stale") assert.equal(book.bids.length + book.asks.length, 0);
    client.close();
  }
});
