package proxy

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// source is where configuration files come from; tests and fuzzing have their own.
type source struct {
	read func(name string) ([]byte, error)
	glob func(pattern string) ([]string, error)
}

// Bounds of what is read, so that no input runs away.
const (
	maxFileSize   = 16 << 20
	maxFiles      = 2000    // readings, a file included twice counts twice
	maxDirectives = 200_000 // in all, includes expanded
	maxDepth      = 64      // blocks in blocks, and files in files
)

// disk reads regular files only: a FIFO would hang, a device never end.
func disk() source {
	return source{glob: filepath.Glob, read: func(name string) ([]byte, error) {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			return nil, err
		}
		if !st.Mode().IsRegular() {
			return nil, fmt.Errorf("%s is not a regular file", name)
		}
		data, err := io.ReadAll(io.LimitReader(f, maxFileSize+1))
		if err == nil && len(data) > maxFileSize {
			err = fmt.Errorf("%s is larger than %d MiB", name, maxFileSize>>20)
		}
		return data, err
	}}
}
