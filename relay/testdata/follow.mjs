// Follows a relay as the Go test says, and tells what it holds. A line in is a command;
// a line out the answer.
//   {"open": [{url, format, topics, depth, conflateMs}]}  clients to make
//   {"report": true}                                      what each of them holds
// A WebSocket constructor is taken from the package ws where the test runs, else the global.

import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import process from "node:process";
import { Client } from "../web/client/tickrelay.js";

function constructor() {
  try {
    return createRequire(process.cwd() + "/")("ws");
  } catch {
    return globalThis.WebSocket;
  }
}

const followers = [];

function open({ url, format, subscriptions }) {
  const f = { client: null, trades: {}, lost: 0, base: null, wrong: [], messages: 0, gaps: 0 };
  f.client = new Client({ url, format, WebSocket: constructor(), backoff: { first: 20, most: 200 } });
  f.client.on("error", (error) => f.wrong.push(String(error)));
  f.client.on("topic", (topic) => {
    if (topic.channel === "trades" && f.base === null && topic.epoch) f.base = topic.seq;
  });
  f.client.on("message", (m, topic) => {
    f.messages++;
    if (m.type === "gap") {
      f.gaps++;
      if (m.reason === "client") f.wrong.push("missed without a word: " + JSON.stringify(m));
      if (topic.channel === "trades") f.lost += m.seq - Number(m.first) + 1;
    } else if (m.type === "trade") {
      if (m.seq in f.trades) f.wrong.push("trade " + m.seq + " came twice");
      f.trades[m.seq] = m.price;
    }
  });
  for (const s of subscriptions) f.client.subscribe(s.topics, { depth: s.depth, conflateMs: s.conflateMs });
  followers.push(f);
}

function report(f) {
  const topics = [...f.client.topics.values()];
  const books = {};
  for (const t of topics) if (t.book) books[t.name] = { state: t.state, ...t.book.top() };
  return { state: f.client.state, sessions: f.client.sessions, trades: f.trades, lost: f.lost, base: f.base, gaps: f.gaps, wrong: f.wrong,
    messages: f.messages, resumed: topics.reduce((n, t) => n + t.resumed, 0), seqs: Object.fromEntries(topics.map((t) => [t.name, t.seq])), books };
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  if (command.open) command.open.forEach(open);
  if (command.report) process.stdout.write(JSON.stringify(followers.map(report)) + "\n");
}
for (const f of followers) f.client.close();
