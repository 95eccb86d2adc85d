package feeds

import (
	"testing"
	"time"
)

// TestEngineNumbersBeginAgain: one of two lines comes back to a venue whose numbers began
// again, and the other one, from before, is lost: quotes and books do not stand still for
// the half minute that a line may lag behind another.
func TestEngineNumbersBeginAgain(t *testing.T) {
	r := liveBinance(t)
	r.connect(1)
	r.frameOn(1, quoteFrame(101, "10.0", "11.0"))
	r.frameOn(1, depth(101, 110, `["10.0","2"]`, ``))
	r.disconnect(0)
	r.connect(0)
	r.frameOn(0, quoteFrame(5, "20.0", "21.0"))
	r.frameOn(0, depth(4, 5, `["20.0","2"]`, ``))
	r.lines()
	r.tick(4 * time.Second)
	r.frameOn(0, quoteFrame(6, "20.0", "21.0"))
	r.frameOn(0, depth(6, 6, `["20.0","3"]`, ``))
	r.expect("the other line is ahead")
	r.disconnect(1)
	r.actions()
	r.frameOn(0, quoteFrame(7, "20.1", "21.0"))
	r.frameOn(0, depth(7, 7, `["20.0","4"]`, ``))
	r.expect("began again", `gap bbo "reason":"venue"`, `"bid":["20.1","1"]`, `gap book "reason":"venue"`)
	r.expectActions("the book anew", "fetch 2")
}

// TestEngineLagAfterLoss: what one line lags behind the other that was lost is no
// new beginning.
func TestEngineLagAfterLoss(t *testing.T) {
	r := liveBinance(t)
	r.connect(1)
	r.frameOn(1, quoteFrame(100, "10.0", "11.0"))
	r.frameOn(1, depth(90, 100, `["10.0","5"]`, ``))
	for i := 101; i < 200; i++ {
		r.frameOn(0, quoteFrame(i, "10.1", "11.0"))
		r.frameOn(0, depth(i, i, `["10.1","2"]`, ``))
	}
	r.disconnect(0)
	r.lines()
	for i := 101; i < 200; i++ {
		r.frameOn(1, quoteFrame(i, "10.1", "11.0"))
		r.frameOn(1, depth(i, i, `["10.1","2"]`, ``))
	}
	r.expect("nothing twice")
	r.tick(10 * time.Second)
	r.frameOn(1, quoteFrame(200, "10.2", "11.0"))
	r.frameOn(1, depth(200, 200, `["10.2","2"]`, ``))
	r.expect("goes on", `"bid":["10.2","1"]`, `book "10.2"`)
}
