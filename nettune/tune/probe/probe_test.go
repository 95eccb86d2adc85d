package probe

import (
	"context"
	"errors"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"
)

// serve starts a server and returns its address; it is stopped and waited for
// at the end of the test.
func serve(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := Serve(ctx, ln); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	return ln.Addr().String()
}

func TestRound(t *testing.T) {
	c := Config{Addr: serve(t), Pings: 50, Gap: -1, Burst: 4 << 20}
	r, err := c.Round(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if r[0] <= 0 || r[1] < r[0] || r[2] < r[0] || r[3] < r[0] {
		t.Errorf("figures out of order: %v", r)
	}
}

func TestRoundErrors(t *testing.T) {
	addr := serve(t)
	for _, c := range []Config{{}, {Addr: addr, Burst: MaxBurst + 1}, {Addr: addr, Message: 3}, {Addr: addr, Pings: -1}} {
		if _, err := c.Round(context.Background()); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(20*time.Millisecond, cancel)
	start := time.Now()
	if _, err := (Config{Addr: addr, Pings: 1 << 20}).Round(ctx); !errors.Is(err, context.Canceled) || time.Since(start) > 5*time.Second {
		t.Errorf("cancelled after %v: %v", time.Since(start), err)
	}
}

// TestServerRefuses sends what is no request.
func TestServerRefuses(t *testing.T) {
	addr := serve(t)
	for _, bad := range [][]byte{
		[]byte("GET / HTTP/1.1\r\n\r\n"),
		request{MaxBurst + 1, 1}.append(nil),
		request{0, MaxBurst + 1}.append(nil),
		request{1, 0}.append(nil),
	} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(5 * time.Second))
		c.Write(bad)
		if n, err := io.Copy(io.Discard, c); n != 0 || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%q: %d bytes came back, %v", bad, n, err)
		}
		c.Close()
	}
}

// TestSignedRank compares with figures that can be counted by hand: all n
// differences positive has probability 2^-n.
func TestSignedRank(t *testing.T) {
	f := func(want float64, diffs ...float64) {
		t.Helper()
		if got := SignedRank(diffs); math.Abs(got-want) > 1e-12 {
			t.Errorf("%v: %v, want %v", diffs, got, want)
		}
	}
	f(1)
	f(1, 0, 0)
	f(0.5, 3)
	f(1, -3)
	f(1.0/8, 1, 2, 3)
	f(2.0/8, -1, 2, 3) // sums ≥ 5: {2,3}, {1,2,3}
	f(1.0/32, 1, 1, 1, 1, 1)
	f(6.0/32, -1, 1, 1, 1, 1) // ties: at most one negative
	f(1.0/1024, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10)
	f(1.0/8, 0, 1, math.NaN(), 2, 3) // zeros and what is no number do not count
	many := make([]float64, 3*MaxPairs)
	for i := range many {
		many[i] = float64(i%7) - 2.9
	}
	if p := SignedRank(many); p < 0 || p > 1 {
		t.Errorf("many: %v", p)
	}
}

// TestSignedRankLevel: under noise p ≤ 0.05 comes in about one case of twenty.
func TestSignedRankLevel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	hits, n := 0, 4000
	for range n {
		d := make([]float64, 12)
		for i := range d {
			d[i] = rng.NormFloat64()
		}
		if SignedRank(d) <= 0.05 {
			hits++
		}
	}
	if rate := float64(hits) / float64(n); rate < 0.03 || rate > 0.06 {
		t.Errorf("p ≤ 0.05 in %.3f of the cases", rate)
	}
}

func FuzzRequest(f *testing.F) {
	f.Add(request{1, 2}.append(nil))
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := parseRequest(data)
		if err == nil && (r.up > MaxBurst || r.down > MaxBurst || string(r.append(nil)) != string(data)) {
			t.Fatalf("%q became %+v", data, r)
		}
	})
}
