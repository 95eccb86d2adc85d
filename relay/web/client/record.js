// The 64-byte record of the binary subprotocol, little-endian. The byte map is in the
// relay's record.md; layout version 1.

/** RECORD_SIZE is the size of a record in bytes. */
export const RECORD_SIZE = 64;

/** ABSENT is the mantissa of a price or size that is not there. */
export const ABSENT = -(2n ** 63n);

/** UNKNOWN_MISSING is the count of a gap that nobody can tell. */
export const UNKNOWN_MISSING = 0xffffffff;

/** Flag bits of a record. */
export const Flag = Object.freeze({ LAST: 1, FIRST: 2, SNAPSHOT: 4, ID_HASH: 8, CONFLATED: 16, RECOVERED: 32, CLOSED: 64, PARTIAL: 128 });

/** Kind codes of a record. */
export const Kind = Object.freeze({
  TRADE: 1, BOOK: 2, BBO: 3, TICKER: 4, FUNDING: 5, OPEN_INTEREST: 6, LIQUIDATION: 7, STATUS: 8,
  INSTRUMENT: 9, GAP: 10, SIGNAL: 11, HEARTBEAT: 12, CANDLE: 13,
});

/** Sides of a book record. */
export const Side = Object.freeze({ CLEAR: 0, BID: 1, ASK: 2, END: 3 });

/** kindNames by code; those of JSON's "type". */
export const kindNames = ["", "trade", "book", "bbo", "ticker", "funding", "open_interest", "liquidation", "status",
  "instrument", "gap", "signal", "heartbeat", "candle"];

/** venueNames by code. */
export const venueNames = ["", "binance", "binance-usdm", "binance-coinm", "bitget", "okx", "bybit", "bybit-linear",
  "bybit-inverse", "coinbase", "coinbase-exchange", "kraken", "kraken-futures", "bitstamp", "deribit", "gateio",
  "gateio-futures", "kucoin", "kucoin-futures", "hyperliquid", "upbit", "bitfinex"];

/** channelNames by code. */
export const channelNames = ["", "trades", "book", "bbo", "ticker", "funding", "open_interest", "liquidations", "status",
  "signals", "candles_1s", "candles_1m", "raw"];

export const statNames = ["last", "open", "high", "low", "volume", "turnover", "mark", "index"];
export const candleNames = ["open", "high", "low", "close", "volume", "turnover"];
export const reasonNames = ["unknown", "sequence", "checksum", "disconnect", "overrun", "range", "venue"];
export const statusNames = ["unknown", "trading", "halted", "pre_open", "auction", "post_only", "cancel_only",
  "limit_only", "reduce_only", "settling", "closed", "maintenance"];
export const signalNames = ["unknown", "obi", "microprice", "trade_imbalance", "ofi"];

const channelOfKind = [0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 9, 0];

/**
 * readRecord reads the record at a byte offset of a DataView. price, size and id are
 * BigInt mantissas and numbers; times are BigInt ns. seq is a number: a topic would need
 * 2^53 records to leave the exact ones.
 */
export function readRecord(view, at) {
  return {
    kind: view.getUint8(at), flags: view.getUint8(at + 1), venue: view.getUint16(at + 2, true),
    instrument: view.getUint32(at + 4, true), seq: Number(view.getBigUint64(at + 8, true)),
    tsEvent: view.getBigInt64(at + 16, true), tsRecv: view.getBigInt64(at + 24, true),
    price: view.getBigInt64(at + 32, true), size: view.getBigInt64(at + 40, true), id: view.getBigUint64(at + 48, true),
    side: view.getUint8(at + 56), level: view.getUint8(at + 57),
    priceExp: view.getInt8(at + 58), sizeExp: view.getInt8(at + 59), count: view.getUint32(at + 60, true),
  };
}

/** readRecords reads all records of a binary message; a length that is no multiple of 64 throws. */
export function readRecords(buffer) {
  const view = buffer instanceof ArrayBuffer ? new DataView(buffer) : new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  if (view.byteLength % RECORD_SIZE !== 0) throw new RangeError("binary message of " + view.byteLength + " bytes: no whole records");
  const records = [];
  for (let at = 0; at < view.byteLength; at += RECORD_SIZE) records.push(readRecord(view, at));
  return records;
}

/** channelOf is the channel code of a record; 0 if it concerns a stream as a whole. */
export function channelOf(r) {
  if (r.kind === Kind.GAP || r.kind === Kind.HEARTBEAT || r.kind === Kind.CANDLE) return r.side;
  return channelOfKind[r.kind] ?? 0;
}
