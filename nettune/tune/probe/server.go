package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// Limits of a server.
const (
	MaxConns = 64
	MaxBurst = 64 << 20 // bytes of one request in one direction

	requestSize     = 16
	requestMagic    = 0x74707231 // "tpr1"
	requestDeadline = time.Minute
)

// request is what the client sends first: magic, bytes up, bytes down, zero;
// big-endian.
type request struct{ up, down uint32 }

func (r request) append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, requestMagic)
	dst = binary.BigEndian.AppendUint32(dst, r.up)
	dst = binary.BigEndian.AppendUint32(dst, r.down)
	return binary.BigEndian.AppendUint32(dst, 0)
}

func parseRequest(b []byte) (request, error) {
	if len(b) != requestSize || binary.BigEndian.Uint32(b) != requestMagic || binary.BigEndian.Uint32(b[12:]) != 0 {
		return request{}, errors.New("probe: the peer does not speak this protocol")
	}
	r := request{binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint32(b[8:])}
	if r.up > MaxBurst || r.down > MaxBurst || r.down == 0 {
		return request{}, fmt.Errorf("probe: a request of %d bytes up and %d down is out of range", r.up, r.down)
	}
	return r, nil
}

// Serve answers probes on ln until ctx is done; it closes ln and every
// connection and waits for them.
func Serve(ctx context.Context, ln net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { ln.Close() })
	defer stop()
	slots := make(chan struct{}, MaxConns)
	for {
		c, err := ln.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("probe: accept: %w", err)
		}
		select {
		case slots <- struct{}{}:
		default:
			c.Close()
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			unhook := context.AfterFunc(ctx, func() { c.Close() })
			defer unhook()
			defer c.Close()
			answer(c)
		})
	}
}

// answer serves one connection until it ends or misbehaves.
func answer(c net.Conn) {
	buf := make([]byte, 256<<10)
	for {
		c.SetDeadline(time.Now().Add(requestDeadline))
		if _, err := io.ReadFull(c, buf[:requestSize]); err != nil {
			return
		}
		r, err := parseRequest(buf[:requestSize])
		if err != nil {
			return
		}
		if err := take(c, buf, int(r.up)); err != nil {
			return
		}
		if err := give(c, buf, int(r.down)); err != nil {
			return
		}
	}
}

// take reads n bytes.
func take(c net.Conn, buf []byte, n int) error {
	for n > 0 {
		got, err := c.Read(buf[:min(n, len(buf))])
		n -= got
		if err != nil {
			return err
		}
	}
	return nil
}

// give writes n bytes.
func give(c net.Conn, buf []byte, n int) error {
	for n > 0 {
		k := min(n, len(buf))
		if _, err := c.Write(buf[:k]); err != nil {
			return err
		}
		n -= k
	}
	return nil
}
