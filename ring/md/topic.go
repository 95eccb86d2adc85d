package md

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Topic names one stream of records: one channel of one instrument.
type Topic struct {
	Venue   Venue
	Channel Channel
	Symbol  string
}

// ErrTopic is wrapped by every error of ParseTopic and ParsePattern.
var ErrTopic = errors.New("bad topic")

// MaxToken is the largest symbol in bytes; instrument entries hold no more.
const MaxToken = 96

// ParseTopic reads "<venue>.<channel>.<symbol>". Venue and channel must be
// known; the symbol may be any valid token.
func ParseTopic(s string) (Topic, error) {
	v, rest, ok1 := strings.Cut(s, ".")
	c, sym, ok2 := strings.Cut(rest, ".")
	if !ok1 || !ok2 {
		return Topic{}, fmt.Errorf("md: %w %q: want <venue>.<channel>.<symbol>", ErrTopic, s)
	}
	venue, ok := ParseVenue(v)
	if !ok {
		return Topic{}, fmt.Errorf("md: %w %q: unknown venue %q", ErrTopic, s, v)
	}
	ch, ok := ParseChannel(c)
	if !ok {
		return Topic{}, fmt.Errorf("md: %w %q: unknown channel %q", ErrTopic, s, c)
	}
	if err := CheckToken(sym); err != nil {
		return Topic{}, fmt.Errorf("md: %w %q: symbol: %v", ErrTopic, s, err)
	}
	return Topic{venue, ch, sym}, nil
}

// AppendTo appends the topic's text to dst.
func (t Topic) AppendTo(dst []byte) []byte {
	dst = append(dst, t.Venue.String()...)
	dst = append(dst, '.')
	dst = append(dst, t.Channel.String()...)
	dst = append(dst, '.')
	return append(dst, t.Symbol...)
}

// String is the topic's text, "binance.trades.BTC-USDT".
func (t Topic) String() string { return string(t.AppendTo(nil)) }

// CheckToken says what keeps s from being one token of a topic: it must be 1 to
// MaxToken bytes of UTF-8 without '.', '*', '>', blanks or control characters.
func CheckToken(s string) error {
	switch {
	case s == "":
		return errors.New("empty")
	case len(s) > MaxToken:
		return fmt.Errorf("%d bytes long, at most %d allowed", len(s), MaxToken)
	case !utf8.ValidString(s):
		return errors.New("not UTF-8")
	}
	for _, r := range s {
		if r == '.' || r == '*' || r == '>' || unicode.IsSpace(r) || unicode.IsControl(r) {
			return fmt.Errorf("contains %q", r)
		}
	}
	return nil
}
