package relay

import (
	"bytes"
	inflate "compress/flate"
	"errors"
	"io"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/gobwas/httphead"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsflate"
	"github.com/klauspost/compress/flate"
)

// permessage-deflate (RFC 7692) without context takeover in either direction: each
// message is compressed by itself, so that one compressed frame serves everybody, and no
// connection holds a window of 32 KiB.

const (
	// deflateLeast is the payload from which a message is compressed, in bytes: below
	// it the headers of a packet weigh more than what is saved.
	deflateLeast = 256
	// deflateMost is the payload up to which one is: the hub compresses, and must not
	// be held up for long.
	deflateMost = 256 << 10
	// rsv1 of a frame's first byte says that the message is compressed (section 6).
	rsvCompressed = 0x40
)

// deflateTail ends every compressed message and is not sent (section 7.2.1); the empty
// last block behind it makes a whole stream for the reader.
var deflateTail = []byte{0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff}

// deflateStats are counted by the hub and read by anybody.
type deflateStats struct {
	frames, kept atomic.Uint64 // compressed; tried, and sent as they were
	in, out      atomic.Uint64 // bytes of payload before and after, of frames
	ns           atomic.Uint64 // spent on both
}

// deflater negotiates the extension for one handshake.
type deflater struct{ taken bool }

// negotiate accepts the first offer that can be met (section 5.1). An offer that asks
// for a smaller window, or is malformed, is declined, as section 7.1 wants it.
func (d *deflater) negotiate(offer httphead.Option) (answer httphead.Option, err error) {
	if d.taken || !bytes.Equal(offer.Name, wsflate.ExtensionNameBytes) {
		return answer, nil
	}
	var p wsflate.Parameters
	const window = 15
	if p.Parse(offer) != nil || p.ServerMaxWindowBits.Defined() && p.ServerMaxWindowBits != window {
		return answer, nil
	}
	d.taken = true
	want := wsflate.Parameters{ServerNoContextTakeover: true, ClientNoContextTakeover: true}
	if p.ServerMaxWindowBits.Defined() {
		want.ServerMaxWindowBits = window
	}
	return want.Option(), nil
}

// packer compresses frames. The hub's goroutine alone uses it.
type packer struct {
	w   *flate.Writer // nil until somebody wants it
	buf bytes.Buffer
}

// pack returns f compressed, or f itself where that does not pay.
func (p *packer) pack(f *frame, stats *deflateStats) *frame {
	size, n := frameSize(f.data)
	if n < deflateLeast || n > deflateMost || size+n != len(f.data) { // the last: several messages
		return f
	}
	began := time.Now()
	out, err := p.deflate(f.data[size:])
	stats.ns.Add(uint64(time.Since(began)))
	if err != nil || len(out)-headerRoom > n*9/10 {
		stats.kept.Add(1)
		return f
	}
	stats.frames.Add(1)
	stats.in.Add(uint64(n))
	stats.out.Add(uint64(len(out) - headerRoom))
	data := bytes.Clone(putHeader(ws.OpCode(f.data[0]&0x0f), out))
	data[0] |= rsvCompressed
	return &frame{data: data, prev: f.prev, seq: f.seq, delta: f.delta, hidden: f.hidden, plain: f}
}

// deflate returns room for a header and payload compressed, valid until the next call.
func (p *packer) deflate(payload []byte) ([]byte, error) {
	if p.w == nil {
		w, err := flate.NewWriter(&p.buf, flate.BestSpeed)
		if err != nil {
			return nil, err
		}
		p.w = w
	}
	p.buf.Reset()
	p.buf.Write(make([]byte, headerRoom))
	p.w.Reset(&p.buf)
	if _, err := p.w.Write(payload); err != nil {
		return nil, err
	}
	if err := p.w.Flush(); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(p.buf.Bytes(), deflateTail[:4]), nil
}

// unpacker inflates messages of clients. Its shard alone uses it. The reader is the
// standard library's: klauspost's, used again, took damaged messages that a new one
// refuses.
type unpacker struct {
	r   io.ReadCloser // nil until somebody sends such a message
	out []byte
}

// unpack returns a message's text, valid until the next call. No more than limit bytes
// are ever made of it, however small it came.
func (u *unpacker) unpack(p []byte, limit int) ([]byte, error) {
	from := io.MultiReader(bytes.NewReader(p), bytes.NewReader(deflateTail))
	if u.r == nil {
		u.r = inflate.NewReader(from)
	} else if err := u.r.(inflate.Resetter).Reset(from, nil); err != nil {
		return nil, violation(ws.StatusInvalidFramePayloadData, "compressed message is damaged")
	}
	if len(u.out) != limit+1 { // the first time, or the limit was changed
		u.out = make([]byte, limit+1)
	}
	n, err := io.ReadFull(u.r, u.out)
	switch {
	case err == nil:
		return nil, violation(ws.StatusMessageTooBig, "message too big")
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return nil, violation(ws.StatusInvalidFramePayloadData, "compressed message is damaged")
	case !utf8.Valid(u.out[:n]):
		return nil, violation(ws.StatusInvalidFramePayloadData, "text is not UTF-8")
	}
	return u.out[:n], nil
}
