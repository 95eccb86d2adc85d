// Replays a window of the gateway that the Go test names, with and without cuts, and tells
// what came: past.mjs URL FROM TO. Where two ways give different messages, it says so.

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import process from "node:process";
import { Client } from "../web/client/tickrelay.js";

const Plain = createRequire(process.cwd() + "/")("ws");

/** WebSocket loses, when it is cut, what has arrived and was not read yet. */
class WebSocket extends Plain {
  cut() {
    this.lost = true;
    this.terminate();
  }
  emit(name, ...args) { return this.lost && name === "message" ? false : super.emit(name, ...args); }
}

const [url, from, to] = process.argv.slice(2);
const BOOK = "okx.book.BTC-USDT", ALL = "okx.>";

/** play replays the window; the connection is cut after each of so many messages. */
async function play(client, options, cuts = []) {
  const out = [], errors = [];
  const left = [...cuts];
  const past = client.replay(ALL, { from, to, speed: "max", ...options, onMessage: (m) => {
    out.push(m);
    if (out.length === left[0]) {
      left.shift();
      past.socket.cut();
    }
  } });
  past.on("error", (e) => errors.push(String(e)));
  assert.deepEqual(await past.done, { reason: "done" });
  assert.deepEqual(errors, []);
  assert.equal(past.sessions, cuts.length + 1);
  return { out, book: past.book(BOOK), state: past.book(BOOK).state };
}

/** same holds two lists of messages to each other. */
function same(got, want, what) {
  const n = want.findIndex((m, i) => JSON.stringify(m) !== JSON.stringify(got[i]));
  if (n >= 0 || got.length !== want.length) {
    throw new Error(what + ": message " + n + " of " + want.length + " is\n" + JSON.stringify(got[n]) + "\nwant\n" + JSON.stringify(want[n]));
  }
}

const result = { messages: 0, top: null, live: null };
for (const depth of [0, 2]) {
  let before = null;
  for (const format of ["json", "binary"]) {
    const client = new Client({ url, format, WebSocket, backoff: { first: 10, most: 50 } });
    const sub = client.subscribe(BOOK);
    await sub.ready;
    const whole = await play(client, { depth });
    const torn = await play(client, { depth }, [1, 2, 17, 40, 41, 90]);
    // A window of a book is shown afresh on each connection.
    const told = (m) => depth === 0 || m.type !== "book";
    same(torn.out.filter(told), whole.out.filter(told), format + " cut");
    assert.deepEqual(torn.book.top(), whole.book.top());
    assert.equal(torn.state, "live");
    if (before) same(whole.out, before, "binary beside JSON");
    before = whole.out;
    if (depth === 0) Object.assign(result, { top: whole.book.top(), messages: whole.out.length });

    // Two at a time, one of them slow and stopped; a refusal; the live book knows of none.
    const slow = client.replay(ALL, { from, to, speed: 1e-6 });
    await slow.ready;
    assert.equal(slow.from, from);
    const [other] = await Promise.all([play(client, { depth }), assert.rejects(client.replay("okx.candles_1s.BTC-USDT", { from }).done, (e) => e.code === "unsupported")]);
    same(other.out, whole.out, "beside another");
    slow.stop();
    assert.deepEqual(await slow.done, { reason: "stopped" });
    while (client.book(BOOK).state !== "live") await new Promise((resolve) => client.on("message", resolve));
    result.live = client.book(BOOK).top();
    assert.equal(client.sessions, 1);
    client.close();
  }
}
process.stdout.write(JSON.stringify(result) + "\n");
