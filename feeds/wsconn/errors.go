package wsconn

import (
	"errors"
	"fmt"
	"io"
)

// ErrTooBig: the server announced a message larger than MaxMessage.
var ErrTooBig = errors.New("wsconn: message exceeds MaxMessage")

// ErrPendingFull: MaxPending bytes of output already wait.
var ErrPendingFull = errors.New("wsconn: unsent output exceeds MaxPending")

// ErrNotOpen: before the handshake is done or after a close frame was sent.
var ErrNotOpen = errors.New("wsconn: connection is not open")

// ErrCut: the stream ended without a close handshake; errors.Is(err,
// io.ErrUnexpectedEOF) is true.
type ErrCut struct {
	MidFrame bool  // bytes of an incomplete frame or message are lost
	Buffered int   // how many
	Err      error // what the stream said, io.EOF or a network error
}

// Error describes the cut.
func (e *ErrCut) Error() string {
	if e.MidFrame {
		return fmt.Sprintf("wsconn: connection cut inside a message (%d bytes lost): %v", e.Buffered, e.Err)
	}
	return fmt.Sprintf("wsconn: connection cut without close frame: %v", e.Err)
}

// Unwrap returns io.ErrUnexpectedEOF and the stream's error.
func (e *ErrCut) Unwrap() []error { return []error{io.ErrUnexpectedEOF, e.Err} }

// ErrClosed: the peer sent a close frame.
type ErrClosed struct {
	Code   uint16 // 1005 if the frame had none (RFC 6455 section 7.1.5)
	Reason string
}

// Error describes the close frame.
func (e *ErrClosed) Error() string {
	return fmt.Sprintf("wsconn: closed by peer: %d %q", e.Code, e.Reason)
}

// ErrProtocol: the peer broke RFC 6455.
type ErrProtocol struct {
	What string
}

// Error describes the violation.
func (e *ErrProtocol) Error() string { return "wsconn: protocol error: " + e.What }

// ErrHandshake: the server did not switch to WebSocket.
type ErrHandshake struct {
	Status int    // HTTP status, 0 if there was none
	What   string // what was wrong
	// Body is the start of the answer's body as far as it had arrived, at most
	// 1 KiB; RetryAfter the header of that name. Only with a Status.
	Body, RetryAfter string
	Err              error // what the stream said, if it was the stream
}

// Unwrap returns the stream's error.
func (e *ErrHandshake) Unwrap() error { return e.Err }

// Error describes the refusal.
func (e *ErrHandshake) Error() string {
	if e.Status != 0 && e.Status != 101 {
		return fmt.Sprintf("wsconn: handshake refused: status %d: %s", e.Status, e.What)
	}
	if e.Err != nil {
		return fmt.Sprintf("wsconn: handshake: %s: %v", e.What, e.Err)
	}
	return "wsconn: handshake: " + e.What
}
