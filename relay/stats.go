package relay

import "sync/atomic"

// closeReason says why a WebSocket connection ended. The list is closed; all of it
// is in /metrics from the start.
type closeReason uint8

const (
	closedClient      closeReason = iota // the client closed
	closedLost                           // the TCP connection broke
	closedProtocol                       // RFC 6455 was violated (1002)
	closedUTF8                           // text was not UTF-8 (1007)
	closedUnsupported                    // a binary message (1003)
	closedTooBig                         // a message beyond MaxMessage (1009)
	closedSlow                           // stayed slow (1008)
	closedPong                           // did not answer a ping (1008)
	closedRate                           // too many requests (1008)
	closedDrain                          // the relay shut down (1001)
	closedToken                          // the token expired or was revoked (3000)
	closedRestart                        // another gateway took over (1012)
	closedUpstream                       // a passthrough client whose venue was lost (1012, 1013)
	closedPolicy                         // slow, with a subscription that wants to be closed then (1008)
	closedIncomplete                     // a message was begun and not ended in time (1008)
	numCloseReasons
)

var closeReasons = [numCloseReasons]string{"client", "lost", "protocol", "utf8", "unsupported",
	"too_big", "slow", "pong_timeout", "rate", "drain", "token", "restart", "upstream", "slow_policy", "incomplete"}

// refuseReason says why the acceptor did not let a connection through.
type refuseReason uint8

const (
	refusedHead    refuseReason = iota // head too big, or never complete
	refusedUpgrade                     // not a correct upgrade
	refusedOrigin                      // origin not allowed
	refusedFull                        // MaxConns or MaxHTTP reached
	refusedLost                        // the TCP connection broke before
	refusedProxy                       // PROXY protocol header missing, wrong or not expected
	refusedClient                      // MaxConnsPerAddr reached
	refusedTLS                         // TLS handshake failed, or TLS where none is configured
	refusedPlain                       // plain text where TLS is wanted
	refusedToken                       // token missing, wrong or expired
	refusedRate                        // Handshakes or HandshakesPerAddr exceeded
	numRefuseReasons
)

var refuseReasons = [numRefuseReasons]string{"head", "upgrade", "origin", "full", "lost", "proxy_protocol", "client", "tls", "plain", "token", "rate"}

// shardStats are counted by one shard and read by anybody.
type shardStats struct {
	open      atomic.Int64  // connections now
	adopted   atomic.Uint64 // connections ever
	closed    [numCloseReasons]atomic.Uint64
	messages  [numFormats]atomic.Uint64 // frames sent
	bytes     atomic.Uint64
	saved     atomic.Uint64 // bytes that compression took off
	writes    atomic.Uint64
	overflows atomic.Uint64 // queues that reached their bounds
	conflated atomic.Uint64 // state messages left out
	dropped   atomic.Uint64 // numbers of other topics left out
	gaps      atomic.Uint64 // gap messages made for what was left out
	requests  [numOps]atomic.Uint64
	errors    errorStats
	delivered deliveries

	reauthFailed atomic.Uint64 // tokens refused on open connections
}

// hubStats are counted by the hub and read by anybody.
type hubStats struct {
	records    atomic.Uint64
	events     atomic.Uint64
	gaps       atomic.Uint64
	duplicates atomic.Uint64 // events with a number that was seen
	jumps      atomic.Uint64 // numbers missing without a gap record
	unknown    atomic.Uint64 // records of instruments that the table lacks
	stalls     atomic.Uint64 // waits for a shard that was behind
	topics     atomic.Int64
	rings      atomic.Int64
	warm       atomic.Bool // all rings were read up
	ringsLost  atomic.Uint64
	ringErrors atomic.Uint64

	ringsDown   atomic.Int64  // rings that are looked for
	ringsOpened atomic.Uint64 // rings opened by their path
	encoded     [numFormats]atomic.Uint64
	errors      errorStats
	resumed     [numResumeOutcomes]atomic.Uint64 // topics resumed
	replayed    atomic.Uint64                    // bytes encoded from histories
	history     atomic.Int64                     // bytes allocated for histories
	candles     candleStats
	pasts       atomic.Int64  // replays of the archive under way
	pastEvents  atomic.Uint64 // events of the archive sent by those that are over
	deflate     deflateStats
}

// acceptStats are counted by the acceptor.
type acceptStats struct {
	accepted atomic.Uint64
	refused  [numRefuseReasons]atomic.Uint64
	pending  atomic.Int64 // heads being read
}

// errorStats counts error answers by code.
type errorStats [len(errorCodes)]atomic.Uint64

func (e *errorStats) add(code string) {
	for i, c := range errorCodes {
		if c == code {
			e[i].Add(1)
			return
		}
	}
}
