// Decimals and books: exact, sorted, and never more than what is known.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Book, compare, fixed, format, matches, parse, places, toNumber, Backoff, staysAway } from "../tickrelay.js";

test("decimals are exact", () => {
  for (const text of ["0", "1", "-1", "64123.45", "0.00000011", "-0.5", "123456789012345678901234567890.000000000000000001"]) {
    const d = parse(text);
    assert.equal(format(d.mant, d.exp), text);
  }
  assert.equal(format(1500n, -2), "15");
  assert.equal(format(-5n, 3), "-5000");
  assert.equal(fixed(150n, 2), "1.50");
  assert.equal(fixed(-5n, 3), "-0.005");
  assert.equal(places("1.250"), 3);
  assert.ok(compare(parse("1.10"), parse("1.1")) === 0);
  assert.ok(compare(parse("9"), parse("10")) < 0);
  assert.ok(compare(parse("9007199254740993"), parse("9007199254740992")) > 0, "beyond doubles");
  assert.equal(toNumber("0.1"), 0.1);
  for (const bad of ["", "1e5", "+1", ".5", "5.", "0x1", " 1", "1 ", "1,0", "NaN", "--1", null, undefined, 5, {}, "9".repeat(500)]) {
    assert.throws(() => parse(bad), RangeError, String(bad));
  }
});

const book = (fields) => ({ type: "book", action: "update", bids: [], asks: [], seq: 1, prev: 0, ts_event: "1", ts_recv: "2", ...fields });

test("a book is sorted, exact, and empty unless it is live", () => {
  const b = new Book("x.book.A-B");
  assert.equal(b.state, "building");
  b.apply(book({ bids: [["1", "1"]] }));
  assert.equal(b.bids.length, 0, "an update before the snapshot is nothing");
  b.apply(book({ action: "snapshot", bids: [["100", "1"], ["99.5", "2"]], asks: [["100.5", "3"], ["101", "4"]] }));
  assert.ok(b.live);
  b.apply(book({ bids: [["99.75", "5"], ["100.0", "0"]], asks: [["100.25", "6"], ["100.50", "7"]], seq: 9 }));
  assert.deepEqual(b.top(), { bids: [["99.75", "5"], ["99.5", "2"]], asks: [["100.25", "6"], ["100.50", "7"], ["101", "4"]] });
  assert.deepEqual(b.top(1), { bids: [["99.75", "5"]], asks: [["100.25", "6"]] });
  assert.equal(b.bestBid.price, "99.75");
  assert.throws(() => b.apply(book({ bids: [["1", "-2"]] })), RangeError);
  b.apply({ type: "gap", reason: "checksum", seq: 10 });
  assert.equal(b.state, "broken");
  assert.equal(b.bids.length + b.asks.length, 0);
});

test("any order of levels gives the same sorted sides", () => {
  let seed = 7;
  const random = (n) => (seed = (seed * 48271) % 2147483647) % n;
  const b = new Book("x.book.A-B");
  const want = new Map();
  b.apply(book({ action: "snapshot" }));
  for (let i = 0; i < 20000; i++) {
    const price = format(BigInt(random(500)), -random(3));
    const size = String(random(3));
    b.apply(book({ asks: [[price, size]] }));
    if (size === "0") want.delete(price);
    else want.set(price, size);
  }
  const sorted = [...want].sort((x, y) => compare(parse(x[0]), parse(y[0])));
  assert.deepEqual(b.top().asks, sorted);
});

test("patterns match whole tokens", () => {
  const yes = [["a.b.c", "a.b.c"], ["*.b.c", "a.b.c"], ["a.>", "a.b.c"], [">", "a.b.c"], ["a.*.*", "a.b.c"]];
  const no = [["a.b", "a.b.c"], ["a.b.c.>", "a.b.c"], ["*.b.d", "a.b.c"], [">", "a.raw.c"], ["a.*.c", "a.raw.c"], ["a", "a.b.c"]];
  for (const [p, t] of yes) assert.ok(matches(p, t), p + " " + t);
  for (const [p, t] of no) assert.ok(!matches(p, t), p + " " + t);
  assert.ok(matches("a.raw.c", "a.raw.c"));
});

test("pauses grow, are spread fully, and have a ceiling", () => {
  const high = new Backoff({ first: 100, most: 1000, random: () => 0.9999999 });
  assert.deepEqual([1, 2, 3, 4, 5, 6].map(() => high.next()), [100, 200, 400, 800, 1000, 1000]);
  high.reset();
  assert.equal(high.next(), 100);
  assert.equal(new Backoff({ random: () => 0 }).next(), 0);
  for (const code of [1002, 1003, 1007, 1009]) assert.ok(staysAway(code));
  for (const code of [1000, 1001, 1006, 1008, 1011, 1012, 1013]) assert.ok(!staysAway(code));
});
