package e2ebench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"testing"
	"time"
)

// peerVar makes the test binary the feed process.
const peerVar = "TICKRELAY_TEST_E2E_PEER"

func TestMain(m *testing.M) {
	if text := os.Getenv(peerVar); text != "" {
		var c PeerConfig
		err := json.Unmarshal([]byte(text), &c)
		if err == nil {
			err = Peer(context.Background(), c, os.Stdin, os.Stdout)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestRun runs every setting with a few frames: each figure is there, and none
// is zero.
func TestRun(t *testing.T) {
	r, err := Run(t.Context(), Config{Rounds: 1, Frames: 40, Gap: time.Millisecond, Peer: func(c PeerConfig) *exec.Cmd {
		text, _ := json.Marshal(c)
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), peerVar+"="+string(text))
		return cmd
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Rows) < 9 {
		t.Errorf("%d rows", len(r.Rows))
	}
	for _, row := range r.Rows {
		if row.Value <= 0 && row.Name[:6] != "pauses" || row.P999 < row.P50 {
			t.Errorf("%+v", row)
		}
	}
}

func TestParsePauses(t *testing.T) {
	if a, b, c, n := parsePauses("pauses 1 2 3 4"); a != 1 || b != 2 || c != 3 || n != 4 {
		t.Error(a, b, c, n)
	}
	if a, b, c, n := parsePauses("nothing"); a != 0 || b != 0 || c != 0 || n != 0 {
		t.Error(a, b, c, n)
	}
}
