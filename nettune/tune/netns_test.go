package tune

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"tickrelay/nettune/tune/probe"
)

func TestNetnsSysctls(t *testing.T)  { inNamespaces(t, "sysctls") }
func TestNetnsCrash(t *testing.T)    { inNamespaces(t, "crash") }
func TestNetnsSteering(t *testing.T) { inNamespaces(t, "steering") }
func TestNetnsTap(t *testing.T)      { inNamespaces(t, "tap") }
func TestNetnsOther(t *testing.T)    { inNamespaces(t, "otherns") }

// other is a legal value of a knob that its rule does not take for the present
// one.
func other(k *Knob, have string) string {
	switch k.Name {
	case "net.ipv4.tcp_fastopen":
		return "519"
	case "net.ipv4.tcp_congestion_control":
		return "reno"
	case "net.ipv4.ip_local_port_range":
		return "20000 60000"
	}
	words := strings.Fields(have)
	for i, w := range words {
		n, err := strconv.ParseInt(w, 10, 64)
		if err != nil {
			return have
		}
		switch {
		case k.Rule == AtLeast:
			n++
		case k.Rule == AtMost:
			n--
		case n == 0:
			n = 1
		default:
			n = 0
		}
		words[i] = strconv.FormatInt(n, 10)
	}
	return strings.Join(words, " ")
}

// otherValues makes a profile that changes every namespaced sysctl there is.
func otherValues(t *testing.T, h *Host) Profile {
	t.Helper()
	p := Profile{Name: "other", Base: "none", Values: map[string]string{}}
	for _, k := range Table() {
		if !k.PerNetns || sysctlName(k.Path) == "" {
			continue
		}
		have, err := current(h, k.Path, k.Format)
		if errors.Is(err, os.ErrNotExist) {
			t.Logf("%s is not in this kernel", k.Name)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		p.Values[k.Name] = other(&k, have)
	}
	return p
}

func wantStatus(t *testing.T, what string, results []Result, want ...Status) {
	t.Helper()
	for _, r := range results {
		ok := false
		for _, s := range want {
			ok = ok || r.Status == s
		}
		if !ok {
			t.Errorf("%s: %s %s -> %s (now %s): %s %s", what, r.Key, r.Old, r.New, r.Read, r.Status, r.Error)
		}
	}
}

// insideSysctls writes every namespaced sysctl of the table, reads it back by
// a way of its own, and puts it back.
func insideSysctls(t *testing.T) {
	ownSys(t)
	h := Live()
	defer h.Close()
	o := Options{Profile: otherValues(t, h)}
	plan, err := Plan(h, o)
	if err != nil {
		t.Fatal(err)
	}
	if len(plan) < 20 || len(plan) != len(o.Profile.Values) {
		t.Fatalf("%d changes for %d values", len(plan), len(o.Profile.Values))
	}
	before := map[string]string{}
	for _, c := range plan {
		before[c.Key] = rawFile(t, c.Key)
	}
	journal := filepath.Join(t.TempDir(), "journal")
	results, err := Apply(context.Background(), h, plan, ApplyConfig{Journal: journal})
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, "apply", results, Done)
	for _, c := range plan {
		if got := strings.Join(strings.Fields(rawFile(t, c.Key)), " "); got != c.New {
			t.Errorf("%s holds %q, %q was written", c.Key, got, c.New)
		}
	}
	verified, err := Verify(h, journal)
	if err != nil || len(verified) != len(plan) {
		t.Fatalf("verify: %d results, %v", len(verified), err)
	}
	wantStatus(t, "verify", verified, Kept)
	if err := os.WriteFile(plan[0].Key, []byte("0\n"), 0); err != nil {
		t.Fatal(err)
	}
	if verified, err = Verify(h, journal); err != nil || verified[0].Status != Drifted {
		t.Errorf("drift of %s was not seen: %+v, %v", plan[0].Key, verified[0], err)
	}
	for _, force := range []bool{false, true} {
		back, err := Revert(context.Background(), h, RevertConfig{Journal: journal, Force: force})
		if err != nil {
			t.Fatal(err)
		}
		if !force {
			if last := back[len(back)-1]; last.Status != Foreign {
				t.Errorf("a stranger's value was not left alone: %+v", last)
			}
			back = back[:len(back)-1]
		}
		wantStatus(t, "revert", back, Done, Kept)
	}
	for key, want := range before {
		if got := rawFile(t, key); got != want {
			t.Errorf("%s holds %q, it was %q", key, got, want)
		}
	}
	t.Logf("%d namespaced sysctls written, read back and restored", len(plan))
}

