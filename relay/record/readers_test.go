package record

import (
	"cmp"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"tickrelay/ring/md"
)

// readersEnv asks for the readers whose packages are tens of megabytes.
const readersEnv = "TICKRELAY_PARQUET_READERS"

// tradeSums is what a recording's trades of a topic come to.
type tradeSums struct {
	venue, symbol   string
	trades          int
	size, mantissas int64   // size: sum of mantissas of exponent -5
	turnover        big.Int // of exponent -7
	first, last     int64
}

// recordTrades makes a recording of two venues' trades, of hours and parts, and sums up
// what it holds, in order of venue and symbol; by minute, volume-weighted prices.
func recordTrades(t *testing.T, root string) (sums []*tradeSums, vwap map[string]float64) {
	r := rand.New(rand.NewPCG(3, 3))
	s := newSealer("desk", 1<<18)
	minutes := map[string][2]float64{}
	for _, st := range []stream{{md.VenueBinance, md.ChannelTrades}, {md.VenueOKX, md.ChannelTrades}} {
		seqs := map[uint32]uint64{}
		by := map[uint32]*tradeSums{}
		for h := range int64(2) {
			hour := testHour + h*hourNs
			recs := testEvents(r, st, hour, seqs, 60_000) // more prices than a dictionary takes
			for i := range recs {
				rec := &recs[i]
				rec.TsRecv += int64(i/4) * 60e6
				rec.Price = r.Int64N(1e9)
				rec.Size, rec.SizeExp = r.Int64N(1e12), -5
				sum := by[rec.Instrument]
				if sum == nil {
					sum = &tradeSums{venue: st.venue.String(), symbol: testSymbol(rec.Instrument), first: math.MaxInt64}
					by[rec.Instrument], sums = sum, append(sums, sum)
				}
				sum.trades++
				sum.size, sum.mantissas = sum.size+rec.Size, sum.mantissas+rec.Price
				sum.turnover.Add(&sum.turnover, new(big.Int).Mul(big.NewInt(rec.Price), big.NewInt(rec.Size)))
				sum.first, sum.last = min(sum.first, rec.TsRecv), max(sum.last, rec.TsRecv)
				if st.venue == md.VenueBinance {
					key := sum.symbol + " " + time.Unix(0, rec.TsRecv).UTC().Format("2006-01-02 15:04:00+00")
					m := minutes[key]
					minutes[key] = [2]float64{m[0] + float64(rec.Price)/100*float64(rec.Size), m[1] + float64(rec.Size)}
				}
			}
			if _, err := s.seal(writeJournal(t, root, st, hour, 0, 0, recs), false, nil); err != nil {
				t.Fatal(err)
			}
			if files, err := listFiles(st.dir(root)); h == 0 && err == nil {
				if _, err := s.mergeHour(st.dir(root), files, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	slices.SortFunc(sums, func(a, b *tradeSums) int {
		return cmp.Or(cmp.Compare(a.venue, b.venue), cmp.Compare(a.symbol, b.symbol))
	})
	vwap = map[string]float64{}
	for k, m := range minutes {
		vwap[k] = m[0] / m[1]
	}
	return sums, vwap
}

// volume is the text of a DECIMAL(38,18).
func (s *tradeSums) volume() string {
	return fmt.Sprintf("%d.%05d%013d", s.size/100000, s.size%100000, 0)
}

// docQueries are the DuckDB queries of docs/recording.md.
func docQueries(t *testing.T, root string) []string {
	text, err := os.ReadFile("../../docs/recording.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "```sql\n")
	block, _, _ = strings.Cut(block, "```")
	queries := strings.Split(strings.TrimSuffix(strings.TrimSpace(block), ";"), ";\n")
	for i := range queries {
		queries[i] = strings.ReplaceAll(queries[i], "'DIR/", "'"+root+"/")
	}
	return queries
}

// TestReaders runs the queries of the documentation with DuckDB, and polars' engine, and
// compares counts and sums with those of the records.
func TestReaders(t *testing.T) {
	if os.Getenv(readersEnv) == "" {
		t.Skip("set " + readersEnv + "=1 to install DuckDB and polars from the npm registry (90 MB) and have them read a recording")
	}
	dir, node := npmInstall(t, "@duckdb/node-api@1.5.6-r.1", "nodejs-polars@0.26.1", "nodejs-polars-linux-x64-gnu@0.26.1")
	root := t.TempDir()
	sums, vwap := recordTrades(t, root)
	var volumes, turnovers, all [][]string
	for _, s := range sums {
		n := strconv.Itoa(s.trades)
		volumes = append(volumes, []string{s.venue, s.symbol, n, s.volume()})
		turnovers = append(turnovers, []string{s.venue, s.symbol, "-7", s.turnover.String()})
		all = append(all, []string{s.venue, s.symbol, n, s.volume(), strconv.FormatInt(s.mantissas, 10), strconv.FormatInt(s.first, 10), strconv.FormatInt(s.last, 10)})
	}
	t.Run("DuckDB", func(t *testing.T) {
		var got [][][]string
		runScript(t, node, dir, "duckdb.mjs", &got, docQueries(t, root)...)
		if len(got) != 3 || len(got[0]) != len(vwap) {
			t.Fatalf("%d queries in the documentation, want 3; %d minutes, want %d", len(got), len(got[0]), len(vwap))
		}
		for _, row := range got[0] {
			price, err := strconv.ParseFloat(row[2], 64)
			if want := vwap[row[0]+" "+row[1]]; err != nil || math.Abs(price-want) > 1e-9*want {
				t.Errorf("%s: want %g", row, want)
			}
		}
		if !reflect.DeepEqual(got[1], volumes) {
			t.Errorf("volumes %s\nwant %s", got[1], volumes)
		}
		if !reflect.DeepEqual(got[2], turnovers) {
			t.Errorf("turnovers %s\nwant %s", got[2], turnovers)
		}
	})
	t.Run("polars", func(t *testing.T) {
		var got [][]string
		runScript(t, node, dir, "polars.mjs", &got, root+"/*/trades/*.parquet")
		if !reflect.DeepEqual(got, all) {
			t.Errorf("%s\nwant %s", got, all)
		}
	})
}
