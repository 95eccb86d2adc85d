package main

import (
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"
	"time"

	"tickrelay/ring"
	"tickrelay/ring/md"
)

// topicsOfRing names the topics that a ring carries.
func topicsOfRing(dir string, in *ring.Info) ([]string, error) {
	table, closeTable, err := ring.OpenTable(dir)
	if err != nil {
		return nil, err
	}
	defer closeTable()
	var out []string
	for _, t := range in.Topics {
		if e, ok := table.Get(t.Instrument); ok {
			out = append(out, md.Topic{Venue: e.Venue, Channel: t.Channel, Symbol: e.Symbol}.String())
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("ring %s carries no topic yet", in.Name)
	}
	return out, nil
}

func printRings(w io.Writer, rows []ring.Info) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "RELAY\tRING\tSTRATEGY\tSTATE\tCAPACITY\tDEPTH\tLOST\tCONSUMER")
	for i := range rows {
		r := &rows[i]
		if r.Err != "" {
			fmt.Fprintf(t, "%s\t%s\t%s\n", r.Relay, r.Name, r.Err)
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", r.Relay, r.Name, r.Strategy, r.State, r.Capacity, r.Depth, r.Counters.LostRecords, peer(r.Consumer))
	}
	t.Flush()
}

func peer(p ring.PeerInfo) string {
	if !p.Alive {
		return "none"
	}
	return fmt.Sprintf("pid %d", p.PID)
}

// printStat prints all that is known of rings, one block each.
func printStat(w io.Writer, rows []statRow) {
	for i := range rows {
		r := &rows[i]
		if i > 0 {
			fmt.Fprintln(w)
		}
		t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintf(t, "ring\t%s/%s\n", r.Relay, r.Name)
		if r.Err != "" {
			fmt.Fprintf(t, "error\t%s\n", r.Err)
			t.Flush()
			continue
		}
		fmt.Fprintf(t, "file\t%s\n", r.Path)
		fmt.Fprintf(t, "strategy\t%s\n", r.Strategy)
		fmt.Fprintf(t, "venue\t%s, epoch %d\n", r.VenueName, r.Epoch)
		fmt.Fprintf(t, "state\t%s\n", r.State)
		fmt.Fprintf(t, "records\t%d written, %d read, %d waiting of %d\n", r.Head, r.Tail, r.Depth, r.Capacity)
		fmt.Fprintf(t, "rates\t%.0f written/s, %.0f read/s, %.0f lost/s\n", r.RecordsPerS, r.ReadPerS, r.LostPerS)
		fmt.Fprintf(t, "lag\t%d µs\n", r.LagNs/1000)
		c := r.Counters
		fmt.Fprintf(t, "lost\t%d records in %d events, %d overruns\n", c.LostRecords, c.LostEvents, c.Overruns)
		fmt.Fprintf(t, "upstream gaps\t%d\n", c.Gaps)
		fmt.Fprintf(t, "snapshots\t%d, %d levels\n", c.Snapshots, c.Levels)
		fmt.Fprintf(t, "producer\t%s\n", side(r.Producer))
		if r.Broadcast {
			for _, x := range r.Readers {
				fmt.Fprintf(t, "reader\tpid %d, %d waiting, %d missed in %d laps\n", x.PID, x.Depth, x.Missed, x.Laps)
			}
		} else {
			fmt.Fprintf(t, "consumer\t%s, waits by %s, attached %d times\n", side(r.Consumer), r.Wake, r.Attached)
		}
		t.Flush()
		printTopics(w, &r.Info)
	}
}

func side(p ring.PeerInfo) string {
	s := peer(p)
	if p.Alive && p.BeatNs > 0 {
		s += fmt.Sprintf(", last seen %s ago", time.Since(time.Unix(0, p.BeatNs)).Round(time.Millisecond))
	}
	return s
}

// dirOf is the folder that holds a ring.
func dirOf(r *ring.Info) string { return filepath.Dir(r.Path) }

func printTopics(w io.Writer, r *ring.Info) {
	if len(r.Topics) == 0 {
		return
	}
	symbol := func(id uint32) string { return fmt.Sprintf("#%d", id) }
	if table, closeTable, err := ring.OpenTable(dirOf(r)); err == nil {
		defer closeTable()
		symbol = func(id uint32) string {
			if in, ok := table.Get(id); ok {
				return in.Symbol
			}
			return fmt.Sprintf("#%d", id)
		}
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "  TOPIC\tNUMBER\tLOST\tOVERRUNS\tGAPS\tSNAPSHOTS")
	for _, x := range r.Topics {
		fmt.Fprintf(t, "  %s.%s.%s\t%d\t%d\t%d\t%d\t%d\n", r.VenueName, x.ChannelName, symbol(x.Instrument), x.Seq, x.LostRecords, x.Overruns, x.Gaps, x.Snapshots)
	}
	t.Flush()
}