func rawFile(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// crashProfile touches sysctls, veth queues and nothing outside the namespace.
func crashOptions(t *testing.T, h *Host) Options {
	p := otherValues(t, h)
	p.Values["nic.rps_cpus"] = "1"
	p.Values["nic.xps_cpus"] = "1"
	p.Values["nic.rps_flow_cnt"] = "64"
	return Options{Profile: p, Ifaces: []string{"va", "vb"}}
}

// insideCrash kills apply after each of its writes, and revert likewise.
func insideCrash(t *testing.T) {
	ownSys(t)
	vethPair(t, 1)
	h := Live()
	defer h.Close()
	plan, err := Plan(h, crashOptions(t, h))
	if err != nil || len(plan) < 26 {
		t.Fatalf("%d changes, %v", len(plan), err)
	}
	before := map[string]string{}
	for _, c := range plan {
		before[c.Key] = rawFile(t, c.Key)
	}
	same := func(what string, n int) {
		t.Helper()
		for key, want := range before {
			if got := rawFile(t, key); got != want {
				t.Fatalf("%s killed after write %d: %s holds %q, it was %q", what, n, key, got, want)
			}
		}
	}
	journal := filepath.Join(t.TempDir(), "journal")
	t.Setenv("TUNE_TEST_JOURNAL", journal)
	for n := range plan {
		killed(t, again("applyDie", strconv.Itoa(n)))
		if len(differsNow(t, before)) == 0 {
			t.Fatalf("apply killed after write %d changed nothing", n)
		}
		if n%3 == 0 { // and revert is killed as well
			killed(t, again("revertDie", strconv.Itoa(n/2)))
		}
		back, err := Revert(context.Background(), h, RevertConfig{Journal: journal})
		if err != nil {
			t.Fatal(err)
		}
		wantStatus(t, "revert", back, Done, Kept)
		same("apply", n)
		if again, err := Revert(context.Background(), h, RevertConfig{Journal: journal}); err != nil || len(again) != 0 {
			t.Fatalf("a second revert: %v, %v", again, err)
		}
	}
	// Prove is killed while the first group is written, on trial, and in a later one.
	for _, round := range []string{"1", "2", "9", "40"} {
		killed(t, again("proveDie", round))
		if _, err := Revert(context.Background(), h, RevertConfig{Journal: journal}); err != nil {
			t.Fatal(err)
		}
		same("prove", -1)
	}
	// Killed, then applied again to the end: the first old values still count.
	killed(t, again("applyDie", "9"))
	if out, err := again("applyNormal", "0").CombinedOutput(); err != nil {
		t.Fatalf("apply after a crash: %v\n%s", err, out)
	}
	if v, err := Verify(h, journal); err != nil || len(v) != len(plan) {
		t.Fatalf("verify: %d of %d, %v", len(v), len(plan), err)
	} else {
		wantStatus(t, "verify", v, Kept)
	}
	if _, err := Revert(context.Background(), h, RevertConfig{Journal: journal}); err != nil {
		t.Fatal(err)
	}
	same("apply, then applied again, with one", 9)
	t.Logf("apply killed after each of %d writes", len(plan))
}

func differsNow(t *testing.T, before map[string]string) []string {
	t.Helper()
	var out []string
	for key, want := range before {
		if rawFile(t, key) != want {
			out = append(out, key)
		}
	}
	return out
}

// killed runs cmd and wants it to end by SIGKILL.
func killed(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	var exit *exec.ExitError
	if err := cmd.Run(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("%v: want death by SIGKILL\n%s", err, out.Bytes())
	}
}

func dieAfter(n int) func(int) {
	return func(i int) {
		if i == n {
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}
}

func insideApplyDie(t *testing.T) { applyWith(t, dieAfter(argNumber(t))) }

func insideApplyNormal(t *testing.T) { applyWith(t, nil) }

func applyWith(t *testing.T, hook func(int)) {
	h := Live()
	defer h.Close()
	o := crashOptions(t, h)
	if f := os.Getenv("TUNE_TEST_JOURNAL"); hook == nil {
		// After a crash some values are changed already: aim at the same ones.
		if j, err := loadJournal(f); err == nil {
			for _, e := range j.entries {
				o.Profile.Values[e.Knob] = e.New
			}
		}
	}
	plan, err := Plan(h, o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(context.Background(), h, plan, ApplyConfig{Journal: os.Getenv("TUNE_TEST_JOURNAL"), afterWrite: hook}); err != nil {
		t.Fatal(err)
	}
}

// dyingProbe measures nothing and dies in a round.
type dyingProbe struct{ rounds, at int }

func (p *dyingProbe) Round(context.Context) (probe.Round, error) {
	dieAfter(p.at)(p.rounds)
	p.rounds++
	return probe.Round{1, 1, 1, 1}, nil
}

func insideProveDie(t *testing.T) {
	h := Live()
	defer h.Close()
	plan, err := Plan(h, crashOptions(t, h))
	if err != nil {
		t.Fatal(err)
	}
	_, err = Prove(context.Background(), h, plan, &dyingProbe{at: argNumber(t)}, ProveConfig{Journal: os.Getenv("TUNE_TEST_JOURNAL"), Settle: time.Nanosecond})
	t.Fatalf("alive after the last round: %v", err)
}

func insideRevertDie(t *testing.T) {
	h := Live()
	defer h.Close()
	if _, err := Revert(context.Background(), h, RevertConfig{Journal: os.Getenv("TUNE_TEST_JOURNAL"), afterWrite: dieAfter(argNumber(t))}); err != nil {
		t.Fatal(err)
	}
}

// opposite of what a device's feature is.
func opposite(t *testing.T, h *Host, key string) string {
	t.Helper()
	v, err := h.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"on": "off", "off": "on"}[v]
}

// insideSteering writes RPS, RFS, XPS and an offload of a veth pair.
func insideSteering(t *testing.T) {
	ownSys(t)
	vethPair(t, 2)
	h := Live()
	defer h.Close()
	o := Options{Ifaces: []string{"va"}, Profile: Profile{Base: "none", Values: map[string]string{
		"nic.rps_cpus": "1", "nic.rps_flow_cnt": "128", "nic.xps_cpus": "1", "nic.napi_defer_hard_irqs": "2", "nic.gro": opposite(t, h, "nic:va/feature/generic-receive-offload")}}}
	plan, err := Plan(h, o)
	if err != nil || len(plan) < 5 {
		t.Fatalf("%+v, %v", plan, err)
	}
	journal := filepath.Join(t.TempDir(), "journal")
	results, err := Apply(context.Background(), h, plan, ApplyConfig{Journal: journal})
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, "apply", results, Done)
	if got := strings.TrimSpace(rawFile(t, "/sys/class/net/va/queues/rx-0/rps_cpus")); strings.TrimLeft(got, "0,") != "1" {
		t.Errorf("rps_cpus holds %q", got)
	}
	if driver, err := h.Get("nic:va/driver/"); err != nil || driver != "veth" {
		t.Errorf("driver %q, %v", driver, err)
	}
	link, err := netlink.LinkByName("va")
	if err == nil {
		err = netlink.LinkDel(link) // the device goes while its settings are in the journal
	}
	if err != nil {
		t.Fatal(err)
	}
	back, err := Revert(context.Background(), h, RevertConfig{Journal: journal})
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, "revert without the device", back, Gone)
}

