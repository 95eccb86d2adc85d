package feeds

import (
	"tickrelay/feeds/jsonscan"
	"tickrelay/ring/md"
)

// okxLiquidationArg subscribes to the forced orders of all instruments of a
// kind, "" for spot.
func okxLiquidationArg(in *md.Instrument) string {
	kind := "SWAP"
	switch in.Kind {
	case md.InstrumentFuture, md.InstrumentFutureInverse:
		kind = "FUTURES"
	case md.InstrumentOption:
		kind = "OPTION"
	case md.InstrumentSpot, md.InstrumentUnknown:
		return ""
	}
	return `{"channel":"liquidation-orders","instType":"` + kind + `"}`
}

var (
	okxForcedKeys = jsonscan.Names("details", "instFamily", "instId", "instType", "uly")
	okxDetailKeys = jsonscan.Names("bkLoss", "bkPx", "ccy", "posSide", "side", "sz", "ts")
)

// okxLiquidations decodes an element of liquidation-orders: an instrument and
// its forced orders, at the bankruptcy price, with the order's side.
func okxLiquidations(b []byte, i int, d *Decoded, _ []byte) int {
	from := len(d.Recs)
	var native []byte
	var got once
	k, at := jsonscan.First(b, i, okxForcedKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, okxForcedKeys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		switch k {
		case 0:
			var more bool
			for i, more = jsonscan.Open(b, at, '['); more; i, more = jsonscan.Next(b, i, '[') {
				if i = okxForced(b, i, d); i < 0 {
					return i
				}
			}
		case 2:
			native, i = jsonscan.Text(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
	}
	if at < 0 || native == nil || !got.have(1) {
		return jsonscan.Bad
	}
	if len(d.Recs) > from {
		d.event(md.ChannelLiquidations, native, nil, from)
	}
	return at
}

func okxForced(b []byte, i int, d *Decoded) int {
	r := d.slot(md.KindLiquidation)
	var got once
	k, at := jsonscan.First(b, i, okxDetailKeys)
	for ; k != jsonscan.Closed; k, at = jsonscan.Member(b, i, okxDetailKeys, k) {
		if at < 0 || !got.add(k) {
			return jsonscan.Bad
		}
		switch k {
		case 1:
			r.Price, r.PriceExp, i = jsonscan.Number(b, at)
		case 4:
			r.Side, i = aggressor(b, at)
		case 5:
			r.Size, r.SizeExp, i = jsonscan.Number(b, at)
		case 6:
			r.TsEvent, i = jsonscan.Time(b, at)
		default:
			i = jsonscan.Skip(b, at)
		}
		if i < 0 {
			return i
		}
	}
	if at < 0 || !got.have(1<<1|1<<4|1<<5|1<<6) || r.Size < 0 || r.Side == md.SideUnknown {
		return jsonscan.Bad
	}
	return at
}
