package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// serviceManager tells systemd what the relay does (sd_notify(3)). Where none listens
// its methods do nothing.
type serviceManager struct{ log *slog.Logger }

func (m serviceManager) tell(state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		m.log.Warn("the service manager cannot be told", "state", state, "err", err)
	}
}

// ready ends a start or a reload; status is shown by systemctl.
func (m serviceManager) ready(status string) { m.tell(daemon.SdNotifyReady + "\nSTATUS=" + status) }

// reloading begins a reload, which ready ends.
func (m serviceManager) reloading() {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // cannot fail
	m.tell(fmt.Sprintf("%s\nMONOTONIC_USEC=%d", daemon.SdNotifyReloading, now.Nano()/1000))
}

// watch feeds the watchdog while every loop responds. A loop that hangs is named in the
// log, and systemd restarts the service when its time is over. alive asks the loops.
func (m serviceManager) watch(ctx context.Context, alive func(context.Context) error) error {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return fmt.Errorf("WATCHDOG_USEC: %w", err)
	}
	if limit == 0 {
		return nil
	}
	tick := time.NewTicker(limit / 4)
	defer tick.Stop()
	hangs := false
	for {
		asked, cancel := context.WithTimeout(ctx, limit/4)
		err := alive(asked)
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			m.tell(daemon.SdNotifyWatchdog)
		case !hangs:
			m.log.Error("the watchdog is not fed", "err", err, "restart_within", limit)
		}
		hangs = err != nil
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// alive asks every feed and the gateway whether their loops turn.
func (r *relayd) alive(ctx context.Context) error {
	err := r.feedsAlive(ctx)
	if r.gw != nil {
		err = errors.Join(err, r.gw.Alive(ctx))
	}
	return err
}

func (r *relayd) feedsAlive(ctx context.Context) error {
	var errs []error
	for _, f := range r.feeds() {
		errs = append(errs, f.Alive(ctx))
	}
	return errors.Join(errs...)
}

// service is the service manager of this process.
func (r *relayd) service() serviceManager { return serviceManager{r.log} }

// ready tells it that this process serves.
func (r *relayd) ready() {
	what := fmt.Sprintf("relay %s: %d feeds", r.cfg.Relay, len(r.feeds()))
	if r.gw != nil {
		what += fmt.Sprintf(", gateway on %s", r.gw.Addr())
	}
	r.service().ready(what)
}