// insideTap sets coalescing on a TAP, whose driver takes rx-frames and nothing
// else.
func insideTap(t *testing.T) {
	ownSys(t)
	newTap(t, "tap0", [4]byte{10, 98, 0, 1})
	h := Live()
	defer h.Close()
	o := Options{Ifaces: []string{"tap0"}, Profile: Profile{Base: "none", Values: map[string]string{
		"nic.rx-frames": "16", "nic.adaptive-rx": "on"}}}
	plan, err := Plan(h, o)
	if err != nil || len(plan) != 2 {
		t.Fatalf("%+v, %v", plan, err)
	}
	old, _ := h.Get("nic:tap0/coalesce/rx-frames")
	journal := filepath.Join(t.TempDir(), "journal")
	results, err := Apply(context.Background(), h, plan, ApplyConfig{Journal: journal})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		want := map[string]Status{"nic.rx-frames": Done, "nic.adaptive-rx": Failed}[r.Knob]
		if r.Status != want {
			t.Errorf("%s: %s %s, want %s", r.Knob, r.Status, r.Error, want)
		}
	}
	fresh := Live()
	defer fresh.Close()
	if got, err := fresh.Get("nic:tap0/coalesce/rx-frames"); err != nil || got != "16" || old == got {
		t.Errorf("rx-frames is %q (was %q), %v", got, old, err)
	}
	if _, err := fresh.Get("nic:tap0/ring/rx"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a TAP has no ring: %v", err)
	}
	back, err := Revert(context.Background(), h, RevertConfig{Journal: journal})
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, "revert", back, Done, Kept)
	if got, _ := fresh.Get("nic:tap0/coalesce/rx-frames"); got != old {
		t.Errorf("rx-frames is %q after revert, it was %q", got, old)
	}
}

