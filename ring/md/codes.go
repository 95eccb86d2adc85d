package md

// Status is the trading state of an instrument or a whole venue, in Level of
// a status record. Codes are never reused.
type Status uint8

// Status codes.
const (
	StatusTrading     Status = 1  // open, all orders taken
	StatusHalted      Status = 2  // no trading, expected to resume
	StatusPreOpen     Status = 3  // orders taken, no matching yet
	StatusAuction     Status = 4  // call auction
	StatusPostOnly    Status = 5  // only orders that add liquidity
	StatusCancelOnly  Status = 6  // only cancellations
	StatusLimitOnly   Status = 7  // no market orders
	StatusReduceOnly  Status = 8  // only orders that reduce a position
	StatusSettling    Status = 9  // delivery or settlement in progress
	StatusClosed      Status = 10 // expired or delisted, will not resume
	StatusMaintenance Status = 11 // the venue's systems are under maintenance
)

// Signal is a derived quantity, in Level of a signal record. Its value has
// exponent SignalExp. Codes are never reused.
type Signal uint8

// Signal codes. Each lies in −1 … +1, positive towards a rising price.
const (
	SignalOBI            Signal = 1 // (bid size − ask size) / (bid size + ask size) of the first levels
	SignalMicroprice     Signal = 2 // (size-weighted mid − mid) / half the spread
	SignalTradeImbalance Signal = 3 // (bought − sold) / (bought + sold)
	SignalOFI            Signal = 4 // order flow at the touch since the last event / the sizes there before and after
)

// Funding rates, in Level of a funding record.
const (
	FundingCurrent   uint8 = 1 // the rate that will be or was charged
	FundingPredicted uint8 = 2 // the venue's estimate for a later interval
)

// SignalExp is the exponent of every signal's value.
const SignalExp = -9

var (
	statusNames = [...]string{
		StatusTrading: "trading", StatusHalted: "halted", StatusPreOpen: "pre_open",
		StatusAuction: "auction", StatusPostOnly: "post_only",
		StatusCancelOnly: "cancel_only", StatusLimitOnly: "limit_only",
		StatusReduceOnly: "reduce_only", StatusSettling: "settling",
		StatusClosed: "closed", StatusMaintenance: "maintenance",
	}
	signalNames = [...]string{
		SignalOBI: "obi", SignalMicroprice: "microprice", SignalTradeImbalance: "trade_imbalance",
		SignalOFI: "ofi",
	}
)

// String is the status' name as in JSON, "unknown" outside the list.
func (s Status) String() string { return orUnknown(name(statusNames[:], int(s))) }

// String is the signal's name as in JSON, "unknown" outside the list.
func (s Signal) String() string { return orUnknown(name(signalNames[:], int(s))) }
