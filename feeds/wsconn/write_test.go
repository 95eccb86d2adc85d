package wsconn

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"tickrelay/nettune"
)

func TestWrite(t *testing.T) {
	c, m := opened(t, Config{}, nil, 0)
	long := strings.Repeat("y", 70_000)
	for _, err := range []error{c.WriteText([]byte("x")), c.WriteBinary([]byte(long[:126])), c.WriteText([]byte(long)),
		c.Ping(nil), c.Ping([]byte("beat")), c.Close(1001, "going")} {
		if err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"1:x", "2:" + long[:126], "1:" + long, "9:", "9:beat", "8:\x03\xe9going"}
	if got := clientFrames(t, m.out); !slices.Equal(got, want) {
		t.Errorf("sent %.80q", got)
	}
	if c.Open() {
		t.Error("open after Close")
	}
	for name, err := range map[string]error{"write": c.WriteText(nil), "ping": c.Ping(nil), "close": c.Close(1000, "")} {
		if err != ErrNotOpen {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
	m.in = slices.Concat(serverFrame(fin|1, "late"), serverFrame(fin|9, "p"), serverFrame(fin|8, "\x03\xe9"))
	n := len(m.out)
	got, err := results(c, m)
	var closed *ErrClosed
	if len(got) != 1 || !errors.As(err, &closed) || closed.Code != 1001 || len(m.out) != n {
		t.Errorf("after Close: %q, %v, %d bytes more sent", got, err, len(m.out)-n)
	}
}

func TestPingTooLong(t *testing.T) {
	c, m := opened(t, Config{}, nil, 0)
	if err := c.Ping(make([]byte, 126)); err == nil || len(m.out) > 0 {
		t.Error("sent a ping of 126 bytes")
	}
	if err := c.Close(1000, strings.Repeat("r", 200)); err != nil {
		t.Fatal(err)
	}
	if got := clientFrames(t, m.out); len(got) != 1 || len(got[0]) != 2+125 {
		t.Errorf("close frame %q", got)
	}
}

// Masks differ from frame to frame and from connection to connection.
func TestMasksVary(t *testing.T) {
	seen := map[string]bool{}
	for range 4 {
		c, m := opened(t, Config{}, nil, 0)
		for range 4 {
			m.out = m.out[:0]
			_ = c.WriteText([]byte("same"))
			seen[string(m.out[2:6])] = true
		}
	}
	if len(seen) < 15 {
		t.Errorf("%d different masks of 16", len(seen))
	}
}

// A stream that takes little: frames wait whole and in order, up to the bound.
func TestPartialWrites(t *testing.T) {
	c, m := opened(t, Config{MaxPending: 1000}, nil, 0)
	m.room = 7
	var want []string
	for i := range 5 {
		p := strings.Repeat(string(rune('a'+i)), 150)
		if err := c.WriteText([]byte(p)); err != nil {
			t.Fatal(err)
		}
		want = append(want, "1:"+p)
	}
	if !m.wantWrite || c.Pending() == 0 {
		t.Fatal("nothing waits")
	}
	if err := c.WriteText(make([]byte, 400)); !errors.Is(err, ErrPendingFull) {
		t.Fatalf("over the bound: %v", err)
	}
	if err := c.Ping([]byte("p")); err != nil { // control frames may pass it
		t.Fatal(err)
	}
	want = append(want, "9:p")
	for c.Pending() > 0 {
		m.room = 13
		if err := c.Flush(); err != nil && err != nettune.ErrWouldBlock {
			t.Fatal(err)
		}
	}
	if m.wantWrite {
		t.Error("still asks for Writable")
	}
	if got := clientFrames(t, m.out); !slices.Equal(got, want) {
		t.Errorf("sent %.200q", got)
	}
	if err := c.WriteText(make([]byte, 2000)); !errors.Is(err, ErrPendingFull) {
		t.Errorf("a frame over the bound: %v", err)
	}
}

// A peer that sends pings and reads nothing does not grow memory.
func TestPingFlood(t *testing.T) {
	var in []byte
	for range 20_000 {
		in = append(in, serverFrame(fin|9, strings.Repeat("p", 125))...)
	}
	c, m := opened(t, Config{}, in, 0)
	m.room = 0
	if _, err := results(c, m); err != nettune.ErrWouldBlock {
		t.Fatal(err)
	}
	st := c.Stats()
	if c.Pending() > pongRoom+200 || st.PongsDropped == 0 || st.Pings != 20_000 {
		t.Errorf("%d bytes wait, %+v", c.Pending(), st)
	}
}

func TestWriteAllocatesNothing(t *testing.T) {
	c, m := opened(t, Config{}, nil, 0)
	m.out = make([]byte, 0, 4096)
	p := make([]byte, 500)
	run := func() {
		m.out = m.out[:0]
		if c.WriteText(p) != nil || c.Ping(nil) != nil {
			panic("write")
		}
	}
	run()
	if n := testing.AllocsPerRun(200, run); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