// insideOtherNetns wants the journal of another namespace refused, and the
// host's own settings named as out of reach, not tried.
func insideOtherNetns(t *testing.T) {
	ownSys(t)
	h := Live()
	defer h.Close()
	beyond := Profile{Base: "none", Values: map[string]string{"net.core.rmem_max": "1073741824"}}
	if plan, err := Plan(h, Options{Profile: beyond}); err != nil {
		t.Fatal(err)
	} else if len(plan) == 1 { // older kernels do not show it here at all
		results, err := Apply(context.Background(), h, plan, ApplyConfig{Journal: filepath.Join(t.TempDir(), "journal")})
		if err != nil || plan[0].Blocked == "" {
			t.Fatalf("%+v, %v", plan, err)
		}
		wantStatus(t, "beyond reach", results, Blocked)
	}
	if c := netnsCookie(); c < 2 || JournalPath(h) == DefaultJournal {
		t.Fatalf("namespace %d has the journal %s", c, JournalPath(h))
	}
	head := newHeader(h, "")
	head.Netns++
	j := &journal{path: filepath.Join(t.TempDir(), "journal"), head: head, entries: []entry{
		{Knob: "net.ipv4.tcp_fastopen", Key: sysctlPath("net.ipv4.tcp_fastopen"), Netns: true, Old: "7", New: "3", Read: "3"}}}
	if err := j.save(); err != nil {
		t.Fatal(err)
	}
	if _, err := Revert(context.Background(), h, RevertConfig{Journal: j.path}); !errors.Is(err, ErrOtherNetns) {
		t.Errorf("revert: %v", err)
	}
	if _, err := Verify(h, j.path); !errors.Is(err, ErrOtherNetns) {
		t.Errorf("verify: %v", err)
	}
	if _, err := Apply(context.Background(), h, nil, ApplyConfig{Journal: j.path}); !errors.Is(err, ErrOtherNetns) {
		t.Errorf("apply: %v", err)
	}
}
