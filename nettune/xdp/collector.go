package xdp

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Collector exports a filter's counters. It opens the pins at each scrape, so
// it follows a filter that is detached and attached again; without one it
// exports tickrelay_xdp_attached 0 and nothing else of the filter.
type Collector struct {
	target Target
	feeder *Feeder
	attached, packets, rules,
	denied, lost *prometheus.Desc
}

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector returns a collector of the filter on t's interface and of
// feeder, which may be nil.
func NewCollector(t Target, feeder *Feeder) *Collector {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("tickrelay_xdp_"+name, help, append([]string{"interface"}, labels...), nil)
	}
	return &Collector{
		target: t.withDefaults(), feeder: feeder,
		attached: desc("attached", "1 while the filter is attached, by mode.", "mode"),
		packets:  desc("packets_total", "Packets judged, by reason; verdict is pass or drop.", "reason", "verdict"),
		rules:    desc("rules", "Entries of the allow and deny lists.", "list"),
		denied:   desc("offenders_denied_total", "Addresses that this relay put on the deny list."),
		lost:     desc("offenders_lost_total", "Addresses that it could not: no filter, or too many at once."),
	}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{c.attached, c.packets, c.rules, c.denied, c.lost} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), append([]string{c.target.Interface}, labels...)...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{c.target.Interface}, labels...)...)
	}
	if c.feeder != nil {
		counter(c.denied, c.feeder.Denied())
		counter(c.lost, c.feeder.Lost())
	}
	st, err := c.read()
	if err != nil {
		gauge(c.attached, 0, "none")
		if !errors.Is(err, ErrNotAttached) {
			ch <- prometheus.NewInvalidMetric(c.packets, err)
		}
		return
	}
	if st.Attached {
		gauge(c.attached, 1, st.Mode)
	} else {
		gauge(c.attached, 0, "none")
	}
	for r := range NumReasons {
		verdict := "pass"
		if r.Drops() {
			verdict = "drop"
		}
		counter(c.packets, st.Counts[r], r.String(), verdict)
	}
	gauge(c.rules, float64(st.Allowed), string(Allow))
	gauge(c.rules, float64(st.Denied), string(Deny))
}

func (c *Collector) read() (Stats, error) {
	f, err := Open(c.target)
	if err != nil {
		return Stats{}, err
	}
	defer f.Close()
	return f.Stats()
}
