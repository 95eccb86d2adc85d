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
