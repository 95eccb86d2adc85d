package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tickrelay/ring"
)

// reloadTimeout bounds a reload as a command: feeds that are taken up anew say
// goodbye to their venues first.
const reloadTimeout = 30 * time.Second

// target is which relay a command speaks to.
type target struct{ relay, socket string }

// addTargetFlags adds --relay and --socket.
func addTargetFlags(c *cobra.Command) *target {
	t := &target{}
	c.Flags().StringVar(&t.relay, "relay", "", "name of the relay; not needed where one runs")
	c.Flags().StringVar(&t.socket, "socket", "", "its control socket, where the configuration names one")
	return t
}

// find is the control socket of the relay that is meant.
func (t *target) find() (string, error) {
	if t.socket != "" {
		return t.socket, nil
	}
	if t.relay != "" {
		return socketOf(t.relay), nil
	}
	var names []string
	dirs, err := os.ReadDir(ring.DefaultBase)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	for _, d := range dirs {
		if conn, err := net.DialTimeout("unix", socketOf(d.Name()), time.Second); err == nil {
			conn.Close()
			names = append(names, d.Name())
		}
	}
	switch len(names) {
	case 0:
		return "", fmt.Errorf("no relay runs here that this user may speak to; start one with tickrelay run or tickrelay demo, or name it with --relay or --socket")
	case 1:
		return socketOf(names[0]), nil
	}
	return "", usageError{fmt.Errorf("several relays run here: name one with --relay: %s", strings.Join(names, ", "))}
}

// socketOf is the control socket of a relay, as it says itself, or where it is by
// default.
func socketOf(relay string) string {
	if info, err := readInfo(filepath.Join(ring.DefaultBase, relay)); err == nil && info.Socket != "" {
		return info.Socket
	}
	return ring.FindSocket(relay)
}

func reloadCommand() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "reload",
		Short: "Have a running relay take its configuration up anew",
		Long: `reload makes a running relay read its configuration file again, as SIGHUP does, and says
what came of it. Feeds, instruments, channels, rings, tokens, limits, origins and
certificates change; what the new file does not change notices nothing. Keys that need a
restart are named, and keep their old values. A file with problems changes nothing: they
are named with file and line, and the exit status is 1.

A process with --gateway-only has no control socket: send it SIGHUP.`,
		Args: usage(cobra.NoArgs),
	}
	t := addTargetFlags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		socket, err := t.find()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(c.Context(), reloadTimeout)
		defer cancel()
		var res reloadResult
		if err := ring.Command(ctx, socket, "reload", &res); err != nil {
			return err
		}
		return res.print(c.OutOrStdout(), asJSON)
	}
	return c
}

// print tells a result; an error if nothing was reloaded.
func (r *reloadResult) print(out io.Writer, asJSON bool) error {
	if asJSON {
		if err := json.NewEncoder(out).Encode(r); err != nil {
			return err
		}
	} else {
		for _, line := range r.Changes {
			fmt.Fprintln(out, line)
		}
		for _, line := range r.Restart {
			fmt.Fprintln(out, line)
		}
		if len(r.Problems) == 0 {
			fmt.Fprintf(out, "reloaded: %d changes, %d keys need a restart\n", len(r.Changes), len(r.Restart))
		}
	}
	if len(r.Problems) > 0 {
		if asJSON {
			return foundError(exitFailed)
		}
		return fmt.Errorf("not reloaded, nothing has changed:\n%s", strings.Join(r.Problems, "\n"))
	}
	return nil
}
