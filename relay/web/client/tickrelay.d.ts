// Types of the tickrelay client. Numbers of the market are decimal text, exact.

export interface Position { epoch: string; seq: number }

interface Head { topic: string; seq: number; prev: number; ts_event: string; ts_recv: string }
export interface Trade extends Head { type: "trade"; id: string; price: string | null; size: string | null; side: "buy" | "sell" | "unknown" }
export interface BookMessage extends Head { type: "book"; action: "snapshot" | "update"; bids: [string, string][]; asks: [string, string][] }
export interface Bbo extends Head { type: "bbo"; bid: [string, string] | null; ask: [string, string] | null }
export interface Ticker extends Head {
  type: "ticker"; last?: string | null; open?: string | null; high?: string | null; low?: string | null;
  volume?: string | null; turnover?: string | null; mark?: string | null; index?: string | null;
}
export interface Funding extends Head { type: "funding"; rate: string | null; next_ts: string; interval_s: number; predicted: boolean }
export interface OpenInterest extends Head { type: "open_interest"; size: string | null; value: string | null }
export interface Liquidation extends Head { type: "liquidation"; price: string | null; size: string | null; side: "buy" | "sell" | "unknown"; id: string }
export interface Status extends Head { type: "status"; status: string; effective_ts?: string }
export interface Signal extends Head { type: "signal"; signal: string; value: string | null; levels: number }
export interface Candle extends Head {
  type: "candle"; start: string; open: string | null; high: string | null; low: string | null; close: string | null;
  volume: string | null; turnover: string | null; trades: number; closed: boolean; incomplete: boolean;
}
/** reason "client": the client itself found that messages never came; it asks for them again. */
export interface Gap extends Head { type: "gap"; reason: string; first: string; missed: number | null }
export type Message = Trade | BookMessage | Bbo | Ticker | Funding | OpenInterest | Liquidation | Status | Signal | Candle | Gap;

/** One side of a book, best first. key is the price's mantissa at 10^exp. */
export class Levels {
  constructor(rising: boolean);
  readonly length: number;
  readonly exp: number;
  readonly list: { price: string; size: string; key: bigint }[];
  set(price: string, size: string): void;
  clear(): void;
}

export class Book {
  constructor(topic: string);
  readonly topic: string;
  readonly state: "building" | "live" | "stale" | "broken";
  readonly reason: string;
  readonly live: boolean;
  readonly seq: number;
  readonly tsEvent: string;
  readonly tsRecv: string;
  readonly bids: Levels;
  readonly asks: Levels;
  readonly bestBid?: { price: string; size: string };
  readonly bestAsk?: { price: string; size: string };
  apply(message: BookMessage | Gap): void;
  top(n?: number): { bids: [string, string][]; asks: [string, string][] };
}

export class Topic {
  constructor(name: string);
  readonly name: string;
  readonly venue: string;
  readonly channel: string;
  readonly symbol: string;
  readonly holdsState: boolean;
  readonly state: "waiting" | "building" | "live" | "broken" | "stale";
  readonly reason: string;
  readonly epoch: string;
  readonly seq: number;
  readonly gaps: number;
  readonly missed: number;
  readonly resumed: number;
  readonly messages: number;
  readonly book: Book | null;
  readonly value: Message | null;
  readonly subscription: Subscription | Replay | null;
}

export interface SubscriptionOptions {
  /** best levels per side of books, 0 (default): all; at most 1000 */
  depth?: number;
  /** least ms between messages of channels that hold a state, 0 (default): every event */
  conflateMs?: number;
  onMessage?(message: Message, topic: Topic): void;
  onTopic?(topic: Topic): void;
}

export class Subscription {
  readonly patterns: string[];
  readonly depth: number;
  readonly conflateMs: number;
  readonly topics: Map<string, Topic>;
  readonly error: { code: string; message: string } | null;
  readonly closed: boolean;
  /** resolves at the first answer, rejects if the relay refuses */
  readonly ready: Promise<Subscription>;
  close(): void;
}

export interface ClientOptions {
  /** of the relay's /ws; http and https become ws and wss; relative to the page in a browser */
  url: string | URL;
  format?: "json" | "binary";
  /** sent with the upgrade; a function is asked before each attempt */
  token?: string | (() => string | Promise<string>);
  /** a WebSocket constructor, where there is no global one */
  WebSocket?: unknown;
  /** third argument of that constructor, for instance TLS options of the package ws */
  socketOptions?: object;
  /** pause before attempts in ms: random() × min(most, first × 2^tries) */
  backoff?: { first?: number; most?: number; random?: () => number };
  /** ms without a message after which the relay is asked; after twice that the connection is given up */
  silenceMs?: number;
}

