package relay

import (
	"encoding/json"

	"github.com/gobwas/ws"

	"tickrelay/ring/md"
)

// instrumentsFrame lists instrument entries for binary readers.
func instrumentsFrame(entries []md.Instrument) *frame {
	out := []byte(`{"op":"instruments","instruments":[`)
	for i := range entries {
		if i > 0 {
			out = append(out, ',')
		}
		out = appendInstrument(out, &entries[i])
	}
	buf := make([]byte, headerRoom, headerRoom+len(out)+2)
	buf = append(append(buf, out...), "]}"...)
	f := newFrame(ws.OpText, buf)
	f.keep = true
	return f
}

// appendInstrument appends an entry as JSON; also /api/v1/instruments.
func appendInstrument(dst []byte, in *md.Instrument) []byte {
	b, err := json.Marshal(struct {
		ID           uint32 `json:"id"`
		Venue        string `json:"venue"`
		Kind         string `json:"kind"`
		Symbol       string `json:"symbol"`
		Native       string `json:"native"`
		PriceExp     int8   `json:"price_exp"`
		SizeExp      int8   `json:"size_exp"`
		Tick         string `json:"tick"`
		Lot          string `json:"lot"`
		ContractSize string `json:"contract_size"`
		Expiry       int64  `json:"expiry,string"`
		Generation   uint64 `json:"generation"`
	}{in.ID, in.Venue.String(), in.Kind.String(), in.Symbol, in.Native, in.PriceExp, in.SizeExp,
		in.Tick.String(), in.Lot.String(), in.ContractSize.String(), in.Expiry, in.Generation})
	if err != nil {
		return append(dst, "null"...)
	}
	return append(dst, b...)
}
