package relay

// FeedStatus is what a feed reports about itself to /api/v1/feeds, the page and
// /readyz. Counters start at 0 with the process.
type FeedStatus struct {
	// Name is the feed's name in the configuration, Venue as in topics.
	Name  string `json:"name"`
	Venue string `json:"venue"`
	// State sums the lines up: "live" if one is live, else "connecting",
	// "backoff" or "stopped".
	State string       `json:"state"`
	Lines []LineStatus `json:"lines"`
	// Frames received, Records published, Gaps declared, Rejected frames,
	// Resyncs of books.
	Frames   uint64 `json:"frames"`
	Records  uint64 `json:"records"`
	Gaps     uint64 `json:"gaps"`
	Rejected uint64 `json:"rejected"`
	Resyncs  uint64 `json:"resyncs"`
	// BrokenBooks counts book topics that wait for a snapshot.
	BrokenBooks int `json:"broken_books"`
	// LatencyP50Ns and LatencyP99Ns are the venue's time to receive time, ns,
	// over the feed's recent window; 0 if unknown, negative if clocks differ.
	LatencyP50Ns int64 `json:"latency_p50_ns"`
	LatencyP99Ns int64 `json:"latency_p99_ns"`
	// Stages are histograms of what an event takes, since the feed's start.
	Stages []StageStatus `json:"stages"`
	// LastRecvNs is when the last frame came, CLOCK_REALTIME ns, 0 if none did.
	LastRecvNs int64 `json:"last_recv_ns,string"`
}

// LineStatus is one connection of a feed.
type LineStatus struct {
	// Line counts from 0.
	Line int `json:"line"`
	// State is "connecting", "live", "backoff" or "stopped".
	State string `json:"state"`
	// URL is the address that is dialled, Remote the peer's IP:PORT.
	URL    string `json:"url"`
	Remote string `json:"remote,omitempty"`
	// SinceNs is when State was entered, CLOCK_REALTIME ns.
	SinceNs int64 `json:"since_ns,string"`
	// Frames and Reconnects of this line.
	Frames     uint64 `json:"frames"`
	Reconnects uint64 `json:"reconnects"`
	// Options are the socket options that the kernel granted, as text.
	Options string `json:"options,omitempty"`
	// Error is why the line is not live, or why it last was lost.
	Error string `json:"error,omitempty"`
}

// StageStatus is the latency histogram of one stage of an event's way, all channels
// of a feed together. Readers take the difference of two answers.
type StageStatus struct {
	// Name is "receive", the venue's time of the event to its reception, or
	// "publish", reception to publication in the rings.
	Name string `json:"name"`
	// BoundsNs are the upper bounds of the buckets, rising; Counts has one more: what
	// is above all. Each count is without those of the lower buckets.
	BoundsNs []int64  `json:"bounds_ns"`
	Counts   []uint64 `json:"counts"`
	// Negative counts events that came before the venue's time of them.
	Negative uint64 `json:"negative"`
}
