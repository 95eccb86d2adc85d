// tickrelay: a client for the market data of a tickrelay gateway, in browsers and Node.
// An ES module without dependencies and without a build step.

export { Client } from "./client.js";
export { Replay } from "./replay.js";
export { Subscription } from "./subscription.js";
export { Topic, matches } from "./topic.js";
export { Book, Levels } from "./book.js";
export { BinaryReader, ProtocolError, readText } from "./decode.js";
export { Backoff, staysAway } from "./backoff.js";
export { messageLength, toMessage } from "./message.js";
export { ABSENT, Flag, Kind, RECORD_SIZE, Side, UNKNOWN_MISSING, readRecord, readRecords } from "./record.js";
export { compare, fixed, format, parse, places, scaled, toNumber } from "./decimal.js";
