package decodebench

import (
	"slices"
	"strings"
	"testing"

	"tickrelay/feeds"
	"tickrelay/ring/md"
)

// TestVenues: no venue is left out, nor a channel unless its records come in the
// frames of a stream that is measured as another one. States are rare.
func TestVenues(t *testing.T) {
	for _, v := range feeds.Venues() {
		name := v.Spec().Name
		b, ok := benchOf(name)
		if !ok {
			t.Errorf("%s is not measured", name)
			continue
		}
		for _, c := range v.Spec().Channels {
			stream, _, _ := strings.Cut(c.Native, " (")
			same := func(o feeds.ChannelSpec) bool {
				name, _, _ := strings.Cut(o.Native, " (")
				return name == stream && slices.Contains(b.channels, o.Channel)
			}
			if c.Channel < md.ChannelStatus && !slices.ContainsFunc(v.Spec().Channels, same) {
				t.Errorf("%s: %s is not measured", name, c.Channel)
			}
		}
	}
}
