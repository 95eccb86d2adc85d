package decodebench

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"tickrelay/feeds"
	"tickrelay/feeds/capture"
	"tickrelay/ring/md"
)

// perChannel bounds the frames that are kept of a channel, so that a set stays
// in the cache as a live session's few frames do.
const perChannel = 256

// captured reads the frames of a venue from the recorded sessions in the folder
// dir/<venue>, files in another dialect left out. Of the other venues than the
// first three the baselines know the built-in frames' shapes alone.
func captured(v feeds.Venue, dir string) ([]frameSet, error) {
	name := v.Spec().Name
	if !hasStd(name, md.ChannelTrades) {
		return nil, nil
	}
	files, err := filepath.Glob(filepath.Join(dir, name, "*.ndjson*"))
	if err != nil {
		return nil, fmt.Errorf("decodebench: %w", err)
	}
	sets := map[md.Channel]*frameSet{}
	for _, f := range files {
		if strings.Contains(f, ".rest.ndjson") {
			continue
		}
		if err := collect(v, f, sets); err != nil {
			return nil, err
		}
	}
	var out []frameSet
	for _, s := range sets {
		if len(s.frames) > 0 {
			out = append(out, *s)
		}
	}
	slices.SortFunc(out, func(a, b frameSet) int { return int(a.channel) - int(b.channel) })
	return out, nil
}

func collect(v feeds.Venue, path string, sets map[md.Channel]*frameSet) error {
	r, err := capture.Open(path)
	if err != nil {
		return fmt.Errorf("decodebench: %w", err)
	}
	defer r.Close()
	var d feeds.Decoded
	for {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("decodebench: %w", err)
		}
		d.Reset()
		err = v.Decode(line.Frame, &d)
		if errors.Is(err, feeds.ErrUnsupported) {
			return nil
		}
		if err != nil || len(d.Events) != 1 {
			continue // no data, or several channels in one frame
		}
		ch := d.Events[0].Channel
		s := sets[ch]
		if s == nil {
			s = &frameSet{venue: v.Spec().Name, channel: ch}
			sets[ch] = s
		}
		if comparable(ch, &d) && len(s.frames) < perChannel {
			s.frames = append(s.frames, slices.Clone(line.Frame))
		}
	}
}

// comparable reports whether the baselines, written for the common shapes, fill
// the same records.
func comparable(ch md.Channel, d *feeds.Decoded) bool {
	turnover := false // OKX contracts have none, what is in its place is read by nobody
	for k := range d.Recs {
		if ch == md.ChannelBBO && d.Recs[k].Price == md.Absent {
			return false
		}
		turnover = turnover || d.Recs[k].Level == md.StatTurnover
	}
	if ch == md.ChannelTicker && !turnover {
		return false
	}
	return ch <= md.ChannelTicker && d.Refused == 0 && len(d.Recs) > 0 && len(d.Recs) < 200
}
