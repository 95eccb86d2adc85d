package record

import (
	"path/filepath"
	"testing"
)

// TestListWhileSealing: a folder that is read while a journal becomes a file may show
// neither; what is in it is counted all the same.
func TestListWhileSealing(t *testing.T) {
	root := t.TempDir()
	dir := testStream.dir(root)
	s := newSealer("desk", 4096)
	recs := marketRecords(300).recs
	for part, n := range []int{100, 200} {
		if _, err := s.seal(writeJournal(t, root, testStream, testHour, part, int64(part)*100, recs[:n]), false, nil); err != nil {
			t.Fatal(err)
		}
	}
	lists := 0
	h, err := openListed(dir, testHour, func() ([]fileName, error) {
		all, err := listFiles(dir)
		if lists++; lists == 1 {
			all = all[:1] // part 1 was not there yet, its journal no longer
		}
		return all, err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer h.close()
	rows := int64(0)
	for _, f := range h.files {
		rows += f.file.pq.NumRows()
	}
	if rows != 300 || lists < 3 {
		t.Errorf("%d rows after %d looks at the folder", rows, lists)
	}
	if _, err := openHour(filepath.Join(root, "none"), testHour); err != nil {
		t.Error(err) // an hour that retention has deleted holds nothing
	}
}
