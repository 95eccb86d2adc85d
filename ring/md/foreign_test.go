package md

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// canonical prints every field of every record, in the order of the layout. The
// readers in other languages below print the same from the bytes alone.
func canonical(recs []Record) []byte {
	var b bytes.Buffer
	for _, r := range recs {
		fmt.Fprintln(&b, uint8(r.Kind), uint8(r.Flags), uint16(r.Venue), r.Instrument, r.Seq, r.TsEvent, r.TsRecv,
			r.Price, r.Size, r.ID, r.Side, r.Level, r.PriceExp, r.SizeExp, r.Count)
	}
	return b.Bytes()
}

const readerC = `
#include <inttypes.h>
#include <stdio.h>
#include "record.h"
int main(int argc, char **argv) {
    FILE *f = fopen(argv[argc - 1], "rb");
    struct tr_record r;
    while (f && fread(&r, sizeof r, 1, f) == 1)
        printf("%u %u %u %" PRIu32 " %" PRIu64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRIu64
               " %u %u %d %d %" PRIu32 "\n", r.kind, r.flags, r.venue, r.instrument, r.seq, r.ts_event, r.ts_recv,
               r.price, r.size, r.id, r.side, r.level, r.price_exp, r.size_exp, r.count);
    return f ? 0 : 1;
}
`

const readerTableC = `
#include <inttypes.h>
#include <stdio.h>
#include "record.h"
int main(int argc, char **argv) {
    FILE *f = fopen(argv[argc - 1], "rb");
    struct tr_table_header h;
    struct tr_table_entry e;
    if (!f || fread(&h, sizeof h, 1, f) != 1 || h.magic != TR_TABLE_MAGIC || h.header_size != sizeof h) return 1;
    printf("%u %u %" PRIu64 " %u %" PRIu64 "\n", h.version, h.entry_size, h.table_id, h.capacity, h.count);
    for (uint64_t i = 0; i < h.count && fread(&e, sizeof e, 1, f) == 1; i++)
        printf("%" PRIu64 " %u %u %u %d %d %" PRId64 "e%d %" PRId64 "e%d %" PRId64 "e%d %" PRId64 " %.*s %.*s\n",
               e.generation, e.id, e.venue, e.kind, e.price_exp, e.size_exp, e.tick, e.tick_exp, e.lot, e.lot_exp,
               e.contract_size, e.contract_exp, e.expiry, e.symbol_len, e.symbol, e.native_len, e.native);
    return 0;
}
`

const readerPython = `
import struct, sys
data = open(sys.argv[1], "rb").read()
for r in struct.iter_unpack("<BBHIQqqqqQBBbbI", data):
    print(*r)
`

const readerJS = `
const b = require("fs").readFileSync(process.argv[process.argv.length - 1]);
const v = new DataView(b.buffer, b.byteOffset, b.length);
for (let o = 0; o < b.length; o += 64)
  console.log([v.getUint8(o), v.getUint8(o + 1), v.getUint16(o + 2, true), v.getUint32(o + 4, true),
    v.getBigUint64(o + 8, true), v.getBigInt64(o + 16, true), v.getBigInt64(o + 24, true), v.getBigInt64(o + 32, true),
    v.getBigInt64(o + 40, true), v.getBigUint64(o + 48, true), v.getUint8(o + 56), v.getUint8(o + 57),
    v.getInt8(o + 58), v.getInt8(o + 59), v.getUint32(o + 60, true)].join(" "));
`

// tool finds a program or skips the test.
func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("SKIPPED: %s is not installed, its reader of the record is not tested here", name)
	}
	return path
}

func writeFile(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func output(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return out
}

func compare(t *testing.T, got, want []byte) {
	t.Helper()
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// runC compiles a program against record.h and runs it on a file.
func runC(t *testing.T, source, file string) []byte {
	t.Helper()
	cc := tool(t, "cc")
	bin := filepath.Join(t.TempDir(), "reader")
	output(t, cc, "-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", "-I", ".", "-o", bin, writeFile(t, "reader.c", []byte(source)))
	return output(t, bin, file)
}

func TestReadersInOtherLanguages(t *testing.T) {
	recs := oneOfEach()
	file := writeFile(t, "records", AsBytes(recs))
	want := canonical(recs)
	t.Run("c", func(t *testing.T) { compare(t, runC(t, readerC, file), want) })
	t.Run("python", func(t *testing.T) {
		compare(t, output(t, tool(t, "python3"), writeFile(t, "r.py", []byte(readerPython)), file), want)
	})
	t.Run("javascript", func(t *testing.T) {
		compare(t, output(t, tool(t, "node"), writeFile(t, "r.js", []byte(readerJS)), file), want)
	})
}

func TestTableReaderInC(t *testing.T) {
	mem := make([]byte, TableSize(3))
	tab := newTable(t, mem, 3)
	mustAdd(t, tab, btc())
	mustAdd(t, tab, Instrument{Venue: VenueDeribit, Kind: InstrumentOption, Symbol: "BTC-USD-251226-100000-C",
		Native: "BTC-26DEC25-100000-C", PriceExp: -4, SizeExp: -1, Tick: Decimal{5, -4}, Lot: Decimal{1, -1},
		ContractSize: Decimal{1, 0}, Expiry: 1766736000000000000})
	if _, err := tab.Update(0, func(in *Instrument) { in.PriceExp = -3 }); err != nil {
		t.Fatal(err)
	}
	want := "1 256 77 3 2\n" +
		"4 0 1 1 -3 -5 1e-2 1e-5 0e0 0 BTC-USDT BTCUSDT\n" +
		"2 1 14 6 -4 -1 5e-4 1e-1 1e0 1766736000000000000 BTC-USD-251226-100000-C BTC-26DEC25-100000-C\n"
	compare(t, runC(t, readerTableC, writeFile(t, "table", mem)), []byte(want))
}
