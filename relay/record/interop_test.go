package record

import (
	"encoding/json"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"tickrelay/ring/md"
)

// foreignSum is what testdata/sums.mjs prints.
type foreignSum struct {
	Rows, Nulls, Unordered, Decimals int
	Price, Size, Ts, Event, ID, Seq  string
	Count                            uint64
	Symbols, Kinds                   map[string]int
	Schema, Metadata                 map[string]string
	Groups                           []int
}

// npmInstall installs packages from the npm registry, and returns the folder; it skips
// the test where node, npm or the registry is missing.
func npmInstall(t *testing.T, packages ...string) (dir, node string) {
	t.Helper()
	node, err1 := exec.LookPath("node")
	npm, err2 := exec.LookPath("npm")
	if err1 != nil || err2 != nil {
		t.Skip("node and npm are not installed: no other implementation to open the files")
	}
	dir = t.TempDir()
	cmd := exec.Command(npm, append([]string{"install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", dir}, packages...)...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "npm_config_cache="+filepath.Join(dir, "cache"), "npm_config_update_notifier=false",
		"npm_config_fetch_retries=1", "npm_config_fetch_timeout=20000")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Skipf("%s cannot be installed from the npm registry: %v\n%s", packages, err, out)
	}
	return dir, node
}

// runScript runs testdata/name, from dir so that it finds the packages there, and reads
// the JSON that it prints into out.
func runScript(t *testing.T, node, dir, name string, out any, args ...string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, name)
	if err := os.WriteFile(copied, text, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, append([]string{copied}, args...)...)
	var errs strings.Builder
	cmd.Stderr = &errs
	printed, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(printed, out)
	}
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", name, err, printed, errs.String())
	}
}

// TestOtherImplementation has a part and a merged hour read by a Parquet reader that is
// not ours, and compares counts, sums over mantissas and times, types and metadata.
func TestOtherImplementation(t *testing.T) {
	dir, node := npmInstall(t, "hyparquet@1.33.0", "hyparquet-compressors@1")
	root := t.TempDir()
	s := newSealer("desk", 4096)
	var all []md.Record
	first := int64(0)
	var carry map[string]topicMark
	for part := range 3 {
		recs := marketRecords(10000).recs
		for i := range recs {
			recs[i].TsRecv += int64(part) * 60e9
			switch i % 100 {
			case 0:
				recs[i].TsEvent, recs[i].Price = 0, md.Absent
			case 1:
				recs[i].Price, recs[i].PriceExp = -123456789012345678, -25 // no DECIMAL(38,18)
			case 2:
				recs[i].Kind, recs[i].Size = md.KindGap, md.Absent
			}
		}
		all = append(all, recs...)
		got, err := s.seal(writeJournal(t, root, testStream, testHour, part, first, recs), false, carry)
		if err != nil {
			t.Fatal(err)
		}
		first, carry = first+int64(len(recs)), got.topics
	}
	streamDir := testStream.dir(root)
	part := filepath.Join(streamDir, fileName{testHour, 2, 2, false}.String())
	compareForeign(t, node, dir, part, all[20000:])
	files, err := listFiles(streamDir)
	if err != nil {
		t.Fatal(err)
	}
	if merged, err := s.mergeHour(streamDir, files, nil); !merged || err != nil {
		t.Fatal(merged, err)
	}
	sum := compareForeign(t, node, dir, filepath.Join(streamDir, fileName{testHour, -1, -1, false}.String()), all)
	if sum.Metadata[keyRelay] != "desk" || sum.Metadata[keyParts] != "0-2" || sum.Metadata[keyHour] != "2026-11-28T15:00:00Z" || sum.Metadata[keyUnfit] != "300" {
		t.Errorf("metadata: %v", sum.Metadata)
	}
}

func compareForeign(t *testing.T, node, dir, path string, recs []md.Record) *foreignSum {
	t.Helper()
	got := &foreignSum{}
	runScript(t, node, dir, "sums.mjs", got, path)
	var price, size, ts, event, id, seq big.Int
	add := func(s *big.Int, n int64) { s.Add(s, big.NewInt(n)) }
	count, nulls := uint64(0), 0
	symbols, kinds := map[string]int{}, map[string]int{}
	for i := range recs {
		r := &recs[i]
		if r.Price != md.Absent {
			add(&price, r.Price)
		}
		if r.Size != md.Absent {
			add(&size, r.Size)
		}
		var b [decimalSize]byte
		if !putDecimal(b[:], r.Price, r.PriceExp) {
			nulls++
		}
		if !putDecimal(b[:], r.Size, r.SizeExp) {
			nulls++
		}
		add(&ts, r.TsRecv)
		add(&event, r.TsEvent)
		id.Add(&id, new(big.Int).SetUint64(r.ID))
		seq.Add(&seq, new(big.Int).SetUint64(r.Seq))
		count += uint64(r.Count)
		symbols[testSymbol(r.Instrument)]++
		kinds[r.Kind.String()]++
	}
	if got.Rows != len(recs) || got.Nulls != nulls || got.Unordered != 0 || got.Decimals != 0 || got.Count != count {
		t.Errorf("%s: %d rows, %d nulls, %d out of order, %d wrong decimals, count %d; want %d rows, %d nulls, count %d",
			path, got.Rows, got.Nulls, got.Unordered, got.Decimals, got.Count, len(recs), nulls, count)
	}
	for _, x := range []struct {
		name, got string
		want      *big.Int
	}{{"price", got.Price, &price}, {"size", got.Size, &size}, {"ts_recv", got.Ts, &ts}, {"ts_event", got.Event, &event}, {"id", got.ID, &id}, {"seq", got.Seq, &seq}} {
		if x.got != x.want.String() {
			t.Errorf("%s: sum of %s is %s, want %s", path, x.name, x.got, x.want)
		}
	}
	if !maps.Equal(got.Symbols, symbols) || !maps.Equal(got.Kinds, kinds) {
		t.Errorf("%s: symbols %v, kinds %v; want %v, %v", path, got.Symbols, got.Kinds, symbols, kinds)
	}
	for column, want := range map[string]string{"price": "DECIMAL(38,18)", "size": "DECIMAL(38,18)", "ts_recv": "TIMESTAMP(NANOS,true)", "ts_event": "TIMESTAMP(NANOS,true)"} {
		if got.Schema[column] != want {
			t.Errorf("%s: %s is %s, want %s", path, column, got.Schema[column], want)
		}
	}
	return got
}
