package record

import (
	"bytes"
	"io"
	"os"
	"testing"

	"tickrelay/ring/md"
)

// FuzzJournal: whatever is in a file, reading a journal ends, takes nothing that its
// checksums do not cover, and does not panic.
func FuzzJournal(f *testing.F) {
	recs := []md.Record{tradeAt(0, 1, testHour), tradeAt(1, 1, testHour+5), tradeAt(0, 2, testHour+9)}
	data, err := os.ReadFile(writeJournal(f, f.TempDir(), testStream, testHour, 3, 7, recs))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(data[:len(data)-1])
	f.Add(data[:journalHeader])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		j, err := newJournalReader(bytes.NewReader(b))
		if err != nil {
			return
		}
		n := int64(0)
		for {
			got, _, err := j.block()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			n += int64(len(got))
			for i := range got {
				_ = symbolOf(j.instruments, got[i].Instrument)
			}
		}
		if j.at > int64(len(b)) || n*md.RecordSize > int64(len(b)) || j.next != j.head.first+n {
			t.Fatalf("%d records and %d bytes read of %d", n, j.at, len(b))
		}
	})
}

// TestJournalDamage: a journal that is cut or changed anywhere gives the records before
// that place, unchanged.
func TestJournalDamage(t *testing.T) {
	var recs []md.Record
	for i := range uint64(2000) {
		recs = append(recs, tradeAt(uint32(i%2), i, testHour+int64(i)))
	}
	path := writeJournal(t, t.TempDir(), testStream, testHour, 0, 0, recs)
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f := func(b []byte, atMost int) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		var l loaded
		if err := loadJournal(path, &l); err != nil {
			if atMost > 0 {
				t.Fatal(err)
			}
			return
		}
		if l.len() > atMost {
			t.Fatalf("%d records, at most %d are whole", l.len(), atMost)
		}
		for i := range l.recs {
			if l.recs[i] != recs[i] {
				t.Fatalf("record %d is not what was written", i)
			}
		}
	}
	for cut := 0; cut < len(data); cut += 997 {
		f(data[:cut], max(0, cut-journalHeader)/md.RecordSize)
		bad := bytes.Clone(data)
		bad[cut] ^= 0x40
		f(bad, max(0, cut-journalHeader)/md.RecordSize)
	}
	f(data, len(recs))
}
