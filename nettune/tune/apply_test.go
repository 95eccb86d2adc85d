package tune

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// applied is a tree with a plan applied to it.
func applied(t *testing.T, tree, profile string, c ApplyConfig) (h *Host, dir string, before map[string]string, results []Result) {
	t.Helper()
	h, dir = fixture(t, tree)
	before = snapshot(t, dir)
	plan, err := Plan(h, Options{Profile: builtIn(t, profile)})
	if err != nil || len(plan) == 0 {
		t.Fatalf("%d changes, %v", len(plan), err)
	}
	c.Profile = profile
	if results, err = Apply(context.Background(), h, plan, c); err != nil {
		t.Fatal(err)
	}
	wantStatus(t, "apply", results, Done)
	return h, dir, before, results
}

func TestApplyVerifyRevert(t *testing.T) {
	f := func(tree, profile string) {
		t.Helper()
		h, dir, before, results := applied(t, tree, profile, ApplyConfig{})
		if len(differences(before, snapshot(t, dir))) == 0 {
			t.Fatalf("%s: nothing changed", tree)
		}
		o := Options{Profile: builtIn(t, profile)}
		if plan, err := Plan(h, o); err != nil || len(plan) != 0 {
			t.Errorf("%s: after apply the plan still has %v, %v", tree, plan, err)
		}
		v, err := Verify(h, "")
		if err != nil || len(v) != len(results) {
			t.Fatalf("%s: verify: %d of %d, %v", tree, len(v), len(results), err)
		}
		wantStatus(t, "verify", v, Kept)
		back, err := Revert(context.Background(), h, RevertConfig{})
		if err != nil {
			t.Fatal(err)
		}
		wantStatus(t, "revert", back, Done, Kept)
		if diff := differences(before, snapshot(t, dir)); len(diff) > 0 {
			t.Errorf("%s: after revert %v", tree, diff)
		}
		if _, err := os.Stat(JournalPath(h)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: the journal is still there: %v", tree, err)
		}
	}
	f("numa2", "low-latency")
	f("ena", "aws-ena")
	f("container", "conservative")
}

// TestJournalComesFirst stops before the first write and looks at the disk.
func TestJournalComesFirst(t *testing.T) {
	h, dir := fixture(t, "ena")
	plan, err := Plan(h, Options{Profile: builtIn(t, "aws-ena")})
	if err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, dir)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Apply(ctx, h, plan, ApplyConfig{}); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if diff := differences(before, snapshot(t, dir)); len(diff) > 0 {
		t.Fatalf("written before the journal was done: %v", diff)
	}
	j, err := loadJournal(JournalPath(h))
	if err != nil || len(j.entries) != len(plan) {
		t.Fatalf("journal: %v", err)
	}
	for _, c := range plan {
		if e := j.find(c.Key); e == nil || e.Old != c.Old || e.New != c.New {
			t.Errorf("%s: entry %+v", c.Key, e)
		}
	}
}

