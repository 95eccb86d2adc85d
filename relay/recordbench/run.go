package recordbench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go"
	pzstd "github.com/parquet-go/parquet-go/compress/zstd"
	"golang.org/x/sys/unix"

	"tickrelay/relay/record"
	"tickrelay/ring/md"
	"tickrelay/ring/ringbench"
)

// Config says how much is measured; the zero value: 2,000,000 records, 3 rounds.
type Config struct {
	Records int
	Rounds  int
	Dir     string // where files go; default a temporary folder
}

// outcome is one measurement.
type outcome struct {
	rate     float64 // records per second
	cpu      float64 // ns of processor time per record
	bytes    float64 // per record
	peak     float64 // most memory of the heap beyond what was there before, MB
	resident float64 // most memory of the whole process, MB
}

// Run measures, rounds of all rows interleaved, and reports medians.
func Run(ctx context.Context, cfg Config) (*ringbench.Report, error) {
	if cfg.Records == 0 {
		cfg.Records = 2_000_000
	}
	if cfg.Rounds == 0 {
		cfg.Rounds = 3
	}
	if cfg.Dir == "" {
		dir, err := os.MkdirTemp("", "tickrelay-bench")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		cfg.Dir = dir
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	parts := []func(context.Context, string, *load, int) (outcome, error){recorded, rawZstd, structs, stateless}
	results := make([][]outcome, len(parts))
	for range cfg.Rounds {
		for i, part := range parts {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			l, err := newLoad(cfg.Records, time.Now().Add(-time.Minute).UnixNano())
			if err != nil {
				return nil, err
			}
			o, err := measure(ctx, part, filepath.Join(cfg.Dir, "out"), l, cfg.Records)
			if err != nil {
				return nil, err
			}
			results[i] = append(results[i], o)
		}
	}
	return report(results), nil
}

// measure runs one part in a folder of its own and watches its memory.
func measure(ctx context.Context, part func(context.Context, string, *load, int) (outcome, error), dir string, l *load, n int) (outcome, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return outcome{}, err
	}
	defer os.RemoveAll(dir)
	debug.FreeOSMemory() // what the part before has used is not this one's
	before := usedMemory()
	var most memory
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			now := usedMemory()
			most.heap, most.resident = max(most.heap, now.heap), max(most.resident, now.resident)
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	start, used := time.Now(), processorTime()
	o, err := part(ctx, dir, l, n)
	if o.rate == 0 {
		o.rate = float64(n) / time.Since(start).Seconds()
	}
	o.cpu = float64(processorTime()-used) / float64(n)
	close(stop)
	<-stopped
	o.peak, o.resident = float64(max(most.heap, before.heap)-before.heap)/1e6, float64(most.resident)/1e6
	size := int64(0)
	err = errors.Join(err, filepath.WalkDir(dir, func(_ string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			if st, err := e.Info(); err == nil {
				size += st.Size()
			}
		}
		return err
	}))
	o.bytes = float64(size) / float64(n)
	return o, err
}

// memory is what the process uses at a moment, in bytes.
type memory struct{ heap, resident uint64 }

// usedMemory looks without stopping the program, which would be measured too. resident
// is 0 where the system does not tell.
func usedMemory() memory {
	heap := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(heap)
	m := memory{heap: heap[0].Value.Uint64()}
	var size, pages uint64
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		if _, err := fmt.Sscan(string(text), &size, &pages); err == nil {
			m.resident = pages * uint64(os.Getpagesize())
		}
	}
	return m
}

