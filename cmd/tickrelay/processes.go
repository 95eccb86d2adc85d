package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"tickrelay/ring"
)

// What a process of a relay is, as its control socket says.
const (
	processRelay   = "relay" // all in one
	processFeeds   = "feeds"
	processGateway = "gateway"
)

// target is which relay a command speaks to.
type target struct{ relay, socket string }

// running is a process of a relay that answers.
type running struct {
	name   string // processRelay, or where two answer processFeeds and processGateway
	socket string
}

// gatewaySocket is the control socket of a gateway in a process of its own, beside that
// of the process with the feeds.
func gatewaySocket(socket string) string { return socket + gatewaySuffix }

const gatewaySuffix = ".gateway-control"

// answers reports whether somebody listens on a control socket. Other users' sockets,
// which may not be spoken to, do not count.
func answers(socket string) bool {
	conn, err := net.DialTimeout("unix", socket, time.Second)
	if err != nil {
		return false
	}
	conn.Close()
	return true
}

// socketOf is the control socket of a relay, as it says itself, or where it is by
// default.
func socketOf(relay string) string {
	if info, err := readInfo(filepath.Join(ring.DefaultBase, relay)); err == nil && info.Socket != "" {
		return info.Socket
	}
	return ring.FindSocket(relay)
}

// base is the control socket of the relay that is meant, whichever of its processes run.
func (t *target) base() (string, error) {
	if t.socket != "" {
		return t.socket, nil
	}
	if t.relay != "" {
		return socketOf(t.relay), nil
	}
	found := map[string]string{} // sockets by name
	dirs, err := os.ReadDir(ring.DefaultBase)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	for _, d := range dirs {
		if s := socketOf(d.Name()); answers(s) || answers(gatewaySocket(s)) {
			found[d.Name()] = s
		}
	}
	// A gateway that serves what the bus brings has no folder of rings.
	alone, _ := filepath.Glob(filepath.Join(filepath.Dir(ring.SocketPath("x")), "*.sock"+gatewaySuffix))
	for _, s := range alone {
		s = strings.TrimSuffix(s, gatewaySuffix)
		if name := strings.TrimSuffix(filepath.Base(s), ".sock"); found[name] == "" && answers(gatewaySocket(s)) {
			found[name] = s
		}
	}
	var names []string
	for name, s := range found {
		if len(found) == 1 {
			return s, nil
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		return "", errors.New("no relay runs here that this user may speak to; start one with tickrelay run or tickrelay demo, or name it with --relay or --socket")
	}
	return "", usageError{fmt.Errorf("several relays run here: name one with --relay: %s", strings.Join(slices.Sorted(slices.Values(names)), ", "))}
}

// processes are those of the relay that answer: the one with the feeds first. With
// --socket and a socket of a gateway alone it is that one. An error if there is none.
func (t *target) processes() ([]running, error) {
	base, err := t.base()
	if err != nil {
		return nil, err
	}
	if strings.HasSuffix(base, gatewaySuffix) {
		return []running{{processGateway, base}}, nil
	}
	var out []running
	for _, p := range []running{{processRelay, base}, {processGateway, gatewaySocket(base)}} {
		if answers(p.socket) {
			out = append(out, p)
		}
	}
	if len(out) == 2 {
		out[0].name = processFeeds
	}
	if len(out) == 0 { // whoever is asked says what is wrong with it
		return []running{{processRelay, base}}, nil
	}
	return out, nil
}

// serveGateway is the control socket of a gateway in a process of its own, until ctx
// ends. The gateway before, which hands over, has it until it sends its clients away.
func (r *relayd) serveGateway(ctx context.Context) error {
	log := r.log.With("part", "control socket")
	serve := ring.ServeConfig{Group: r.group, AllowUIDs: r.allowUIDs, AllowGIDs: r.allowGIDs, Commands: r.commands(), Refused: r.refusals.count, Log: log}
	path := gatewaySocket(r.socket)
	for told := false; ; {
		err := serve.ServeLeases(ctx, path, func(ring.AttachRequest) (*ring.Grant, error) {
			return nil, fmt.Errorf("this process is the gateway and hands no rings out; attach at %s", r.socket)
		})
		if !errors.Is(err, ring.ErrBusy) {
			return err
		}
		if !told {
			told = true
			log.Info("waiting for the gateway before to leave it", "socket", path)
		}
		if !sleepFor(ctx, 50*time.Millisecond) {
			return nil
		}
	}
}
