// Every kind of record becomes the very message that the relay's JSON has for it.

import assert from "node:assert/strict";
import { readFileSync, existsSync } from "node:fs";
import { test } from "node:test";
import { BinaryReader, readRecords, readText, toMessage } from "../tickrelay.js";

const lines = readFileSync(new URL("golden.ndjson", import.meta.url), "utf8").trim().split("\n").map((l) => JSON.parse(l));
const bytes = (hex) => Uint8Array.from(hex.match(/../g), (h) => parseInt(h, 16)).buffer;

for (const { name, topic, prev, records, json } of lines) {
  test("golden: " + name, () => {
    const reader = new BinaryReader(() => prev);
    const [venue, , symbol] = topic.split(".");
    reader.learn([{ id: 7, venue, symbol }]);
    const got = reader.read(bytes(records));
    assert.deepEqual(got, json);
    assert.deepEqual(got.map((m) => JSON.stringify(m)), json.map((m) => JSON.stringify(m)), "order of the fields");
    for (const m of json) readText(JSON.stringify(m));
  });
}

test("golden: layout version 1, as all languages read it", (t) => {
  const dir = new URL("../../../../ring/md/testdata/", import.meta.url);
  if (!existsSync(dir)) return t.skip("not in the repository");
  const hex = readFileSync(new URL("record_v1.hex", dir), "utf8").trim().split("\n");
  const want = readFileSync(new URL("record_v1.txt", dir), "utf8").trim().split("\n").filter((l) => l.startsWith("{"));
  assert.equal(hex.length, want.length);
  hex.forEach((h, i) => {
    const [record] = readRecords(bytes(h));
    const message = JSON.parse(want[i]);
    assert.deepEqual(toMessage(message.topic, message.prev, [record]), message);
  });
});

test("candles: six records are one message, several candles several", () => {
  const record = (seq, flags, start, level, price, size) => {
    const v = new DataView(new ArrayBuffer(64));
    v.setUint8(0, 13);
    v.setUint8(1, flags);
    v.setUint16(2, 1, true);
    v.setUint32(4, 7, true);
    v.setBigUint64(8, BigInt(seq), true);
    v.setBigInt64(32, price, true);
    v.setBigInt64(40, size, true);
    v.setBigUint64(48, start, true);
    v.setUint8(56, 10);
    v.setUint8(57, level);
    v.setInt8(58, -2);
    v.setInt8(59, -1);
    v.setUint32(60, 3, true);
    return new Uint8Array(v.buffer);
  };
  const absent = -(2n ** 63n);
  const parts = [];
  for (const [i, start] of [1000000000n, 2000000000n].entries()) {
    for (let level = 0; level < 6; level++) parts.push(record(i * 6 + level + 1, i ? 128 : 64, start, level, 6412345n + BigInt(level), level === 5 ? absent : 25n));
  }
  const reader = new BinaryReader(() => 0);
  reader.learn([{ id: 7, venue: "binance", symbol: "A-B" }]);
  const all = new Uint8Array(parts.length * 64);
  parts.forEach((p, i) => all.set(p, i * 64));
  const got = reader.read(all);
  const one = { type: "candle", topic: "binance.candles_1s.A-B", seq: 6, prev: 0, ts_event: "0", ts_recv: "0", start: "1000000000", open: "64123.45",
    high: "64123.46", low: "64123.47", close: "64123.48", volume: "2.5", turnover: null, trades: 3, closed: true, incomplete: false };
  assert.deepEqual(got, [one, { ...one, seq: 12, prev: 6, start: "2000000000", closed: false, incomplete: true }]);
});
