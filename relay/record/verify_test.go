package record

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// busyHour records an hour of 20,000 trades in row groups of 1,024.
func busyHour(t *testing.T) (dir string, st *Stats) {
	dir = t.TempDir()
	s := newScript(t)
	s.add(heartbeat(0, 1, 5, 0, testHour))
	for seq := uint64(1); seq <= 20000; seq++ {
		s.add(tradeAt(0, seq, testHour+int64(seq)*1000))
	}
	return dir, s.record(t, Config{Dir: dir, RowGroup: 1024, MinFree: 1, Now: func() int64 { return testHour + 60e9 }})
}

// TestMergeParts: a busy hour's parts are merged while it is under way, and compacted
// into one file afterwards; nothing changes by that.
func TestMergeParts(t *testing.T) {
	dir, st := busyHour(t)
	if st.Merges.Load() == 0 {
		t.Error("no parts were merged")
	}
	files, err := listFiles(testStream.dir(dir))
	if err != nil || len(files) > 5 || files[0].to != mergeParts-1 {
		t.Fatal(files, err)
	}
	whole := func() {
		t.Helper()
		got, err := Verify(t.Context(), dir, nil)
		if err != nil || len(got.Problems) > 0 || got.Rows != 20001 || got.Heartbeats != 1 || got.Gaps != 0 || len(got.Channels) != 1 || got.Channels[0].Counts != got.Counts {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	whole()
	told := int64(0)
	if n, err := Compact(t.Context(), dir, func(done, total int64) { told = done }); err != nil || n != 1 || told != 20001 {
		t.Fatal(n, told, err)
	}
	whole()
	if files, err = listFiles(testStream.dir(dir)); err != nil || len(files) != 1 || files[0].from >= 0 {
		t.Fatal(files, err)
	}
	if lines, last := numbers(t, dir, btc); last != 20000 {
		t.Error(last, lines)
	}
}

// TestVerifyFinds: what is missing, doubled or damaged is found.
func TestVerifyFinds(t *testing.T) {
	f := func(want string, damage func(t *testing.T, dir string, files []fileName)) {
		t.Helper()
		root, _ := busyHour(t)
		dir := testStream.dir(root)
		files, err := listFiles(dir)
		if err != nil {
			t.Fatal(err)
		}
		damage(t, dir, files)
		got, err := Verify(t.Context(), root, nil)
		if err != nil || !strings.Contains(strings.Join(got.Problems, "\n"), want) {
			t.Errorf("no %q: %v, %v", want, got, err)
		}
	}
	path := func(dir string, n fileName) string { return filepath.Join(dir, n.String()) }
	f("follows", func(t *testing.T, dir string, files []fileName) {
		if err := os.Remove(path(dir, files[1])); err != nil {
			t.Fatal(err)
		}
	})
	f("parquet", func(t *testing.T, dir string, files []fileName) {
		data, err := os.ReadFile(path(dir, files[0]))
		if err != nil {
			t.Fatal(err)
		}
		for i := 1000; i < 3000; i++ {
			data[i] ^= 0x55
		}
		if err := os.WriteFile(path(dir, files[0]), data, 0o600); err != nil {
			t.Fatal(err)
		}
	})
	f("follows", func(t *testing.T, dir string, files []fileName) {
		n := files[len(files)-1]
		n.from++
		n.to = n.from
		data, err := os.ReadFile(path(dir, files[len(files)-1]))
		if err == nil {
			err = os.WriteFile(path(dir, n), data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	})
}
