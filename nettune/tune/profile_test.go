package tune

import (
	"strings"
	"testing"
	"time"
)

func TestProfileYAML(t *testing.T) {
	p, err := ParseProfile("mine.yaml", []byte(`name: london
base: low-latency
path: {rtt: 80ms, bandwidth: 1Gbit}
knobs:
  net.ipv4.tcp_fastopen: 3
  net.ipv4.tcp_rmem: 4096  131072 33554432
  nic.rx-usecs: skip
  nic.adaptive-rx: off
  clock.sync: skip
`))
	if err != nil {
		t.Fatal(err)
	}
	if p.Name != "london" || p.Base != "low-latency" || p.RTT != 80*time.Millisecond || p.Bandwidth != 1e9 {
		t.Errorf("%+v", p)
	}
	for name, want := range map[string]string{"net.ipv4.tcp_rmem": "4096 131072 33554432", "nic.rx-usecs": "", "nic.adaptive-rx": "off",
		"net.core.busy_read": "50"} {
		for _, k := range Table() {
			if k.Name == name && p.want(&k) != want {
				t.Errorf("%s: %q, want %q", name, p.want(&k), want)
			}
		}
	}
	h, _ := fixture(t, "numa2")
	r, err := Audit(h, Options{Profile: p, PID: 4242})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.Findings {
		if f.Knob == "clock.sync" || f.Knob == "nic.rx-usecs" {
			t.Errorf("skipped, and there all the same: %+v", f)
		}
	}
	if empty, err := ParseProfile("e.yaml", nil); err != nil || empty.Base != "conservative" {
		t.Errorf("empty file: %+v, %v", empty, err)
	}
}

// TestProfileErrors wants every problem named with its line, all at once.
func TestProfileErrors(t *testing.T) {
	f := func(text string, want ...string) {
		t.Helper()
		_, err := ParseProfile("p.yaml", []byte(text))
		if err == nil {
			t.Errorf("%q: no error", text)
			return
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%q: %v\nwant %q", text, err, w)
			}
		}
	}
	f("base: fast\nknob: 1\n", `p.yaml:1: base "fast"`, `p.yaml:2: unknown key "knob"`)
	f("knobs:\n  net.ipv4.tcp_fastopn: 3\n  net.core.somaxconn: many\n  nic.adaptive-rx: 1\n",
		"p.yaml:2: unknown knob", `p.yaml:3: knob net.core.somaxconn: "many" is no whole number`, "p.yaml:4: knob nic.adaptive-rx")
	f("knobs:\n  clock.sync: 1\n", "p.yaml:2: knob clock.sync is a check")
	f("path:\n  rtt: fast\n  bandwidth: 1G\n  loss: 1\n", "p.yaml:2: path.rtt", "p.yaml:3: path.bandwidth", `p.yaml:4: unknown key "loss"`)
	f("knobs: [1, 2]\n", "p.yaml:1: knobs: keys and values are expected")
	f("knobs:\n  net.core.somaxconn: {a: 1}\n", "p.yaml:2: net.core.somaxconn: a single value")
	f("a: b: c\n", "p.yaml:1:")
	f("name: a\n---\nname: b\n", "second YAML document")
}

func FuzzProfile(f *testing.F) {
	f.Add([]byte("name: a\nbase: none\npath: {rtt: 80ms, bandwidth: 1Gbit}\nknobs:\n  net.ipv4.tcp_fastopen: 3\n  nic.rx-usecs: skip\n"))
	f.Add([]byte("knobs:\n  - a\n"))
	f.Add([]byte("&a knobs: *a\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ParseProfile("p.yaml", data)
		if err != nil {
			if !strings.Contains(err.Error(), "p.yaml:") {
				t.Fatalf("%q: error without a line: %v", data, err)
			}
			return
		}
		for _, k := range Table() {
			if v := p.Values[k.Name]; v != "" && v != skip {
				if n, err := k.Format.normalize(v); err != nil || n != v {
					t.Fatalf("%q: %s got through as %q: %v", data, k.Name, v, err)
				}
			}
		}
	})
}
