package sim

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"time"
)

// Options of a simulated exchange. The zero value is the venue as it is today.
type Options struct {
	// Faults that happen by themselves.
	Faults Faults
	// DepthEvery is the least time between two book updates of an instrument;
	// 0 means 100 ms, negative one update per market event.
	DepthEvery time.Duration
	// TickerEvery is the time between 24-hour statistics; 0 means 1 s.
	TickerEvery time.Duration
	// KeepAlive is the quiet time after which OKX repeats a book's number in an
	// empty update; 0 means 60 s.
	KeepAlive time.Duration
	// PingEvery is the time between Binance's protocol pings, three of which
	// unanswered end the connection; 0 means 20 s.
	PingEvery time.Duration
	// Checksums puts CRC32 checksums into the books of Bitget and OKX, which
	// both stopped sending them; without it the field is 0.
	Checksums bool
	// NoSequence leaves out seq/pseq (Bitget) and seqId/prevSeqId (OKX), as
	// both did before they had them.
	NoSequence bool
	// Queue is how many frames a client may be behind before it is dropped; 0
	// means 8192.
	Queue int
	// TLS makes the server speak wss and https. SelfSigned makes a
	// configuration for tests.
	TLS *tls.Config
	// Log gets connects, drops and faults; nil discards them.
	Log *slog.Logger
}

// Server is an exchange on a loopback address: WebSocket and REST on one port.
// Its methods are safe for concurrent use.
type Server struct{}

// Serve starts the exchange named venue (binance, bitget or okx) on listen, for
// example "127.0.0.1:0", showing m's market. It ends with ctx or Close. Several
// servers may share a market.
func Serve(ctx context.Context, venue, listen string, m *Market, o Options) (*Server, error) {
	return nil, errors.New("sim: not built yet")
}

// URL is the WebSocket address, with scheme and path.
func (s *Server) URL() string { return "" }

// REST is the base of REST addresses, with scheme and without a slash at the end.
func (s *Server) REST() string { return "" }

// Book is the true book of a symbol as the venue publishes it, full depth.
func (s *Server) Book(symbol string) (Book, error) { return Book{}, nil }

// Inject makes the fault happen now.
func (s *Server) Inject(f Fault) error { return nil }

// Close ends every connection and returns when all goroutines have ended.
func (s *Server) Close() error { return nil }
