package sim

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"math"
	"time"
)

// ReplayOptions say how captures are replayed. The zero value is: at recorded
// pace, once, from the first subscription of each connection.
type ReplayOptions struct {
	// Speed multiplies the recorded pace; 0 means 1, SpeedMax as fast as the
	// client takes it.
	Speed float64
	// Loop starts again at the end instead of closing the connection.
	Loop bool
	// From is the offset from the first frame at which pacing starts; what lies
	// before is sent at once, so that books are right.
	From time.Duration
	// NoWait starts when a client connects instead of when it has subscribed.
	NoWait bool
	// Clock paces; nil is RealClock.
	Clock Clock
	TLS   *tls.Config
	Log   *slog.Logger
}

// SpeedMax replays without waiting.
var SpeedMax = math.Inf(1)

// Replay serves capture files as the exchange named venue on listen.
func Replay(ctx context.Context, venue, listen string, files []string, o ReplayOptions) (*Server, error) {
	return nil, errors.New("sim: not built yet")
}
