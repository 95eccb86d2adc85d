package soak

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"tickrelay/ring"
)

// act makes one fault of the plan happen.
func (s *soak) act(ctx context.Context, n int, a Action) {
	a.Done = time.Since(s.begun).Seconds()
	if why := s.do(ctx, a); why != "" {
		a.Not = why
	} else {
		s.hide(a)
		s.happened(a.String())
	}
	s.res.acted(n, a)
}

// do returns why a fault could not be.
func (s *soak) do(ctx context.Context, a Action) string {
	lasts := time.Duration(a.For * float64(time.Second))
	switch a.Kind {
	case KindExchange:
		s.exchanges.tell(order{Op: "inject", Venue: a.Target, Fault: a.Fault})
	case KindRestartExchange:
		s.exchanges.tell(order{Op: "restart", Venue: a.Target})
	case KindClockStep:
		s.exchanges.tell(order{Op: "step", Offset: time.Duration(a.Step * float64(time.Second))})
		s.stepped = time.Now().Add(lasts + time.Second)
		s.after(lasts, func() { s.exchanges.tell(order{Op: "step"}) })
	case KindKillStrategy:
		return s.killReader(slices.Index(readerNames, a.Target))
	case KindKillClients:
		return s.killReader(slices.Index(readerNames, "clients"))
	case KindPauseStrategy:
		return s.pause(s.readers[slices.Index(readerNames, a.Target)], lasts)
	case KindPauseGateway:
		return s.pause(s.gateway, lasts)
	case KindKillGateway:
		return s.again(s.gateway, func() error { return s.startGateway() })
	case KindKillFeeds:
		return s.killFeeds()
	case KindTakeover:
		return s.takeover()
	case KindFullShm:
		return s.fillShm(ctx, lasts)
	}
	return ""
}

// killFeeds has strategies attach again. Until one has, its books are the dead feeds'.
func (s *soak) killFeeds() string {
	if s.shm != nil {
		return "they could not start in a full /dev/shm"
	}
	why := s.again(s.feeds, s.startFeeds)
	for i, p := range s.readers {
		if why == "" && i < len(strategyNames) && p.last != nil {
			p.attach = p.last.Sessions + 1
		}
	}
	return why
}

func (s *soak) killReader(i int) string {
	return s.again(s.readers[i], func() error { return s.startReader(i) })
}

// again kills a process, as a crash would, and starts it again.
func (s *soak) again(p *proc, start func() error) string {
	if p.exited || !p.ready {
		return "it is just starting"
	}
	p.leaving = true
	if err := p.signal(syscall.SIGKILL); err != nil {
		return err.Error()
	}
	// Its locks go with its last thread, a moment later.
	if !s.until(context.Background(), 30*time.Second, func() bool { return p.exited }) {
		return "it does not die"
	}
	if err := start(); err != nil {
		s.violation(Alive, p.name, "", "cannot be started again: "+err.Error())
	}
	return ""
}

// pause stops a process for some time, as an overloaded host would.
func (s *soak) pause(p *proc, d time.Duration) string {
	if p.exited || !p.ready {
		return "it is just starting"
	}
	if err := p.signal(syscall.SIGSTOP); err != nil {
		return err.Error()
	}
	s.after(d, func() { _ = p.signal(syscall.SIGCONT) }) // one that was killed meanwhile is gone
	return ""
}

// leaveWithin is how long a gateway that was replaced may stay.
const leaveWithin = 45 * time.Second

// takeover replaces the gateway. The old one must end by itself, with exit code 0.
func (s *soak) takeover() string {
	old := s.gateway
	if old.exited || !old.ready {
		return "it is just starting"
	}
	old.leaving = true
	s.old = append(s.old, old)
	if err := s.startGateway("--takeover"); err != nil {
		s.violation(Alive, "gateway", "", "cannot be taken over: "+err.Error())
	}
	s.later = append(s.later, timed{time.Now().Add(leaveWithin), false, func() {
		if !old.exited {
			s.violation(Alive, "gateway", "", fmt.Sprintf("still there %s after another one took over:\n%s", leaveWithin, old.log.String()))
		} else if c := old.cmd.ProcessState.ExitCode(); c != 0 {
			s.violation(Alive, "gateway", "", fmt.Sprintf("exit %d after another one took over:\n%s", c, old.log.String()))
		}
	}})
	return ""
}

// fillShm leaves no byte in /dev/shm for some time. A strategy that attaches then
// must be told so; all others must not notice.
func (s *soak) fillShm(ctx context.Context, d time.Duration) string {
	if !s.cfg.Shm {
		return s.cfg.ShmWhy
	}
	if s.shm != nil {
		return "it is full already"
	}
	if !s.feeds.ready {
		return "the feeds are just starting"
	}
	f, err := os.Create("/dev/shm/ballast")
	if err != nil {
		return err.Error()
	}
	s.shm = f
	for chunk, size := int64(64<<20), int64(0); chunk >= 4096; {
		if err := unix.Fallocate(int(f.Fd()), 0, size, chunk); err != nil {
			chunk /= 4
			continue
		}
		size += chunk
	}
	s.after(d, s.emptyShm)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	p, err := ring.Attach(ctx, s.socket(), ring.AttachRequest{Strategy: "late", Topics: []string{">"}, Capacity: 1 << 20})
	var no *ring.AttachError
	switch {
	case err == nil:
		s.res.checks[Space]++
		p.Close()
		s.violation(Space, "feeds", "", "gave rings of 64 MiB away out of a full /dev/shm")
	case errors.As(err, &no) && no.Code == ring.CodeNoSpace:
		s.res.checks[Space]++
	case errors.Is(err, ring.ErrNotRunning), ctx.Err() != nil, !s.feeds.ready: // the feeds are just being killed
	default:
		s.res.checks[Space]++
		s.violation(Space, "feeds", "", "refused rings in a full /dev/shm with another reason than that: "+err.Error())
	}
	return ""
}

func (s *soak) emptyShm() {
	s.shm.Close()
	os.Remove("/dev/shm/ballast")
	s.shm = nil
}
