package md

import (
	"strconv"
	"unicode/utf8"
)

// MessageLen is the number of records at the front of event that one JSON
// message holds: all of a book event, the bid and ask of a bbo, the statistics
// of a ticker, the values of one candle, one record of every other kind. It is 0 only for an empty event.
func MessageLen(event []Record) int {
	if len(event) == 0 {
		return 0
	}
	kind, most := event[0].Kind, 1
	switch kind {
	case KindBook, KindTicker:
		most = len(event)
	case KindBBO:
		most = 2
	case KindCandle:
		most = NumCandle
	}
	n := 1
	for n < min(most, len(event)) && event[n].Kind == kind && (kind != KindCandle || event[n].ID == event[0].ID) {
		n++
	}
	return n
}

// AppendJSON appends one event in the JSON form of the WebSocket protocol,
// without a line end. event is what one venue event made in one topic: the
// records from First to Last, or a snapshot from clear to end, or one gap or
// control record. prev is the number of the message before it in the stream.
//
// One event is one message, except that some venues send several trades (or
// other records with a form of their own) as one event: each is then a message,
// chained by prev, on a line of its own. Who needs single messages cuts the
// event with MessageLen. It allocates only if dst must grow.
func AppendJSON(dst []byte, topic string, prev uint64, event []Record) []byte {
	for len(event) > 0 {
		n := MessageLen(event)
		dst = appendMessage(dst, topic, prev, event[:n])
		prev = event[n-1].Seq
		if event = event[n:]; len(event) > 0 {
			dst = append(dst, '\n')
		}
	}
	return dst
}

func appendMessage(dst []byte, topic string, prev uint64, event []Record) []byte {
	last := &event[len(event)-1]
	dst = append(dst, `{"type":"`...)
	dst = append(dst, last.Kind.String()...)
	if topic != "" {
		dst = append(dst, `","topic":"`...)
		dst = appendEscaped(dst, topic)
	}
	dst = append(dst, `","seq":`...)
	dst = strconv.AppendUint(dst, last.Seq, 10)
	if !last.Kind.Control() {
		dst = append(dst, `,"prev":`...)
		dst = strconv.AppendUint(dst, prev, 10)
	}
	dst = append(dst, `,"ts_event":"`...)
	dst = strconv.AppendInt(dst, last.TsEvent, 10)
	dst = append(dst, `","ts_recv":"`...)
	dst = strconv.AppendInt(dst, last.TsRecv, 10)
	dst = append(dst, '"')
	switch last.Kind {
	case KindBook:
		dst = appendBook(dst, event)
	case KindBBO:
		dst = appendBBO(dst, event)
	case KindTicker:
		dst = appendTicker(dst, event)
	case KindCandle:
		dst = appendCandle(dst, event)
	default:
		dst = appendSingle(dst, last)
	}
	return append(dst, '}')
}

// appendBook appends action, bids and asks; clear and end are not levels.
func appendBook(dst []byte, event []Record) []byte {
	if event[0].Flags&FlagSnapshot != 0 {
		dst = append(dst, `,"action":"snapshot","bids":[`...)
	} else {
		dst = append(dst, `,"action":"update","bids":[`...)
	}
	dst = appendLevels(dst, event, SideBid)
	dst = append(dst, `],"asks":[`...)
	dst = appendLevels(dst, event, SideAsk)
	return append(dst, ']')
}

func appendLevels(dst []byte, event []Record, side uint8) []byte {
	first := true
	for i := range event {
		if r := &event[i]; r.Side == side {
			if !first {
				dst = append(dst, ',')
			}
			first = false
			dst = appendLevel(dst, r)
		}
	}
	return dst
}

// appendLevel appends ["price","size"].
func appendLevel(dst []byte, r *Record) []byte {
	dst = append(dst, `["`...)
	dst = AppendDecimal(dst, r.Price, r.PriceExp)
	dst = append(dst, `","`...)
	dst = AppendDecimal(dst, r.Size, r.SizeExp)
	return append(dst, `"]`...)
}

// appendBBO appends bid and ask; an empty side is null.
func appendBBO(dst []byte, event []Record) []byte {
	for side, key := range [...]string{SideBid: `,"bid":`, SideAsk: `,"ask":`} {
		if key == "" {
			continue
		}
		dst = append(dst, key...)
		at := len(dst)
		for i := range event {
			if r := &event[i]; int(r.Side) == side && r.Size != 0 && r.Size != Absent && r.Price != Absent {
				dst = appendLevel(dst[:at], r)
			}
		}
		if len(dst) == at {
			dst = append(dst, "null"...)
		}
	}
	return dst
}

// appendTicker appends the statistics that the event has.
func appendTicker(dst []byte, event []Record) []byte {
	for i := range event {
		r := &event[i]
		if r.Level < NumStats {
			dst = appendStat(dst, r)
		}
	}
	return dst
}

func appendStat(dst []byte, r *Record) []byte {
	dst = append(dst, `,"`...)
	dst = append(dst, statNames[r.Level]...)
	dst = append(dst, `":`...)
	if StatIsQuantity(r.Level) {
		return appendNumber(dst, r.Size, r.SizeExp)
	}
	return appendNumber(dst, r.Price, r.PriceExp)
}

