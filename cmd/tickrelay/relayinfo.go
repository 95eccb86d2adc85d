package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// relayInfo is what a running relay says of itself in its directory.
type relayInfo struct {
	PID    int    `json:"pid"`
	Socket string `json:"socket"`
	HTTP   string `json:"http"`
}

const infoFile = "relay.json"

func (r *relayd) announce() error {
	info := relayInfo{PID: os.Getpid(), Socket: r.socket}
	if r.gw != nil {
		info.HTTP = r.gw.Addr().String()
	}
	data, err := json.Marshal(info)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.dir.Path(), infoFile), data, 0o644)
}

// maxInfo bounds that file in bytes.
const maxInfo = 64 << 10

// readInfo reads what the relay in dir says of itself.
func readInfo(dir string) (relayInfo, error) {
	var info relayInfo
	data, err := readPlain(filepath.Join(dir, infoFile), maxInfo)
	if errors.Is(err, fs.ErrNotExist) {
		return info, fmt.Errorf("no relay has run in %s", dir)
	}
	if err == nil {
		err = json.Unmarshal(data, &info)
	}
	return info, err
}

// readPlain reads a file of a relay's folder, which may be anybody's: nothing that lies
// there may hold us up, so no pipe, device, link or file of more than limit bytes.
func readPlain(path string, limit int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() || st.Size() > limit {
		return nil, fmt.Errorf("%s was not written by a relay: %v, %d bytes", path, st.Mode(), st.Size())
	}
	return io.ReadAll(io.LimitReader(f, limit))
}