export type ClientState = "connecting" | "live" | "waiting" | "closed";

declare class Connection {
  readonly state: ClientState;
  readonly why: string;
  /** connections that were open */
  readonly sessions: number;
  readonly received: number;
  readonly receivedBytes: number;
  readonly topics: Map<string, Topic>;
  on(event: "state", handler: (state: ClientState, why: string) => void): () => void;
  on(event: "message", handler: (message: Message, topic: Topic) => void): () => void;
  on(event: "topic", handler: (topic: Topic) => void): () => void;
  on(event: "error", handler: (error: Error) => void): () => void;
  book(topic: string): Book | undefined;
}

export class Client extends Connection {
  constructor(options: ClientOptions);
  readonly subscriptions: Set<Subscription>;
  /** those that have not ended */
  readonly replays: Set<Replay>;
  subscribe(patterns: string | string[], options?: SubscriptionOptions): Subscription;
  /** plays a past window, on a connection of its own */
  replay(patterns: string | string[], window: ReplayWindow): Replay;
  /** another token before the one in force expires; a token function is asked by itself */
  authenticate(token: string): Promise<{ topics: string[]; expires: string | null }>;
  list(): Promise<Record<string, Position>>;
  close(code?: number, reason?: string): void;
}

/** A Date, or ns since 1970 UTC, or text: such ns, or RFC 3339. */
export type Time = Date | bigint | string;

export interface ReplayWindow extends SubscriptionOptions {
  /** the first moment of the window; the state of that moment comes first */
  from: Time;
  /** the first moment after it; default: when the relay gets the request */
  to?: Time;
  /** times the recorded pace, default 1, or as fast as messages are taken */
  speed?: number | "max";
}

export class Replay extends Connection {
  private constructor();
  readonly patterns: string[];
  /** ns since 1970 UTC once ready */
  readonly from: string;
  readonly to: string | null;
  readonly speed: number | "max";
  readonly depth: number;
  readonly conflateMs: number;
  /** receive time, ns since 1970 UTC, up to which the window was played */
  readonly at: string;
  /** resolves when the relay begins, rejects if it refuses */
  readonly ready: Promise<Replay>;
  /** rejects with an Error if the relay refuses (its code is in code) or cannot go on */
  readonly done: Promise<{ reason: "done" | "stopped" }>;
  stop(): void;
  close(): void;
}

export class ProtocolError extends Error {}
export function readText(text: string): object;
export class BinaryReader {
  constructor(position: (topic: string) => number);
  learn(entries: { id: number; venue: string; symbol: string }[]): void;
  read(buffer: ArrayBuffer | ArrayBufferView): Message[];
}
export class Backoff {
  constructor(options?: { first?: number; most?: number; random?: () => number });
  next(): number;
  reset(): void;
}
export function staysAway(code: number): boolean;
export function matches(pattern: string, topic: string): boolean;

export interface MarketRecord {
  kind: number; flags: number; venue: number; instrument: number; seq: number; tsEvent: bigint; tsRecv: bigint;
  price: bigint; size: bigint; id: bigint; side: number; level: number; priceExp: number; sizeExp: number; count: number;
}
export const RECORD_SIZE: 64;
export const ABSENT: bigint;
export const UNKNOWN_MISSING: number;
export const Kind: Readonly<Record<string, number>>;
export const Flag: Readonly<Record<string, number>>;
export const Side: Readonly<Record<string, number>>;
export function readRecord(view: DataView, at: number): MarketRecord;
export function readRecords(buffer: ArrayBuffer | ArrayBufferView): MarketRecord[];
export function messageLength(records: MarketRecord[], from: number): number;
export function toMessage(topic: string, prev: number, records: MarketRecord[]): Message;

/** value = mant × 10^exp */
export interface Decimal { mant: bigint; exp: number }
export function parse(text: string): Decimal;
export function format(mant: bigint, exp: number): string;
export function fixed(mant: bigint, places: number): string;
export function places(text: string): number;
export function scaled(d: Decimal, exp: number): bigint;
export function compare(a: Decimal, b: Decimal): number;
export function toNumber(d: string | Decimal): number;
