package main

import (
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tickrelay/nettune/xdp"
)

// xdpConfig is what the relay does with the filter that xdp attach has put in
// front of its port.
type xdpConfig struct {
	Interface string `yaml:"interface"` // default none: the relay has nothing to do with XDP
	DenyFor   string `yaml:"deny_for"`  // how long an offender is denied; default 1m
	BPFFS     string `yaml:"bpffs"`     // default /sys/fs/bpf
}

const defaultDenyFor = "1m"

func (x *xdpConfig) withDefaults() {
	if x.DenyFor == "" {
		x.DenyFor = defaultDenyFor
	}
	if x.BPFFS == "" {
		x.BPFFS = xdp.DefaultBPFFS
	}
}

func (x *xdpConfig) validate(d *yamlDecoder) {
	if t, err := time.ParseDuration(x.DenyFor); err != nil || t < time.Second || t > 24*time.Hour {
		d.at("xdp.deny_for", "%q: want a time from 1s to 24h, such as 1m", x.DenyFor)
	}
	if x.Interface == "" && *x != (xdpConfig{DenyFor: defaultDenyFor, BPFFS: xdp.DefaultBPFFS}) {
		d.at("xdp", "interface is missing; name the one that xdp attach was given")
	}
}

func (x *xdpConfig) target() xdp.Target { return xdp.Target{Interface: x.Interface, BPFFS: x.BPFFS} }

// addXDP registers the filter's counters and returns what the gateway is to call
// for offenders, or nil where no filter is configured.
func (r *relayd) addXDP(reg prometheus.Registerer) func(netip.Addr, string) {
	c := &r.cfg.XDP
	if c.Interface == "" {
		return nil
	}
	lasts, _ := time.ParseDuration(c.DenyFor) // validated
	log := r.log.With("part", "xdp")
	r.xdp = xdp.NewFeeder(xdp.FeederConfig{Target: c.target(), For: lasts, Log: log})
	reg.MustRegister(xdp.NewCollector(c.target(), r.xdp))
	return func(a netip.Addr, reason string) {
		// An address is reported at most once per ten of its offences.
		log.Debug("offender", "addr", a, "reason", reason)
		r.xdp.Deny(a)
	}
}
