package ring

import (
	"testing"
	"time"

	"tickrelay/ring/md"
)

// TestHeartbeatsAfterClockSteps: a clock that is set back, or forwards, keeps no reader
// waiting for the heartbeat.
func TestHeartbeatsAfterClockSteps(t *testing.T) {
	w, _ := rig(md.ChannelBBO)
	_, c := attachRing(t, w, 1<<10)
	drain(t, w, c)
	for _, step := range []time.Duration{-time.Hour, 2 * time.Hour, -10 * time.Second} {
		w.now += int64(step)
		beats := 0
		for _, r := range drain(t, w, c) {
			if r.Kind == md.KindHeartbeat && r.Side == uint8(md.ChannelAll) {
				beats++
			}
		}
		if beats != 1 {
			t.Errorf("%d heartbeats after a step by %s, want 1", beats, step)
		}
	}
}
