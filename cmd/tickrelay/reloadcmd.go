package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tickrelay/ring"
)

// reloadTimeout bounds a reload as a command: feeds that are taken up anew say
// goodbye to their venues first.
const reloadTimeout = 30 * time.Second

// addTargetFlags adds --relay and --socket.
func addTargetFlags(c *cobra.Command) *target {
	t := &target{}
	c.Flags().StringVar(&t.relay, "relay", "", "name of the relay; not needed where one runs")
	c.Flags().StringVar(&t.socket, "socket", "", "its control socket, where the configuration names one")
	return t
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

Where feeds and gateway run in processes of their own, both are asked, the feeds first;
--json then prints a line for each. --socket with the path that run --gateway-only prints
asks that gateway alone.`,
		Args: usage(cobra.NoArgs),
	}
	t := addTargetFlags(c)
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		list, err := t.processes()
		if err != nil {
			return err
		}
		var errs []error
		for _, p := range list {
			name := ""
			if len(list) > 1 {
				name = p.name
			}
			errs = append(errs, reloadOne(c, p.socket, name, asJSON))
		}
		for _, err := range errs { // told already, in JSON
			if errors.As(err, new(foundError)) {
				return err
			}
		}
		return errors.Join(errs...)
	}
	return c
}

// reloadOne asks one process and prints what it did, under its name if it has one.
func reloadOne(c *cobra.Command, socket, name string, asJSON bool) error {
	ctx, cancel := context.WithTimeout(c.Context(), reloadTimeout)
	defer cancel()
	res := reloadResult{Process: name}
	if err := ring.Command(ctx, socket, "reload", &res); err != nil {
		return err
	}
	return res.print(c.OutOrStdout(), asJSON)
}

// print tells a result; an error if nothing was reloaded.
func (r *reloadResult) print(out io.Writer, asJSON bool) error {
	if asJSON {
		if err := json.NewEncoder(out).Encode(r); err != nil {
			return err
		}
	} else {
		who := ""
		if r.Process != "" {
			who = r.Process + ": "
		}
		for _, line := range slices.Concat(r.Changes, r.Restart) {
			fmt.Fprintln(out, who+line)
		}
		if len(r.Problems) == 0 {
			fmt.Fprintf(out, "%sreloaded: %d changes, %d keys need a restart\n", who, len(r.Changes), len(r.Restart))
		}
	}
	if len(r.Problems) > 0 {
		if asJSON {
			return foundError(exitFailed)
		}
		if r.Process != "" {
			return fmt.Errorf("%s: not reloaded, nothing has changed:\n%s", r.Process, strings.Join(r.Problems, "\n"))
		}
		return fmt.Errorf("not reloaded, nothing has changed:\n%s", strings.Join(r.Problems, "\n"))
	}
	return nil
}
