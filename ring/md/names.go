package md

// Name tables: index = code. Names are part of the JSON protocol, topics and
// configuration; they are never changed or reused.
var (
	kindNames = [...]string{
		KindTrade: "trade", KindBook: "book", KindBBO: "bbo", KindTicker: "ticker",
		KindFunding: "funding", KindOpenInterest: "open_interest",
		KindLiquidation: "liquidation", KindStatus: "status",
		KindInstrument: "instrument", KindGap: "gap", KindSignal: "signal",
		KindHeartbeat: "heartbeat", KindCandle: "candle",
	}
	kindChannels = [...]Channel{
		KindTrade: ChannelTrades, KindBook: ChannelBook, KindBBO: ChannelBBO,
		KindTicker: ChannelTicker, KindFunding: ChannelFunding,
		KindOpenInterest: ChannelOpenInterest, KindLiquidation: ChannelLiquidations,
		KindStatus: ChannelStatus, KindSignal: ChannelSignals, KindHeartbeat: ChannelAll,
	}
	channelNames = [NumChannels]string{
		ChannelTrades: "trades", ChannelBook: "book", ChannelBBO: "bbo",
		ChannelTicker: "ticker", ChannelFunding: "funding",
		ChannelOpenInterest: "open_interest", ChannelLiquidations: "liquidations",
		ChannelStatus: "status", ChannelSignals: "signals",
		ChannelCandles1s: "candles_1s", ChannelCandles1m: "candles_1m", ChannelRaw: "raw",
	}
	gapReasonNames = [...]string{
		GapSequence: "sequence", GapChecksum: "checksum", GapDisconnect: "disconnect",
		GapOverrun: "overrun", GapRange: "range", GapVenue: "venue",
	}
	candleNames = [NumCandle]string{CandleOpen: "open", CandleHigh: "high", CandleLow: "low", CandleClose: "close",
		CandleVolume: "volume", CandleTurnover: "turnover"}
	statNames = [NumStats]string{
		StatLast: "last", StatOpen: "open", StatHigh: "high", StatLow: "low",
		StatVolume: "volume", StatTurnover: "turnover", StatMark: "mark", StatIndex: "index",
	}
	venueNames = [...]string{
		VenueBinance: "binance", VenueBinanceUSDM: "binance-usdm",
		VenueBinanceCOINM: "binance-coinm", VenueBitget: "bitget", VenueOKX: "okx",
		VenueBybit: "bybit", VenueBybitLinear: "bybit-linear",
		VenueBybitInverse: "bybit-inverse", VenueCoinbase: "coinbase",
		VenueCoinbaseExchange: "coinbase-exchange", VenueKraken: "kraken",
		VenueKrakenFutures: "kraken-futures", VenueBitstamp: "bitstamp",
		VenueDeribit: "deribit", VenueGateio: "gateio",
		VenueGateioFutures: "gateio-futures", VenueKucoin: "kucoin",
		VenueKucoinFutures: "kucoin-futures", VenueHyperliquid: "hyperliquid",
		VenueUpbit: "upbit", VenueBitfinex: "bitfinex",
	}
	bookSideNames  = [...]string{SideClear: "clear", SideBid: "bid", SideAsk: "ask", SideEnd: "end"}
	tradeSideNames = [...]string{SideUnknown: "unknown", SideBuy: "buy", SideSell: "sell"}
)

// name looks a code up; "" outside the table.
func name(table []string, code int) string {
	if code < len(table) {
		return table[code]
	}
	return ""
}

// orUnknown keeps output readable where a peer sends a code from the future.
func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

// String is the kind's name as in the "type" of the JSON form, "unknown" for
// a code that this version does not define.
func (k Kind) String() string { return orUnknown(name(kindNames[:], int(k))) }

// Channel is the channel that carries live records of this kind. Gap,
// heartbeat, candle and instrument records belong to none (ChannelAll); all
// but the last have their channel in Side, see Record.Channel.
func (k Kind) Channel() Channel {
	if int(k) < len(kindChannels) {
		return kindChannels[k]
	}
	return ChannelAll
}

// Channel is the channel of the record's topic: by kind, or by Side for gap,
// heartbeat and candle; ChannelAll for what concerns no single topic.
func (r *Record) Channel() Channel {
	if r.Kind == KindGap || r.Kind == KindHeartbeat || r.Kind == KindCandle {
		if Channel(r.Side) < NumChannels {
			return Channel(r.Side)
		}
		return ChannelAll
	}
	return r.Kind.Channel()
}

// String is the channel's name as in topics, "unknown" for ChannelAll and for
// a code that this version does not define.
func (c Channel) String() string { return orUnknown(name(channelNames[:], int(c))) }

// ParseChannel is the reverse of String; false for a name that is no channel.
func ParseChannel(s string) (Channel, bool) {
	for i, n := range channelNames {
		if n == s && n != "" {
			return Channel(i), true
		}
	}
	return 0, false
}

// String is the venue's name as in topics and configuration, "unknown" for a
// number that this version does not define.
func (v Venue) String() string { return orUnknown(name(venueNames[:], int(v))) }

// Known reports whether this version defines the venue's number.
func (v Venue) Known() bool { return name(venueNames[:], int(v)) != "" }

// ParseVenue is the reverse of String; false for a name that is no venue.
func ParseVenue(s string) (Venue, bool) {
	for i, n := range venueNames {
		if n == s && n != "" {
			return Venue(i), true
		}
	}
	return 0, false
}

// String is the reason's name as in the "reason" of a JSON gap.
func (g GapReason) String() string { return orUnknown(name(gapReasonNames[:], int(g))) }

// StatName is the name of a ticker statistic, "unknown" if there is none.
func StatName(stat uint8) string { return orUnknown(name(statNames[:], int(stat))) }

// CandleName is the name of a candle's value, "unknown" if there is none.
func CandleName(value uint8) string { return orUnknown(name(candleNames[:], int(value))) }

// TradeSideName names the Side of a trade or a liquidation: buy, sell, unknown.
func TradeSideName(side uint8) string { return orUnknown(name(tradeSideNames[:], int(side))) }

// BookSideName names the Side of a book or bbo record: clear, bid, ask, end.
func BookSideName(side uint8) string { return orUnknown(name(bookSideNames[:], int(side))) }