// appendCandle appends start, the values, the number of trades and what is known
// about its end.
func appendCandle(dst []byte, event []Record) []byte {
	last := &event[len(event)-1]
	dst = append(dst, `,"start":"`...)
	dst = strconv.AppendUint(dst, last.ID, 10)
	dst = append(dst, '"')
	for i := range event {
		r := &event[i]
		dst = append(dst, ',', '"')
		dst = append(dst, CandleName(r.Level)...)
		dst = append(dst, '"', ':')
		mant, exp := r.Price, r.PriceExp
		if CandleIsQuantity(r.Level) {
			mant, exp = r.Size, r.SizeExp
		}
		if mant == Absent {
			dst = append(dst, "null"...)
			continue
		}
		dst = append(dst, '"')
		dst = AppendDecimal(dst, mant, exp)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"trades":`...)
	dst = strconv.AppendUint(dst, uint64(last.Count), 10)
	dst = append(dst, `,"closed":`...)
	dst = strconv.AppendBool(dst, last.Flags&FlagClosed != 0)
	dst = append(dst, `,"incomplete":`...)
	return strconv.AppendBool(dst, last.Flags&FlagPartial != 0)
}

// StatIsQuantity reports whether a ticker statistic's value is in Size rather
// than in Price.
func StatIsQuantity(stat uint8) bool { return stat == StatVolume || stat == StatTurnover }

// appendNumber appends a quoted decimal, null if absent.
func appendNumber(dst []byte, mant int64, exp int8) []byte {
	if mant == Absent {
		return append(dst, "null"...)
	}
	dst = append(dst, '"')
	dst = AppendDecimal(dst, mant, exp)
	return append(dst, '"')
}

// appendSingle appends the fields of the kinds that are one record per message.
func appendSingle(dst []byte, r *Record) []byte {
	switch r.Kind {
	case KindTrade:
		dst = appendID(append(dst, `,"id":`...), r)
		dst = appendPriceSize(dst, r)
		dst = append(dst, `,"side":"`...)
		dst = append(append(dst, TradeSideName(r.Side)...), '"')
	case KindLiquidation:
		dst = appendPriceSize(dst, r)
		dst = append(dst, `,"side":"`...)
		dst = append(dst, TradeSideName(r.Side)...)
		dst = appendID(append(dst, `","id":`...), r)
	case KindFunding:
		dst = appendNumber(append(dst, `,"rate":`...), r.Price, r.PriceExp)
		dst = append(dst, `,"next_ts":"`...)
		dst = strconv.AppendUint(dst, r.ID, 10)
		dst = append(dst, `","interval_s":`...)
		dst = strconv.AppendUint(dst, uint64(r.Count), 10)
		dst = append(dst, `,"predicted":`...)
		dst = strconv.AppendBool(dst, r.Level == FundingPredicted)
	case KindOpenInterest:
		dst = appendNumber(append(dst, `,"size":`...), r.Size, r.SizeExp)
		dst = appendNumber(append(dst, `,"value":`...), r.Price, r.PriceExp)
	case KindStatus:
		dst = append(dst, `,"status":"`...)
		dst = append(append(dst, Status(r.Level).String()...), '"')
		if r.ID != 0 {
			dst = append(dst, `,"effective_ts":"`...)
			dst = append(strconv.AppendUint(dst, r.ID, 10), '"')
		}
	case KindSignal:
		dst = append(dst, `,"signal":"`...)
		dst = append(dst, Signal(r.Level).String()...)
		dst = appendNumber(append(dst, `","value":`...), r.Price, r.PriceExp)
		dst = append(dst, `,"levels":`...)
		dst = strconv.AppendUint(dst, uint64(r.Count), 10)
	case KindGap:
		dst = appendGap(dst, r)
	case KindInstrument:
		dst = appendNumber(append(dst, `,"tick":`...), r.Price, r.PriceExp)
		dst = appendNumber(append(dst, `,"lot":`...), r.Size, r.SizeExp)
		dst = append(dst, `,"generation":"`...)
		dst = append(strconv.AppendUint(dst, r.ID, 10), '"')
	case KindHeartbeat:
		dst = append(dst, `,"epoch":"`...)
		dst = append(strconv.AppendUint(dst, r.ID, 10), '"')
	}
	return dst
}

// appendGap appends the interval lost; missed is null if the count is unknown.
func appendGap(dst []byte, r *Record) []byte {
	dst = append(dst, `,"reason":"`...)
	dst = append(dst, GapReason(r.Level).String()...)
	dst = append(dst, `","first":"`...)
	dst = strconv.AppendUint(dst, r.ID, 10)
	dst = append(dst, `","missed":`...)
	if r.Count == UnknownMissing {
		return append(dst, "null"...)
	}
	return strconv.AppendUint(dst, uint64(r.Count), 10)
}

func appendPriceSize(dst []byte, r *Record) []byte {
	dst = appendNumber(append(dst, `,"price":`...), r.Price, r.PriceExp)
	return appendNumber(append(dst, `,"size":`...), r.Size, r.SizeExp)
}

// appendID appends the quoted venue id: decimal, or "#" and 16 hexadecimal
// digits where the record holds the hash of a text.
func appendID(dst []byte, r *Record) []byte {
	dst = append(dst, '"')
	if r.Flags&FlagIDHash != 0 {
		dst = append(dst, '#')
		for shift := 60; shift >= 0; shift -= 4 {
			dst = append(dst, hexDigits[r.ID>>shift&15])
		}
	} else {
		dst = strconv.AppendUint(dst, r.ID, 10)
	}
	return append(dst, '"')
}

const hexDigits = "0123456789abcdef"

// appendEscaped appends s as the inside of a JSON string (RFC 8259, section 7).
// Bytes that are not UTF-8 become U+FFFD.
func appendEscaped(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		case c < utf8.RuneSelf:
			dst = append(dst, c)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			dst = utf8.AppendRune(dst, r)
			i += n
			continue
		}
		i++
	}
	return dst
}
