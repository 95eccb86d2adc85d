package md

import (
	"errors"
	"fmt"
)

// ErrInvalid is wrapped by every error of Valid.
var ErrInvalid = errors.New("invalid record")

// AllFlags is every flag that this version defines.
const AllFlags = FlagLast | FlagFirst | FlagSnapshot | FlagIDHash | FlagConflated | FlagRecovered | FlagClosed | FlagPartial

// Valid says what is wrong with a record by the rules of docs/record.md, nil if
// nothing is. It judges one record: codes, sides, levels, the presence and sign
// of numbers. Venue, instrument and number are the publisher's and may still be
// 0; chains are the reader's to check. It allocates only for an error.
func (r *Record) Valid() error {
	if what := r.fault(); what != "" {
		return fmt.Errorf("md: %w: %s %s (side %d, level %d, price %de%d, size %de%d)",
			ErrInvalid, r.Kind, what, r.Side, r.Level, r.Price, r.PriceExp, r.Size, r.SizeExp)
	}
	return nil
}

func (r *Record) fault() string {
	switch {
	case name(kindNames[:], int(r.Kind)) == "":
		return "kind is not defined"
	case r.Flags&^AllFlags != 0:
		return "has flags that are not defined"
	case r.Venue != 0 && !r.Venue.Known():
		return "venue is not defined"
	case r.TsEvent < 0 || r.TsRecv < 0:
		return "has a time before 1970"
	case r.Flags&FlagIDHash != 0 && r.Kind != KindTrade && r.Kind != KindLiquidation:
		return "cannot have a hashed id"
	case r.Flags&(FlagClosed|FlagPartial) != 0 && r.Kind != KindCandle:
		return "is no candle, but closed or partial"
	case r.Level != 0 && levelless(r.Kind):
		return "has a level"
	case r.Side != 0 && sideless(r.Kind):
		return "has a side"
	}
	switch r.Kind {
	case KindTrade, KindBook, KindBBO, KindLiquidation:
		return r.faultPriced()
	case KindGap, KindHeartbeat:
		return r.faultStream()
	}
	return r.faultState()
}

// levelless are the kinds without a code in Level.
func levelless(k Kind) bool {
	switch k {
	case KindTrade, KindBook, KindBBO, KindOpenInterest, KindLiquidation, KindInstrument, KindHeartbeat:
		return true
	}
	return false
}

// sideless are the kinds without a side or a channel in Side.
func sideless(k Kind) bool {
	switch k {
	case KindTicker, KindFunding, KindOpenInterest, KindStatus, KindInstrument, KindSignal:
		return true
	}
	return false
}

// faultPriced judges the kinds on the instrument's exponents.
func (r *Record) faultPriced() string {
	bidAsk := r.Side == SideBid || r.Side == SideAsk
	switch r.Kind {
	case KindTrade:
		if r.Side > SideSell {
			return "side is not defined"
		}
	case KindLiquidation:
		if !bidAsk {
			return "side is neither buy nor sell"
		}
	case KindBBO:
		if !bidAsk {
			return "side is neither bid nor ask"
		}
		if r.Size == 0 {
			return "" // empty side, whatever the price
		}
	case KindBook:
		if r.Side > SideEnd {
			return "side is not defined"
		}
		if !bidAsk {
			if r.Flags&FlagSnapshot == 0 {
				return "clear or end is not part of a snapshot"
			}
			return ""
		}
	}
	switch {
	case r.Price == Absent:
		return "has no price"
	case r.Size < 0: // Absent too
		return "has no size, or a negative one"
	}
	return ""
}

// faultStream judges the kinds that speak about the stream.
func (r *Record) faultStream() string {
	if r.Kind == KindHeartbeat {
		if r.Side >= NumChannels {
			return "channel is not defined"
		}
		return ""
	}
	switch {
	case r.Side == uint8(ChannelAll) || r.Side >= NumChannels:
		return "channel is not defined"
	case name(gapReasonNames[:], int(r.Level)) == "":
		return "reason is not defined"
	case r.Seq != 0 && (r.ID == 0 || r.ID > r.Seq):
		return "interval is empty"
	}
	return ""
}

// faultState judges the kinds that carry a value of their own exponent.
func (r *Record) faultState() string {
	switch r.Kind {
	case KindTicker:
		switch {
		case r.Level >= NumStats:
			return "statistic is not defined"
		case StatIsQuantity(r.Level) && r.Size < 0:
			return "has no quantity, or a negative one"
		case !StatIsQuantity(r.Level) && r.Price == Absent:
			return "has no value"
		}
	case KindFunding:
		switch {
		case r.Level != FundingCurrent && r.Level != FundingPredicted:
			return "is neither current nor predicted"
		case r.Price == Absent:
			return "has no rate"
		}
	case KindOpenInterest:
		switch {
		case r.Size == Absent && r.Price == Absent:
			return "has no value"
		case r.Size != Absent && r.Size < 0, r.Price != Absent && r.Price < 0:
			return "is negative"
		}
	case KindCandle:
		return r.faultCandle()
	case KindStatus:
		if name(statusNames[:], int(r.Level)) == "" {
			return "code is not defined"
		}
	case KindSignal:
		switch {
		case name(signalNames[:], int(r.Level)) == "":
			return "code is not defined"
		case r.Price == Absent || r.PriceExp != SignalExp:
			return "has no value with exponent -9"
		}
	case KindInstrument:
		if r.Price != Absent && r.Price < 0 || r.Size != Absent && r.Size < 0 {
			return "has a negative tick or lot"
		}
	}
	return ""
}

// CandleIsQuantity reports whether a candle's value is in Size rather than in
// Price.
func CandleIsQuantity(value uint8) bool { return value == CandleVolume || value == CandleTurnover }

func (r *Record) faultCandle() string {
	switch {
	case Channel(r.Side) != ChannelCandles1s && Channel(r.Side) != ChannelCandles1m:
		return "channel is not one of candles"
	case r.Level >= NumCandle:
		return "value is not defined"
	case r.Count == 0:
		return "has no trades"
	case !CandleIsQuantity(r.Level) && r.Price == Absent:
		return "has no price"
	case CandleIsQuantity(r.Level) && r.Size != Absent && r.Level == CandleVolume && r.Size < 0:
		return "has a negative volume"
	}
	return ""
}
