package md

// RecordSize is the size of a Record in bytes: one cache line.
const RecordSize = 64

// Absent marks a price or size that a record does not have.
const Absent = -1 << 63

// Record is one market event: 64 bytes, 8-aligned, little-endian, free of
// padding. The same bytes are used in shared memory, in binary WebSocket
// frames and in files. Which fields mean what depends on Kind; see the table
// in docs/record.md.
type Record struct {
	Kind       Kind
	Flags      Flags
	Venue      Venue
	Instrument uint32 // index in the instrument table
	Seq        uint64 // number within the topic, 1, 2, 3 …; control records have 0
	TsEvent    int64  // venue's time, ns since 1970 UTC, 0 if none
	TsRecv     int64  // receive time at this host, CLOCK_REALTIME ns
	Price      int64  // mantissa; value = Price × 10^PriceExp; Absent if none
	Size       int64  // mantissa; value = Size × 10^SizeExp; Absent if none
	ID         uint64 // trade id, update id, epoch …, by Kind
	Side       uint8  // a Side constant, or a Channel code in gap and heartbeat
	Level      uint8  // statistic, reason, status or signal code, by Kind
	PriceExp   int8
	SizeExp    int8
	Count      uint32
}

// Kind says what a record tells.
type Kind uint8

// Record kinds. Numbers are part of the layout and never reused.
const (
	KindTrade        Kind = 1
	KindBook         Kind = 2
	KindBBO          Kind = 3
	KindTicker       Kind = 4
	KindFunding      Kind = 5
	KindOpenInterest Kind = 6
	KindLiquidation  Kind = 7
	KindStatus       Kind = 8
	KindInstrument   Kind = 9
	KindGap          Kind = 10
	KindSignal       Kind = 11
	KindHeartbeat    Kind = 12
	KindCandle       Kind = 13 // made by gateways only
)

// Control reports whether records of this kind carry no number and are never
// dropped (heartbeat and instrument).
func (k Kind) Control() bool { return k == KindHeartbeat || k == KindInstrument }

// Flags qualify a record.
type Flags uint8

// Record flags.
const (
	FlagLast      Flags = 1 << 0 // last record of the venue's event
	FlagFirst     Flags = 1 << 1 // first record of the venue's event
	FlagSnapshot  Flags = 1 << 2 // state sent at start, attach or after a gap; takes no number
	FlagIDHash    Flags = 1 << 3 // ID is the 64-bit FNV-1a hash of a text id
	FlagConflated Flags = 1 << 4 // several events were merged into this delivery
	FlagRecovered Flags = 1 << 5 // first live value after an upstream gap
	FlagClosed    Flags = 1 << 6 // candle: its time is over
	FlagPartial   Flags = 1 << 7 // candle: trades of its time may be missing
)

// Sides. For trades the aggressor, for book, bbo and liquidation the side of
// the book or of the forced order.
const (
	SideUnknown uint8 = 0 // trade: aggressor unknown
	SideBuy     uint8 = 1
	SideSell    uint8 = 2
	SideClear   uint8 = 0 // book: the book is emptied, a snapshot follows
	SideBid     uint8 = 1
	SideAsk     uint8 = 2
	SideEnd     uint8 = 3 // book: end of the snapshot
)

// Channel is a kind of stream that a venue offers per instrument.
type Channel uint8

// Channel codes, as carried in Side of gap and heartbeat records.
const (
	ChannelAll          Channel = 0 // heartbeat: the whole stream
	ChannelTrades       Channel = 1
	ChannelBook         Channel = 2
	ChannelBBO          Channel = 3
	ChannelTicker       Channel = 4
	ChannelFunding      Channel = 5
	ChannelOpenInterest Channel = 6
	ChannelLiquidations Channel = 7
	ChannelStatus       Channel = 8
	ChannelSignals      Channel = 9
	ChannelCandles1s    Channel = 10
	ChannelCandles1m    Channel = 11
	ChannelRaw          Channel = 12
	NumChannels                 = 13
)

// GapReason says why records are missing.
type GapReason uint8

// Gap reasons, in Level of a gap record.
const (
	GapSequence   GapReason = 1 // the venue's numbers do not chain
	GapChecksum   GapReason = 2 // the venue's checksum differs, or the book is crossed
	GapDisconnect GapReason = 3 // the connection was lost or fell silent
	GapOverrun    GapReason = 4 // the reader was too slow
	GapRange      GapReason = 5 // a number fits no exponent exactly
	GapVenue      GapReason = 6 // the venue said that its own data is broken
)

// UnknownMissing in Count of a gap record: the number of lost records is unknown.
const UnknownMissing = 1<<32 - 1

// Ticker statistics, in Level of a ticker record.
const (
	StatLast     uint8 = 0
	StatOpen     uint8 = 1
	StatHigh     uint8 = 2
	StatLow      uint8 = 3
	StatVolume   uint8 = 4 // in Size, base units or contracts
	StatTurnover uint8 = 5 // in Size, quote units
	StatMark     uint8 = 6
	StatIndex    uint8 = 7
	NumStats           = 8
)

// Values of a candle, in Level of a candle record. The candle's channel is in
// Side, its start (ns) in ID, the number of its trades in Count.
const (
	CandleOpen     uint8 = 0
	CandleHigh     uint8 = 1
	CandleLow      uint8 = 2
	CandleClose    uint8 = 3
	CandleVolume   uint8 = 4 // in Size, as the trades' sizes; Absent if no int64 holds the sum exactly
	CandleTurnover uint8 = 5 // in Size, sum of price × size; Absent likewise
	NumCandle            = 6 // records of one candle, in this order
)

// Venue is the number of an exchange's market. Numbers are never reused.
type Venue uint16

// Venue numbers.
const (
	VenueBinance          Venue = 1
	VenueBinanceUSDM      Venue = 2
	VenueBinanceCOINM     Venue = 3
	VenueBitget           Venue = 4
	VenueOKX              Venue = 5
	VenueBybit            Venue = 6
	VenueBybitLinear      Venue = 7
	VenueBybitInverse     Venue = 8
	VenueCoinbase         Venue = 9
	VenueCoinbaseExchange Venue = 10
	VenueKraken           Venue = 11
	VenueKrakenFutures    Venue = 12
	VenueBitstamp         Venue = 13
	VenueDeribit          Venue = 14
	VenueGateio           Venue = 15
	VenueGateioFutures    Venue = 16
	VenueKucoin           Venue = 17
	VenueKucoinFutures    Venue = 18
	VenueHyperliquid      Venue = 19
	VenueUpbit            Venue = 20
	VenueBitfinex         Venue = 21
)