// TestTornJournal cuts the journal at every byte of its appended part: the old
// values are never lost, and revert restores them.
func TestTornJournal(t *testing.T) {
	h, dir := fixture(t, "container")
	before := snapshot(t, dir)
	plan, err := Plan(h, Options{})
	if err != nil {
		t.Fatal(err)
	}
	path := JournalPath(h)
	var saved []byte
	hook := func(n int) {
		if n == 0 {
			saved, _ = os.ReadFile(path)
		}
	}
	if _, err := Apply(context.Background(), h, plan, ApplyConfig{afterWrite: hook}); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil || len(saved) == 0 || !bytes.HasPrefix(whole, saved) {
		t.Fatalf("the journal was not appended to: %v", err)
	}
	after := snapshot(t, dir)
	for cut := len(saved); cut <= len(whole); cut += 7 {
		for key, text := range after { // as it was when the machine fell over
			if err := os.WriteFile(filepath.Join(dir, key), []byte(text+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.WriteFile(path, whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Revert(context.Background(), h, RevertConfig{}); err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if diff := differences(before, snapshot(t, dir)); len(diff) > 0 {
			t.Fatalf("cut at %d: %v", cut, diff)
		}
	}
}

func TestDamagedJournal(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		path := filepath.Join(t.TempDir(), "j")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		h := openTree(t, t.TempDir())
		if _, err := Revert(context.Background(), h, RevertConfig{Journal: path}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%q: the journal was removed", text)
		}
	}
	head := `{"tune_journal":1}` + "\n"
	f("", "no header")
	f("hello\n", "line 1")
	f(`{"tune_journal":9}`+"\n", "version 9")
	f(head+"{}\n", "line 2: neither entry nor outcome")
	f(head+`{"done":"/sys/x","read":"1"}`+"\n", `"/sys/x", which has no old value`)
	const fine = `{"knob":"net.ipv4.tcp_fastopen","key":"/proc/sys/net/ipv4/tcp_fastopen","old":"1","new":"3"}` + "\n"
	f(head+fine+fine, "line 3: bad entry")
	f(head+strings.Replace(fine, `"old"`, `"format":77,"old"`, 1), "bad entry")
	f(head+strings.Replace(fine, `"old"`, `"format":1,"old"`, 1), "bad entry") // another row's format
	for _, e := range [][2]string{
		{"net.ipv4.tcp_fastopen", "/etc/passwd"}, {"net.ipv4.tcp_fastopen", "/proc/sys/kernel/modprobe"}, {"net.ipv4.tcp_fastopen", ""},
		{"kernel.modprobe", "/proc/sys/kernel/modprobe"}, {"", "/proc/1/mem"},
		{"nic.rx-usecs", "nic:eth0"}, {"nic.rx-usecs", "nic:eth0/stat/x"}, {"nic.rps_flow_cnt", "/sys/class/net/../queues/rx-0/rps_flow_cnt"},
		{"nic.rps_flow_cnt", "/sys/class/net/e/../../queues/rx-0/rps_flow_cnt"}, {"irq.affinity", "/proc/irq/../smp_affinity_list"},
		{"cpu.dma_latency", "/dev/cpu_dma_latency"},
	} {
		f(head+`{"knob":"`+e[0]+`","key":"`+e[1]+`","old":"1","new":"2"}`+"\n", "bad entry")
	}
	for _, path := range []string{"/etc/passwd", "/etc/sysctl.d/99-other.conf", "/x/../etc/sysctl.d/90-tickrelay.conf"} {
		f(head+`{"drop_in":"`+path+`","old":"x"}`+"\n", "bad drop-in")
	}
}

// stubbornNIC ignores rx-usecs, rounds rings and refuses offloads.
type stubbornNIC struct{ NIC }

func (n stubbornNIC) Set(iface, class, name, value string) error {
	switch {
	case name == "rx-usecs":
		return nil
	case class == "ring":
		return n.NIC.Set(iface, class, name, "1536")
	case class == "feature":
		return fmt.Errorf("device is busy")
	}
	return n.NIC.Set(iface, class, name, value)
}

// TestStubbornDriver wants drivers that ignore, round or refuse reported, and
// everything put back.
func TestStubbornDriver(t *testing.T) {
	h, dir := fixture(t, "numa2")
	before := snapshot(t, dir)
	h.nic = stubbornNIC{h.nic}
	plan, err := Plan(h, Options{Profile: builtIn(t, "low-latency")})
	if err != nil {
		t.Fatal(err)
	}
	results, err := Apply(context.Background(), h, plan, ApplyConfig{})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Status{"nic.rx-usecs": Ignored, "nic.rx-ring": Adjusted, "nic.lro": Failed, "nic.tx-usecs": Done}
	for _, r := range results {
		if w, ok := want[r.Knob]; ok {
			delete(want, r.Knob)
			if r.Status != w || (w != Done) != (r.Error != "") {
				t.Errorf("%s: %s %q, want %s", r.Knob, r.Status, r.Error, w)
			}
		}
	}
	if len(want) > 0 {
		t.Errorf("not tried: %v", want)
	}
	if v, err := Verify(h, ""); err != nil {
		t.Fatal(err)
	} else {
		wantStatus(t, "verify", v, Kept) // an adjusted value is no drift
	}
	// It disobeys revert as well: what it keeps stays in the journal …
	back, err := Revert(context.Background(), h, RevertConfig{})
	if err != nil {
		t.Fatal(err)
	}
	j, err := loadJournal(JournalPath(h))
	if err != nil || len(j.entries) != 1 || j.entries[0].Knob != "nic.rx-ring" {
		t.Fatalf("left in the journal: %+v, %v\n%+v", j, err, back)
	}
	// … for a time when it obeys.
	h.nic = treeNIC{h}
	if _, err := Revert(context.Background(), h, RevertConfig{}); err != nil {
		t.Fatal(err)
	}
	if diff := differences(before, snapshot(t, dir)); len(diff) > 0 {
		t.Error(diff)
	}
}

// TestApplyTwice keeps the first old value through a second profile.
func TestApplyTwice(t *testing.T) {
	h, dir, before, _ := applied(t, "numa2", "conservative", ApplyConfig{})
	plan, err := Plan(h, Options{Profile: builtIn(t, "low-latency")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(context.Background(), h, plan, ApplyConfig{}); err != nil {
		t.Fatal(err)
	}
	group := []Group{GroupBuffers}
	if _, err := Revert(context.Background(), h, RevertConfig{Groups: group}); err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(rawFile(t, filepath.Join(dir, "proc/sys/net/core/rmem_max"))); got != "212992" {
		t.Errorf("rmem_max is %s after its group was reverted", got)
	}
	if got := strings.TrimSpace(rawFile(t, filepath.Join(dir, "proc/sys/net/ipv4/tcp_fastopen"))); got != "3" {
		t.Errorf("tcp_fastopen is %s, another group's revert touched it", got)
	}
	if _, err := Revert(context.Background(), h, RevertConfig{}); err != nil {
		t.Fatal(err)
	}
	if diff := differences(before, snapshot(t, dir)); len(diff) > 0 {
		t.Error(diff)
	}
}

func TestPersist(t *testing.T) {
	f := func(old string) {
		t.Helper()
		h, dir := fixture(t, "numa2")
		file := filepath.Join(dir, DefaultDropIn)
		if old != "" {
			if err := writeAtomic(file, []byte(old), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		before := snapshot(t, dir)
		for _, profile := range []string{"conservative", "low-latency"} {
			plan, err := Plan(h, Options{Profile: builtIn(t, profile)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Apply(context.Background(), h, plan, ApplyConfig{Profile: profile, Persist: true}); err != nil {
				t.Fatal(err)
			}
		}
		text := rawFile(t, file)
		for _, want := range []string{"profile low-latency", "net.ipv4.tcp_fastopen = 3\n", "net.ipv4.tcp_rmem = 4096 131072 16777216\n", "kernel.numa_balancing = 0\n"} {
			if !strings.Contains(text, want) {
				t.Errorf("%q is missing in\n%s", want, text)
			}
		}
		if strings.Contains(text, "/sys/") || strings.Contains(text, "rx-usecs") {
			t.Errorf("more than sysctls:\n%s", text)
		}
		if v, err := Verify(h, ""); err != nil {
			t.Fatal(err)
		} else {
			wantStatus(t, "verify", v, Kept)
		}
		if _, err := Revert(context.Background(), h, RevertConfig{}); err != nil {
			t.Fatal(err)
		}
		if diff := differences(before, snapshot(t, dir)); len(diff) > 0 {
			t.Error(diff)
		}
	}
	f("")
	f("net.core.rmem_max = 1\n")
}

// TestPersistFollowsGroups takes a reverted group out of the drop-in.
func TestPersistFollowsGroups(t *testing.T) {
	h, dir, before, _ := applied(t, "ena", "conservative", ApplyConfig{Persist: true})
	file := filepath.Join(dir, DefaultDropIn)
	if !strings.Contains(rawFile(t, file), "tcp_keepalive_time") {
		t.Fatal(rawFile(t, file))
	}
	if _, err := Revert(context.Background(), h, RevertConfig{Groups: []Group{GroupKeepalive}}); err != nil {
		t.Fatal(err)
	}
	if text := rawFile(t, file); strings.Contains(text, "tcp_keepalive_time") || !strings.Contains(text, "tcp_fastopen = 3") {
		t.Errorf("after the group was reverted:\n%s", text)
	}
	if _, err := Revert(context.Background(), h, RevertConfig{}); err != nil {
		t.Fatal(err)
	}
	if diff := differences(before, snapshot(t, dir)); len(diff) > 0 {
		t.Error(diff)
	}
}

// TestPersistStaysInside refuses a tree whose /etc is a link to somewhere else.
func TestPersistStaysInside(t *testing.T) {
	h, dir := fixture(t, "ena")
	outside := t.TempDir()
	if err := os.Symlink(outside, filepath.Join(dir, "etc")); err != nil {
		t.Fatal(err)
	}
	plan, err := Plan(h, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Apply(context.Background(), h, plan, ApplyConfig{Persist: true}); err == nil || !strings.Contains(err.Error(), "/etc") {
		t.Errorf("persisted through a link: %v", err)
	}
	if left, err := os.ReadDir(outside); err != nil || len(left) > 0 {
		t.Errorf("written outside: %v, %v", left, err)
	}
}

// TestEditedDropIn leaves a drop-in alone that somebody edited.
func TestEditedDropIn(t *testing.T) {
	h, dir, _, _ := applied(t, "ena", "conservative", ApplyConfig{Persist: true})
	file := filepath.Join(dir, DefaultDropIn)
	if err := os.WriteFile(file, []byte("mine = 1\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	v, err := Verify(h, "")
	if err != nil || v[len(v)-1].Status != Drifted {
		t.Fatalf("%+v, %v", v, err)
	}
	back, err := Revert(context.Background(), h, RevertConfig{})
	if err != nil || back[len(back)-1].Status != Foreign || rawFile(t, file) != "mine = 1\n" {
		t.Fatalf("%+v, %v", back[len(back)-1], err)
	}
	if back, err = Revert(context.Background(), h, RevertConfig{Force: true}); err != nil || len(back) != 1 || back[0].Status != Done {
		t.Fatalf("%+v, %v", back, err)
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Error("the drop-in is still there")
	}
}

// TestReboot: after a restart only what the drop-in set again is reverted.
func TestReboot(t *testing.T) {
	f := func(persist bool, want int) {
		t.Helper()
		h, dir, _, results := applied(t, "numa2", "low-latency", ApplyConfig{Persist: persist})
		boot := filepath.Join(dir, "proc/sys/kernel/random/boot_id")
		if err := os.WriteFile(boot, []byte("another\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		back, err := Revert(context.Background(), h, RevertConfig{})
		if err != nil {
			t.Fatal(err)
		}
		sysctls := 0
		for _, r := range results {
			if sysctlName(r.Key) != "" {
				sysctls++
			}
		}
		if want < 0 {
			want = sysctls + 1
		}
		if len(back) != want {
			t.Errorf("persist %v: %d settings put back, want %d", persist, len(back), want)
		}
	}
	f(false, 0)
	f(true, -1)
}

// TestRebootAfterAnotherProfile: the drop-in's values are the machine's after a
// restart, not those of a later apply without it, and revert knows them.
func TestRebootAfterAnotherProfile(t *testing.T) {
	h, dir, before, _ := applied(t, "numa2", "conservative", ApplyConfig{Persist: true})
	set := dropInValues(rawFile(t, filepath.Join(dir, DefaultDropIn)))
	plan, err := Plan(h, Options{Profile: builtIn(t, "low-latency")})
	if err != nil {
		t.Fatal(err)
	}
	results, err := Apply(context.Background(), h, plan, ApplyConfig{Profile: "low-latency"})
	if err != nil {
		t.Fatal(err)
	}
	overwritten := 0
	for _, r := range results {
		if _, ok := set[sysctlName(r.Key)]; ok {
			overwritten++
		}
	}
	if overwritten == 0 {
		t.Fatal("the second profile changed nothing of the drop-in's")
	}
	for path, text := range before { // the machine starts: its own values, then the drop-in's
		if value, ok := set[sysctlName("/"+path)]; ok {
			text = value
		}
		if err := os.WriteFile(filepath.Join(dir, path), []byte(text+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "proc/sys/kernel/random/boot_id"), []byte("another\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	v, err := Verify(h, "")
	if err != nil {
		t.Fatal(err)
	}
	wantStatus(t, "verify", v, Kept)
	back, err := Revert(context.Background(), h, RevertConfig{})
	if err != nil || len(back) != len(set)+1 {
		t.Errorf("%d settings put back of %d and the drop-in, %v", len(back), len(set), err)
	}
	wantStatus(t, "revert", back, Done)
	for path, text := range before {
		if _, ok := set[sysctlName("/"+path)]; ok && strings.TrimSpace(rawFile(t, filepath.Join(dir, path))) != strings.TrimSpace(text) {
			t.Errorf("%s was %s and is not again", path, text)
		}
	}
}

// TestTwoAtOnce wants the second of two refused.
func TestTwoAtOnce(t *testing.T) {
	h, _, _, _ := applied(t, "ena", "conservative", ApplyConfig{})
	unlock, err := lockJournal(JournalPath(h))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Revert(context.Background(), h, RevertConfig{}); err == nil || !strings.Contains(err.Error(), "another apply") {
		t.Errorf("revert: %v", err)
	}
	unlock()
	if _, err := Revert(context.Background(), h, RevertConfig{}); err != nil {
		t.Error(err)
	}
}
