package ring

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDoor: one user's connections, mute or not, leave room for others.
func TestDoor(t *testing.T) {
	d := newDoor()
	const mine, theirs, third = 1, 2, 3
	fill := func(f func(uint32, bool) error, uid uint32, trusted bool) (n int) {
		for f(uid, trusted) == nil {
			n++
		}
		return n
	}
	if n := fill(d.knock, theirs, false); n != maxMuteEach {
		t.Fatalf("%d mute connections of one user", n)
	}
	if n := fill(d.enter, theirs, false); n != maxEach {
		t.Fatalf("%d places of one user", n)
	}
	if n := fill(d.enter, third, false); n != maxLeases-spareLeases-maxEach {
		t.Fatalf("%d places of another", n)
	}
	if n := fill(d.enter, mine, true); n != spareLeases {
		t.Fatalf("%d places of the relay's own user", n)
	}
	for uid := uint32(100); d.knock(uid, false) == nil; uid++ { // as many users as there can be
	}
	if d.nMute != maxMute || d.knock(mine, true) != nil {
		t.Fatalf("%d mute connections keep the relay's own user out", d.nMute)
	}
	for range maxMuteEach {
		d.speak(theirs)
	}
	for range maxEach {
		d.leave(theirs)
	}
	if d.knock(theirs, false) != nil || d.enter(theirs, false) != nil || len(d.places) != 3 {
		t.Fatal("what was given back is not there")
	}
}

// asUser runs f on a thread that belongs to another user and ends with f.
func asUser(uid uintptr, f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread is thrown away
		if _, _, e := unix.RawSyscall(unix.SYS_SETRESUID, uid, uid, uid); e == 0 {
			f()
		}
	}()
	<-done
}

// TestMuteConnections: those of another user who may attach keep nobody out.
func TestMuteConnections(t *testing.T) {
	asRoot(t)
	dir := shmDir(t)
	must(t, os.Chmod(dir, 0o755))
	sock := filepath.Join(dir, "c.sock")
	ctx, cancel := context.WithCancel(t.Context())
	var served sync.WaitGroup
	served.Go(func() {
		if err := (ServeConfig{AllowUIDs: []int{nobody}}).ServeLeases(ctx, sock, func(AttachRequest) (*Grant, error) { return &Grant{}, nil }); err != nil {
			t.Error(err)
		}
	})
	defer served.Wait()
	defer cancel()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		if st, err := os.Stat(sock); err == nil && st.Mode().Perm() == 0o666 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the socket never came up")
		}
	}
	var mute []net.Conn
	asUser(nobody, func() {
		for range maxLeases + 10 {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err == nil && unix.Connect(fd, &unix.SockaddrUnix{Name: sock}) == nil {
				f := os.NewFile(uintptr(fd), "mute")
				if c, err := net.FileConn(f); err == nil {
					mute = append(mute, c)
				}
				f.Close()
			}
		}
	})
	for _, c := range mute {
		defer c.Close()
	}
	if len(mute) < maxLeases {
		t.Fatalf("only %d connections", len(mute))
	}
	p, err := Attach(t.Context(), sock, AttachRequest{Strategy: "s", Topics: []string{">"}})
	must(t, err)
	must(t, p.Close())
}
