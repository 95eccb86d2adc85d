package c_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"tickrelay/ring"
	"tickrelay/ring/clienttest"
	"tickrelay/ring/md"
)

// goldenFiles makes the two files of the golden segment, which Go wrote.
func goldenFiles(t *testing.T, dir string) {
	t.Helper()
	dump, err := os.ReadFile("../testdata/segment-v1.hex")
	if err == nil {
		err = clienttest.GoldenFiles(string(dump), dir)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// readers are the ways to build and run the program that reads segments.
func readers(t *testing.T, each func(t *testing.T, args []string)) {
	for _, c := range compilers {
		t.Run(c.name+" "+c.std, func(t *testing.T) {
			each(t, []string{compile(t, c.name, "test/segment.c", "-std="+c.std, "-O2")})
		})
	}
	t.Run("arm64", func(t *testing.T) { each(t, arm64(t, "test/segment.c")) })
}

func TestGoldenReadByC(t *testing.T) {
	dir := shmDir(t)
	goldenFiles(t, dir)
	recs, err := ring.Leftover(dir, "golden")
	if err != nil || len(recs) < 3 {
		t.Fatal(recs, err)
	}
	want := "golden alpha relay 64 5 1763842100123456789 " + fmt.Sprint(uint64(0x1122334455667788)) + " 1\n" + clienttest.Canonical(recs)
	readers(t, func(t *testing.T, args []string) {
		args = append(args, "dump", dir, "golden")
		if got := run(t, nil, args[0], args[1:]...); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
	})
}

func TestWrittenByC(t *testing.T) {
	readers(t, func(t *testing.T, args []string) {
		dir := shmDir(t)
		args = append(args, "write", dir, "c")
		run(t, nil, args[0], args[1:]...)
		recs, err := ring.Leftover(dir, "c")
		if err != nil || len(recs) != 20 {
			t.Fatal(len(recs), err)
		}
		for i, got := range recs {
			seq := uint64(131 + i)
			want := md.Record{Kind: md.KindTrade, Venue: md.VenueOKX, Instrument: 7, Seq: seq, TsEvent: int64(clienttest.Mix(seq) >> 1),
				Price: -int64(clienttest.Mix(seq+2) >> 1), PriceExp: -8, ID: clienttest.Mix(seq + 3), Count: uint32(clienttest.Mix(seq + 4))}
			if got != want {
				t.Fatalf("got  %+v\nwant %+v", got, want)
			}
		}
		in, err := ring.Stat(dir, "c")
		if err != nil || in.State != "dead" || in.Capacity != 64 || in.Depth != 20 || in.Consumer.Alive {
			t.Error(in, err)
		}
		// The same bytes by the reader in C.
		if got := run(t, nil, args[0], append(args[1:len(args)-3], "dump", dir, "c")...); !bytes.HasSuffix([]byte(got), []byte(clienttest.Canonical(recs))) {
			t.Errorf("C reads\n%s", got)
		}
	})
}

// TestHostileHeaders: damaged files give a clear refusal, under the sanitizers.
func TestHostileHeaders(t *testing.T) {
	bin := compile(t, "gcc", "test/segment.c", "-std=c11", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
	dir := shmDir(t)
	goldenFiles(t, dir)
	good, err := os.ReadFile(filepath.Join(dir, "golden.data"))
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func(b []byte) []byte{
		"no ring":                    func(b []byte) []byte { b[0] = 0; return b },
		"this program reads version": func(b []byte) []byte { b[8] = 2; return b },
		"features":                   func(b []byte) []byte { b[0x5c] = 1; return b },
		"contradicts":                func(b []byte) []byte { b[0x1b] = 1; return b },
		"contradicts itself":         func(b []byte) []byte { return b[:5000] },
		"too small":                  func(b []byte) []byte { return b[:100] },
		"different rings":            func(b []byte) []byte { b[0x38]++; return b },
	} {
		if err := os.WriteFile(filepath.Join(dir, "golden.data"), damage(bytes.Clone(good)), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := failing(t, bin, "dump", dir, "golden"); !strings.Contains(got, name) {
			t.Errorf("%s: %s", name, got)
		}
	}
}
