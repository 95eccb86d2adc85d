package ring

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Besides attach, a control socket may know commands:
//
//	→ {"op":"status"}\n
//	← {"op":"done","result":…}\n                 or error, as for attach
//
// One connection carries one of them.

// maxResult bounds the answer of a command in bytes.
const maxResult = 64 << 20

// Peer is who sent a command, as the kernel says (SO_PEERCRED, unix(7)).
type Peer struct {
	UID uint32
	GID uint32
	PID int32
}

// Trusted reports whether the peer could do with this process what it likes
// anyhow: root, or the same user.
func (p Peer) Trusted() bool { return p.UID == 0 || int(p.UID) == os.Geteuid() }

// CommandHandler does what a command asks and returns what is sent as JSON.
// Handlers run concurrently; ctx ends when the peer hangs up.
type CommandHandler func(ctx context.Context, from Peer) (any, error)

// ErrDenied refuses a command to a peer that may attach but not do that.
var ErrDenied = errors.New("only the relay's own user and root may do that")

type wireResult struct {
	Op     string `json:"op"`
	Result any    `json:"result"`
}

// command serves one command.
func (c ServeConfig) command(conn *net.UnixConn, req *wireRequest, who caller, handler CommandHandler) {
	conn.SetDeadline(time.Time{})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() { // nothing more is sent: a read returns when the peer hangs up, or we do
		_, _ = conn.Read(make([]byte, 1))
		cancel()
	}()
	result, err := handler(ctx, Peer{who.uid, who.gid, who.pid})
	if err != nil {
		code := CodeRefused
		if errors.Is(err, ErrDenied) {
			code = CodeDenied
		}
		c.refuse(conn, c.Log.With("op", req.Op, "uid", who.uid), code, err)
		return
	}
	conn.SetWriteDeadline(time.Now().Add(answerWithin))
	_, _ = conn.Write(line(wireResult{"done", result}))
}

// Command sends a command to the control socket path and reads its result into
// result. *AttachError if the relay refuses, ErrNotRunning if there is none. ctx
// bounds it all.
func Command(ctx context.Context, path, op string, result any) error {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	switch {
	case errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ECONNREFUSED):
		return fmt.Errorf("ring: %s: %w: nobody listens on %s", op, ErrNotRunning, path)
	case err != nil:
		return fmt.Errorf("ring: %s: %w", op, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if err = exchange(conn, op, result); err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return fmt.Errorf("ring: %s on %s: %w", op, path, err)
	}
	return nil
}

func exchange(conn net.Conn, op string, result any) error {
	if _, err := conn.Write(line(struct {
		Op string `json:"op"`
	}{op})); err != nil {
		return err
	}
	text, err := bufio.NewReader(io.LimitReader(conn, maxResult)).ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the relay hung up: %w", err)
	}
	var ans struct {
		wireAnswer
		Result json.RawMessage `json:"result"`
	}
	if err := json.Unmarshal(text, &ans); err != nil {
		return err
	}
	if ans.Op == "error" {
		return &AttachError{ans.Code, ans.Message, ans.Nearest}
	}
	return json.Unmarshal(ans.Result, result)
}
