package feeds

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tickrelay/ring/md"
)

func TestConfigNamesEveryProblem(t *testing.T) {
	_, err := New(Config{Venue: newToyVenue(), Name: "x", CPU: 5000, Lines: 99, URL: "http://a/", REST: "ftp://b/",
		Backoff: Backoff{Min: time.Hour}})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"no instrument table", "lines is 99", "cpu is 5000", "url: ", "rest: ", "backoff: "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
	if _, err := New(Config{}); err == nil || !strings.Contains(err.Error(), "no venue") {
		t.Errorf("without a venue: %v", err)
	}
}

func TestConfigDefaults(t *testing.T) {
	c := Config{Venue: newToyVenue(), REST: NoREST}.withDefaults()
	if c.Name != "binance" || c.URL != "ws://192.0.2.1/ws" || c.REST != "" || c.Lines != 1 || !c.Options.NoDelay ||
		!c.Options.FastOpen || !c.Options.Timestamps || c.Limits.Dial != 5*time.Second || c.Epoch == 0 {
		t.Errorf("%+v", c)
	}
	if len(c.Channels) != 1 || c.Channels[0] != md.ChannelTrades {
		t.Errorf("channels %v, the venue has trades alone", c.Channels)
	}
}

func TestParseEndpoint(t *testing.T) {
	f := func(in string, want endpoint) {
		t.Helper()
		got, err := parseEndpoint(in)
		if err != nil || got != want {
			t.Errorf("%s is %+v, %v, want %+v", in, got, err, want)
		}
	}
	f("wss://h.example/ws?x=1", endpoint{"h.example", 443, "h.example", "/ws?x=1", true})
	f("ws://h.example", endpoint{"h.example", 80, "h.example", "/", false})
	f("wss://h.example:8443/a/b", endpoint{"h.example", 8443, "h.example:8443", "/a/b", true})
	f("ws://[::1]:81/", endpoint{"::1", 81, "[::1]:81", "/", false})
	for _, bad := range []string{"", "h.example", "http://h/", "ws:///x", "ws://u:p@h/", "ws://h:0/", "ws://h:99999/"} {
		if e, err := parseEndpoint(bad); err == nil {
			t.Errorf("%q accepted as %+v", bad, e)
		}
	}
}

// firstCPU is the first processor that this process may use.
func firstCPU(t *testing.T) int {
	t.Helper()
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Skipf("affinity cannot be read here: %v", err)
	}
	cpu := 0
	for !set.IsSet(cpu) {
		cpu++
	}
	return cpu
}

func TestLockThreadPinsAndRestores(t *testing.T) {
	var before, during, after unix.CPUSet
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cpu := firstCPU(t)
	unix.SchedGetaffinity(0, &before)
	release, err := lockThread(cpu)
	if err != nil {
		t.Fatal(err)
	}
	unix.SchedGetaffinity(0, &during)
	release()
	unix.SchedGetaffinity(0, &after)
	if during.Count() != 1 || !during.IsSet(cpu) || after != before {
		t.Errorf("pinned to %d processors, restored %v", during.Count(), after == before)
	}
	if _, err := lockThread(maxCPUs - 1); err == nil || !strings.Contains(err.Error(), "1023") {
		t.Errorf("a processor that is not there: %v", err)
	}
}
