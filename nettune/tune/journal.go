package tune

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// DefaultJournal is the file in which Apply keeps the old values. Other network
// namespaces than the first get a file of their own beside it. The folder is
// root's: what a relay's own user can write must not say what root writes.
const DefaultJournal = journalDir + "/tune.journal"

const journalDir = "/var/lib/tickrelay-host"

// JournalPath is the journal's default place for h, seen from this thread's
// network namespace.
func JournalPath(h *Host) string {
	if !h.Live() {
		return filepath.Join(h.dir, "tune.journal")
	}
	if c := netnsCookie(); c > 1 {
		return fmt.Sprintf(journalDir+"/tune-netns%d.journal", c)
	}
	return DefaultJournal
}

// netnsCookie is the kernel's number of the thread's network namespace, never
// reused while the machine is up; 1 is the first, 0 unknown (before Linux 5.14).
func netnsCookie() uint64 {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	c, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0
	}
	return c
}

// journalVersion is the version of the file's format.
const journalVersion = 1

// header is the journal's first line.
type header struct {
	Version int    `json:"tune_journal"`
	Boot    string `json:"boot"`  // random/boot_id: values other than files' die with the boot
	Netns   uint64 `json:"netns"` // netnsCookie
	Profile string `json:"profile"`
}

// entry is a setting's old value, on a line of its own.
type entry struct {
	Knob   string `json:"knob"`
	Group  Group  `json:"group"`
	Place  string `json:"place,omitempty"`
	Key    string `json:"key"`
	Format Format `json:"format"`
	Netns  bool   `json:"per_netns,omitempty"`
	Old    string `json:"old"`
	New    string `json:"new"`
	// Read is what the setting held after the write; empty while it is not
	// known whether the write was made.
	Read string `json:"read,omitempty"`
}

// dropIn is the old content of the sysctl.d file.
type dropIn struct {
	Path    string  `json:"drop_in"`
	Old     *string `json:"old"` // nil: there was none
	Written string  `json:"written"`
	Before  string  `json:"before,omitempty"` // Written of the apply before this one
}

// outcome is appended after each write: the setting's key and what it held then.
type outcome struct {
	Done string `json:"done"`
	Read string `json:"read"`
}

// journal is a file of JSON lines: header, entries, perhaps a drop-in; all of
// them written, synced and renamed into place before the first setting is
// touched. Outcomes are appended while settings are written. A last line
// without an end was cut off by a crash and is passed over.
type journal struct {
	path    string
	head    header
	entries []entry
	dropIn  *dropIn
}

var errNoJournal = errors.New("tune: nothing has been applied here")

// ErrOtherNetns is returned when a journal was written in another network
// namespace.
var ErrOtherNetns = errors.New("tune: the journal was written in another network namespace")

func newHeader(h *Host, profile string) header {
	head := header{Version: journalVersion, Profile: profile, Boot: h.text("/proc/sys/kernel/random/boot_id")}
	if h.Live() {
		head.Netns = netnsCookie()
	}
	return head
}

// loadJournal reads path; errNoJournal if there is none.
func loadJournal(path string) (*journal, error) {
	data, err := readJournal(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errNoJournal
	}
	if err != nil {
		return nil, fmt.Errorf("tune: journal: %w", err)
	}
	j, err := parseJournal(data)
	if err != nil {
		return nil, fmt.Errorf("tune: journal %s: %w", path, err)
	}
	j.path = path
	return j, nil
}

// parseJournal reads the text of a journal.
func parseJournal(data []byte) (*journal, error) {
	j := &journal{}
	at := map[string]int{}
	for n := 1; len(data) > 0; n++ {
		line, rest, ended := bytes.Cut(data, []byte("\n"))
		data = rest
		if !ended {
			break // cut off by a crash
		}
		if err := j.line(n, line, at); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if j.head.Version == 0 {
		return nil, errors.New("no header")
	}
	return j, nil
}

func (j *journal) line(n int, line []byte, at map[string]int) error {
	if n == 1 {
		if err := json.Unmarshal(line, &j.head); err != nil {
			return err
		}
		if j.head.Version != journalVersion {
			return fmt.Errorf("version %d; this program reads %d", j.head.Version, journalVersion)
		}
		return nil
	}
	var kind map[string]json.RawMessage
	if err := json.Unmarshal(line, &kind); err != nil {
		return err
	}
	switch {
	case kind["key"] != nil:
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		if _, twice := at[e.Key]; twice || !settable(&e) {
			return fmt.Errorf("bad entry %q", clip(e.Key))
		}
		at[e.Key] = len(j.entries)
		j.entries = append(j.entries, e)
	case kind["done"] != nil:
		var o outcome
		if err := json.Unmarshal(line, &o); err != nil {
			return err
		}
		i, ok := at[o.Done]
		if !ok {
			return fmt.Errorf("outcome of %q, which has no old value", clip(o.Done))
		}
		j.entries[i].Read = o.Read
	case kind["drop_in"] != nil:
		j.dropIn = &dropIn{}
		if err := json.Unmarshal(line, j.dropIn); err != nil {
			return err
		}
		if p := j.dropIn.Path; filepath.Clean(p) != p || !strings.HasSuffix(p, DefaultDropIn) {
			return fmt.Errorf("bad drop-in %q", clip(j.dropIn.Path))
		}
	default:
		return errors.New("neither entry nor outcome")
	}
	return nil
}

// reboot drops what a restart of the machine has put back by itself. The
// sysctls of a drop-in were set again at boot, to the values that stand there:
// a later apply without it may have written others.
func (j *journal) reboot(now header) {
	now.Profile = j.head.Profile
	j.head = now
	var set map[string]string
	if j.dropIn != nil {
		set = dropInValues(j.dropIn.Written)
	}
	j.entries = slices.DeleteFunc(j.entries, func(e entry) bool {
		_, again := set[sysctlName(e.Key)]
		return !again
	})
	for i := range j.entries {
		e := &j.entries[i]
		e.New = set[sysctlName(e.Key)]
		e.Read = e.New
	}
}

func (j *journal) find(key string) *entry {
	i := slices.IndexFunc(j.entries, func(e entry) bool { return e.Key == key })
	if i < 0 {
		return nil
	}
	return &j.entries[i]
}

// save writes the whole journal in place of the old one: temporary file, sync,
// rename, sync of the folder.
func (j *journal) save() error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	err := enc.Encode(j.head)
	for i := range j.entries {
		err = errors.Join(err, enc.Encode(&j.entries[i]))
	}
	if j.dropIn != nil {
		err = errors.Join(err, enc.Encode(j.dropIn))
	}
	if err != nil {
		return err
	}
	return writeAtomic(j.path, b.Bytes(), 0o600)
}

// done appends an outcome. It is not synced: a crash of the machine resets the
// settings themselves, and a killed process loses nothing that was written.
func (j *journal) done(f *os.File, key, read string) error {
	line, err := json.Marshal(outcome{key, read})
	if err != nil {
		return err
	}
	_, err = f.Write(append(line, '\n'))
	if e := j.find(key); e != nil {
		e.Read = read
	}
	return err
}

// remove deletes the journal for good.
func (j *journal) remove() error {
	if err := os.Remove(j.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(filepath.Dir(j.path))
}
