package md

import "strconv"

// AppendText appends one record as one line of text, without a line end:
// the topic, the kind, the flags (F first, L last, S snapshot, H hashed id,
// C conflated, R recovered, - none) and the fields that the kind uses, as
// name=value. It is for golden files and terminals; it is stable within a
// version of the record. It allocates only if dst must grow.
func AppendText(dst []byte, topic string, r *Record) []byte {
	dst = append(dst, topic...)
	dst = append(dst, ' ')
	dst = append(dst, r.Kind.String()...)
	dst = append(dst, ' ')
	dst = r.Flags.Append(dst)
	dst = textUint(dst, " seq=", r.Seq)
	dst = textInt(dst, " event=", r.TsEvent)
	dst = textInt(dst, " recv=", r.TsRecv)
	switch r.Kind {
	case KindTrade, KindLiquidation:
		dst = textPriceSize(dst, r)
		dst = textWord(dst, " side=", TradeSideName(r.Side))
		dst = append(dst, " id="...)
		at := len(dst)
		dst = appendID(dst, r)
		dst = append(dst[:at], dst[at+1:len(dst)-1]...) // without the quotes
		dst = textUint(dst, " count=", uint64(r.Count))
	case KindBook, KindBBO:
		dst = textWord(dst, " side=", BookSideName(r.Side))
		if r.Side == SideBid || r.Side == SideAsk {
			dst = textPriceSize(dst, r)
		}
		dst = textUint(dst, " id=", r.ID)
		dst = textUint(dst, " count=", uint64(r.Count))
	case KindTicker:
		dst = append(dst, ' ')
		dst = append(dst, StatName(r.Level)...)
		if StatIsQuantity(r.Level) {
			dst = textNumber(dst, "=", r.Size, r.SizeExp)
		} else {
			dst = textNumber(dst, "=", r.Price, r.PriceExp)
		}
	case KindCandle:
		dst = append(dst, ' ')
		dst = append(dst, CandleName(r.Level)...)
		if CandleIsQuantity(r.Level) {
			dst = textNumber(dst, "=", r.Size, r.SizeExp)
		} else {
			dst = textNumber(dst, "=", r.Price, r.PriceExp)
		}
		dst = textUint(dst, " start=", r.ID)
		dst = textUint(dst, " trades=", uint64(r.Count))
	default:
		dst = appendTextOther(dst, r)
	}
	return dst
}

func appendTextOther(dst []byte, r *Record) []byte {
	switch r.Kind {
	case KindFunding:
		dst = textNumber(dst, " rate=", r.Price, r.PriceExp)
		dst = textUint(dst, " next=", r.ID)
		dst = textUint(dst, " interval=", uint64(r.Count))
		if r.Level == FundingPredicted {
			dst = append(dst, " predicted"...)
		}
	case KindOpenInterest:
		dst = textNumber(dst, " size=", r.Size, r.SizeExp)
		dst = textNumber(dst, " value=", r.Price, r.PriceExp)
	case KindStatus:
		dst = textWord(dst, " status=", Status(r.Level).String())
		dst = textUint(dst, " effective=", r.ID)
	case KindInstrument:
		dst = textNumber(dst, " tick=", r.Price, r.PriceExp)
		dst = textNumber(dst, " lot=", r.Size, r.SizeExp)
		dst = textUint(dst, " generation=", r.ID)
	case KindGap:
		dst = textWord(dst, " channel=", Channel(r.Side).String())
		dst = textWord(dst, " reason=", GapReason(r.Level).String())
		dst = textUint(dst, " first=", r.ID)
		if r.Count == UnknownMissing {
			dst = append(dst, " missed=unknown"...)
		} else {
			dst = textUint(dst, " missed=", uint64(r.Count))
		}
	case KindSignal:
		dst = textWord(dst, " signal=", Signal(r.Level).String())
		dst = textNumber(dst, " value=", r.Price, r.PriceExp)
		dst = textUint(dst, " levels=", uint64(r.Count))
	case KindHeartbeat:
		if r.Side == uint8(ChannelAll) {
			dst = append(dst, " channel=all"...)
		} else {
			dst = textWord(dst, " channel=", Channel(r.Side).String())
		}
		dst = textUint(dst, " epoch=", r.ID)
	}
	return dst
}

// flagLetters are in the order of the flags' bits.
const flagLetters = "LFSHCRDP"

// Append appends one letter per flag set, "-" for none: FL, FS, L …
func (f Flags) Append(dst []byte) []byte {
	at := len(dst)
	if f&FlagFirst != 0 {
		dst = append(dst, 'F') // reads in the order of the event
	}
	for i := range len(flagLetters) {
		if bit := Flags(1) << i; bit != FlagFirst && f&bit != 0 {
			dst = append(dst, flagLetters[i])
		}
	}
	if len(dst) == at {
		dst = append(dst, '-')
	}
	return dst
}

// String is one letter per flag, see Append.
func (f Flags) String() string { return string(f.Append(nil)) }

func textUint(dst []byte, name string, v uint64) []byte {
	return strconv.AppendUint(append(dst, name...), v, 10)
}

func textInt(dst []byte, name string, v int64) []byte {
	return strconv.AppendInt(append(dst, name...), v, 10)
}

func textWord(dst []byte, name, word string) []byte {
	return append(append(dst, name...), word...)
}

func textNumber(dst []byte, name string, mant int64, exp int8) []byte {
	dst = append(dst, name...)
	if mant == Absent {
		return append(dst, '-')
	}
	return AppendDecimal(dst, mant, exp)
}

func textPriceSize(dst []byte, r *Record) []byte {
	dst = textNumber(dst, " price=", r.Price, r.PriceExp)
	return textNumber(dst, " size=", r.Size, r.SizeExp)
}