// processorTime is what the process has used so far, ns.
func processorTime() int64 {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// recorded is the recorder as it runs, from poll to sealed files.
func recorded(ctx context.Context, dir string, l *load, n int) (outcome, error) {
	return runRecorder(ctx, record.Config{Dir: dir, Relay: "bench"}, l)
}

// stateless is the same without key frames, and so without books.
func stateless(ctx context.Context, dir string, l *load, n int) (outcome, error) {
	return runRecorder(ctx, record.Config{Dir: dir, Relay: "bench", NoKeyFrames: true}, l)
}

func runRecorder(ctx context.Context, cfg record.Config, l *load) (outcome, error) {
	r, err := record.New(cfg)
	if err != nil {
		return outcome{}, err
	}
	err = r.Run(ctx, l)
	if st := r.Stats(); err == nil && (st.Lost.Load() > 0 || st.Backlog.Load() > 0) {
		err = errors.New("recordbench: the recorder did not record everything; is the device full?")
	}
	return outcome{}, err
}

// rawZstd is the least that a recorder could do: the records' bytes, compressed.
func rawZstd(_ context.Context, dir string, l *load, n int) (outcome, error) {
	f, err := os.Create(filepath.Join(dir, "raw.zst"))
	if err != nil {
		return outcome{}, err
	}
	defer f.Close()
	w, err := zstd.NewWriter(f, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return outcome{}, err
	}
	recs := make([]md.Record, batch)
	for {
		n, err := l.Poll(recs)
		if errors.Is(err, io.EOF) {
			break
		}
		if _, err := w.Write(md.AsBytes(recs[:n])); err != nil {
			return outcome{}, err
		}
	}
	return outcome{}, errors.Join(w.Close(), f.Sync())
}

// row is the same content for parquet-go's writer of structs.
type row struct {
	TsRecv        int64     `parquet:"ts_recv,timestamp(nanosecond),delta"`
	TsEvent       *int64    `parquet:"ts_event,optional,timestamp(nanosecond)"`
	Venue         string    `parquet:"venue,dict"`
	Channel       string    `parquet:"channel,dict"`
	Symbol        string    `parquet:"symbol,dict"`
	Kind          string    `parquet:"kind,dict"`
	Seq           uint64    `parquet:"seq,delta"`
	Price         *[16]byte `parquet:"price,optional,decimal(18:38)"`
	Size          *[16]byte `parquet:"size,optional,decimal(18:38)"`
	Side          uint32    `parquet:"side,dict"`
	Level         uint32    `parquet:"level,dict"`
	Count         uint32    `parquet:"count,dict"`
	ID            uint64    `parquet:"id,delta"`
	Flags         uint32    `parquet:"flags,dict"`
	PriceMantissa *int64    `parquet:"price_mantissa,optional"`
	PriceExp      int32     `parquet:"price_exp,dict"`
	SizeMantissa  *int64    `parquet:"size_mantissa,optional"`
	SizeExp       int32     `parquet:"size_exp,dict"`
	Instrument    uint32    `parquet:"instrument,dict"`
	Epoch         int64     `parquet:"epoch,dict"`
	Arrival       int64     `parquet:"arrival,delta"`
}

// structs is parquet-go's GenericWriter, with the same settings, without a journal.
func structs(_ context.Context, dir string, l *load, n int) (outcome, error) {
	f, err := os.Create(filepath.Join(dir, "structs.parquet"))
	if err != nil {
		return outcome{}, err
	}
	defer f.Close()
	buf := bufio.NewWriterSize(f, 256<<10)
	w := parquet.NewGenericWriter[row](buf, parquet.Compression(&pzstd.Codec{Level: pzstd.SpeedFastest}), parquet.PageBufferSize(128<<10),
		parquet.DataPageVersion(1), parquet.DictionaryMaxBytes(1<<20), parquet.MaxRowsPerRowGroup(1<<18))
	recs, rows := make([]md.Record, batch), make([]row, batch)
	decimals := make([][2][16]byte, batch)
	arrival := int64(0)
	for {
		n, err := l.Poll(recs)
		if errors.Is(err, io.EOF) {
			break
		}
		for i := range recs[:n] {
			r := &recs[i]
			record.Decimal(decimals[i][0][:], r.Price, r.PriceExp)
			record.Decimal(decimals[i][1][:], r.Size, r.SizeExp)
			rows[i] = row{r.TsRecv, &r.TsEvent, "binance", "book", "BTC-USDT", "book", r.Seq, &decimals[i][0], &decimals[i][1], uint32(r.Side), uint32(r.Level),
				r.Count, r.ID, uint32(r.Flags), &r.Price, int32(r.PriceExp), &r.Size, int32(r.SizeExp), r.Instrument, 1, arrival}
			arrival++
		}
		if _, err := w.Write(rows[:n]); err != nil {
			return outcome{}, err
		}
	}
	return outcome{}, errors.Join(w.Close(), buf.Flush(), f.Sync())
}

func report(results [][]outcome) *ringbench.Report {
	median := func(i int, of func(outcome) float64) float64 {
		var v []float64
		for _, o := range results[i] {
			v = append(v, of(o))
		}
		slices.Sort(v)
		return v[len(v)/2]
	}
	rate := func(o outcome) float64 { return o.rate }
	bytes := func(o outcome) float64 { return o.bytes }
	cpu := func(o outcome) float64 { return o.cpu }
	peak := func(o outcome) float64 { return o.peak }
	resident := func(o outcome) float64 { return o.resident }
	const raw, generic, wanted = "raw records, zstd", "parquet-go structs", "a million a second"
	r := &ringbench.Report{Bench: "record", Hardware: ringbench.Hardware()}
	for _, x := range []ringbench.Row{
		{Name: "recorded, one core", Value: median(0, rate), Unit: "records/s", Baseline: wanted, BaselineValue: 1e6, Goal: ">=1"},
		{Name: "recorded, one core", Value: median(0, rate), Unit: "records/s", Baseline: generic, BaselineValue: median(2, rate)},
		{Name: "recorded, one core", Value: median(0, rate), Unit: "records/s", Baseline: raw, BaselineValue: median(1, rate)},
		{Name: "processor time", Value: median(0, cpu), Unit: "ns/record", Baseline: generic, BaselineValue: median(2, cpu)},
		{Name: "without key frames", Value: median(3, rate), Unit: "records/s", Baseline: wanted, BaselineValue: 1e6},
		{Name: "size of the recording", Value: median(0, bytes), Unit: "bytes/record", Baseline: raw, BaselineValue: median(1, bytes)},
		{Name: "memory, heap's peak", Value: median(0, peak), Unit: "MB", Baseline: generic, BaselineValue: median(2, peak)},
		{Name: "memory, process's peak", Value: median(0, resident), Unit: "MB resident", Baseline: generic, BaselineValue: median(2, resident)},
	} {
		x.Name = strings.TrimSpace(x.Name)
		r.Rows = append(r.Rows, ringbench.NewRow(x))
	}
	return r
}
