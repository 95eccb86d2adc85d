package clienttest

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// Canonical prints every field of every record as decimal numbers, a line each:
// the form in which readers in other languages are compared.
func Canonical(recs []md.Record) string {
	var b strings.Builder
	for _, r := range recs {
		fmt.Fprintln(&b, uint8(r.Kind), uint8(r.Flags), uint16(r.Venue), r.Instrument, r.Seq, r.TsEvent, r.TsRecv,
			r.Price, r.Size, r.ID, r.Side, r.Level, r.PriceExp, r.SizeExp, r.Count)
	}
	return b.String()
}

// GoldenFiles makes the two files of the golden segment, which Go wrote, in dir
// under the name golden; dump is the text of ring/testdata/segment-v1.hex.
func GoldenFiles(dump, dir string) error {
	data, ctl, ok := strings.Cut(strings.TrimPrefix(dump, "data\n"), "ctl\n")
	if !ok {
		return errors.New("clienttest: the golden file has no ctl part")
	}
	for _, f := range []struct {
		name, dump string
		size       int
	}{{"golden.data", data, ring.DataSize(64, 2)}, {"golden.ctl", ctl, ring.CtlSize}} {
		b, err := undump(f.dump)
		if err != nil {
			return fmt.Errorf("clienttest: %s: %w", f.name, err)
		}
		b = append(b, make([]byte, f.size-len(b))...)
		if err := os.WriteFile(filepath.Join(dir, f.name), b, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// undump reads what hex.Dump wrote.
func undump(dump string) ([]byte, error) {
	var out []byte
	for line := range strings.Lines(dump) {
		line, _, _ = strings.Cut(line, "|")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		b, err := hex.DecodeString(strings.Join(fields[1:], ""))
		if err != nil {
			return nil, err
		}
		out = append(out, b...)
	}
	return out, nil
}
