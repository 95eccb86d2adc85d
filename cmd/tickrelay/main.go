package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// usageError is a wrong command line, as against a failure of the work.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends at once
	code := execute(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// execute runs one command line and returns its exit code. Results go to
// stdout, logs and errors to stderr.
func execute(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var finding foundError
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, new(usageError)):
		fmt.Fprintf(stderr, "tickrelay: %v\nTry 'tickrelay --help' or 'tickrelay COMMAND --help'.\n", err)
		return exitUsage
	case errors.As(err, &finding):
		return int(finding)
	default:
		fmt.Fprintf(stderr, "tickrelay: %v\n", err)
		return exitFailed
	}
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "tickrelay",
		Short: "Relay of exchanges' WebSocket market data to shared-memory rings and WebSocket",
		Long: `tickrelay takes exchanges' WebSocket feeds in, parses every frame once into an
exact 64-byte record, and gives the records out in shared-memory rings to
strategies on the same host and over WebSocket to browsers and programs.

Start with: tickrelay demo`,
		Version:       version(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          noSuchCommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(demoCommand(), runCommand(), checkCommand(), reloadCommand(), readyCommand(), normalizeCommand(), replayCommand(), recordCommand(), ringCommand(), topCommand(), benchCommand(), tuneCommand(), proxyCommand(), xdpCommand(), dpdkCommand(), soakCommand())
	return root
}

// noSuchCommand refuses operands where only sub-commands are known.
func noSuchCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	var names []string
	for _, sub := range c.Commands() {
		names = append(names, sub.Name())
	}
	return usageError{fmt.Errorf("unknown command %q%s", args[0], suggest(args[0], names))}
}

// usage makes a check of the operands report wrong usage.
func usage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if err := check(c, args); err != nil {
			return usageError{err}
		}
		return nil
	}
}

// addLogFlag adds --log and returns the logger to build once flags are parsed.
func addLogFlag(c *cobra.Command) func() (*slog.Logger, error) {
	level := c.Flags().String("log", "info", "least level of the log on stderr: debug, info, warn or error")
	return func() (*slog.Logger, error) {
		var l slog.Level
		if err := l.UnmarshalText([]byte(*level)); err != nil {
			return nil, usageError{fmt.Errorf("--log %q: want debug, info, warn or error", *level)}
		}
		return slog.New(slog.NewTextHandler(c.ErrOrStderr(), &slog.HandlerOptions{Level: l})), nil
	}
}
