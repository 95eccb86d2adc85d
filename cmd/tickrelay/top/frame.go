package top

import (
	"fmt"
	"strings"
	"time"

	"charm.land/lipgloss/v2"
)

// View is what a frame shows.
type View int

// Views, in the order in which tab goes through them.
const (
	ViewAll View = iota // something of everything
	ViewFeeds
	ViewLines
	ViewRings
	ViewClients
	numViews
)

var viewNames = [numViews]string{"all", "feeds", "lines", "rings", "clients"}

// String is the view's name.
func (v View) String() string { return viewNames[v] }

// Options say how a frame is drawn.
type Options struct {
	Width, Height int // columns and rows; Height 0: as many as it takes
	View          View
	Sort          int // column of the view's table, from 0 on; see Columns
	Reverse       bool
	Scroll        int // rows of the table that are skipped
	Color         bool
	Paused        bool
	Help          bool
	Err           error // of the last question, nil if it was answered
}

// styles are lipgloss's, or nothing.
type styles struct{ on bool }

func (s styles) paint(st lipgloss.Style, text string) string {
	if !s.on {
		return text
	}
	return st.Render(text)
}

var (
	styleTitle = lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Color("14"))
	styleHead  = lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Color("12"))
	styleBad   = lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Color("9"))
	styleWarn  = lipgloss.NewStyle().Foreground(lipgloss.Color("11"))
	styleGood  = lipgloss.NewStyle().Foreground(lipgloss.Color("10"))
	styleFaint = lipgloss.NewStyle().Foreground(lipgloss.Color("8"))
	styleSpark = lipgloss.NewStyle().Foreground(lipgloss.Color("6"))
)

// maxTroubles is how many rows troubles take at most.
const maxTroubles = 8

// Frame draws the newest sample of a history.
func Frame(h *History, o Options) string {
	o.Width = max(o.Width, 40)
	f := frame{h: h, o: o, s: styles{o.Color}}
	f.title()
	if o.Help {
		f.help()
	} else if h.Last() != nil {
		f.health()
		f.troubles()
		f.latencies()
		f.tables()
	}
	if o.Height > 0 && len(f.rows) > o.Height {
		f.rows = f.rows[:o.Height]
	}
	return strings.Join(f.rows, "\n")
}

// frame is being drawn, row by row.
type frame struct {
	h    *History
	o    Options
	s    styles
	rows []string
}

// row adds a row of one style.
func (f *frame) row(st lipgloss.Style, text string) {
	f.rows = append(f.rows, f.s.paint(st, strings.TrimRight(clip(text, f.o.Width, false), " ")))
}

func (f *frame) title() {
	name, at := "?", ""
	if o := f.h.Last(); o != nil {
		name, at = o.Relay, time.Unix(0, o.NowNs).UTC().Format("15:04:05 UTC")
	}
	left := fmt.Sprintf("tickrelay top  relay %s  %s", name, at)
	if f.o.Paused {
		left += "  paused"
	}
	right := "? help  q quit"
	if f.o.Height == 0 {
		right = ""
	}
	f.row(styleTitle, clip(left, f.o.Width-len(right), false)+right)
	if f.o.Err != nil {
		f.row(styleBad, "no answer: "+f.o.Err.Error())
	}
}

// health is the row of figures that must be looked at first.
func (f *frame) health() {
	o := f.h.Last()
	live, lines, down, broken := 0, 0, 0, 0
	for i := range o.Feeds {
		if o.Feeds[i].State == "live" {
			live++
		}
		broken += o.Feeds[i].BrokenBooks
		for k := range o.Feeds[i].Lines {
			lines++
			if o.Feeds[i].Lines[k].State != "live" {
				down++
			}
		}
	}
	gaps, was := uint64(0), f.h.before(span)
	for i := range o.Feeds {
		if w := feedOf(was, o.Feeds[i].Name); w != nil {
			gaps += since(o.Feeds[i].Gaps, w.Gaps)
		}
	}
	parts := []string{
		f.figure(live == len(o.Feeds) && live > 0, "%d/%d feeds live", live, len(o.Feeds)),
		f.figure(down == 0, "%d/%d lines down", down, lines),
		f.figure(broken == 0, "%d books broken", broken),
		f.figure(gaps == 0, "%d gaps/min", gaps),
	}
	if g := o.Gateway; g != nil {
		slow := 0
		for i := range g.Clients {
			if g.Clients[i].SlowNs > 0 {
				slow++
			}
		}
		parts = append(parts, f.figure(slow == 0, "%d/%d clients slow", slow, g.Connections))
	}
	held, lossy := 0, 0
	for i := range o.Rings {
		if o.Rings[i].Alive {
			held++
		}
		if w := ringOf(was, o.Rings[i].Name); w != nil && since(o.Rings[i].Lost, w.Lost) > 0 {
			lossy++
		}
	}
	parts = append(parts, f.figure(lossy == 0, "%d/%d rings losing", lossy, held))
	f.wrap(parts)
}

// figure is one part of the health row: a dot that says whether it is well.
func (f *frame) figure(well bool, format string, args ...any) string {
	text := fmt.Sprintf(format, args...)
	if well {
		return f.s.paint(styleGood, "●") + " " + text
	}
	return f.s.paint(styleBad, "○ "+text)
}

// wrap puts parts side by side, as many rows as it takes.
func (f *frame) wrap(parts []string) {
	row, used := "", 0
	for _, p := range parts {
		n := lipgloss.Width(p)
		if used > 0 && used+3+n > f.o.Width {
			f.rows = append(f.rows, row)
			row, used = "", 0
		}
		if used > 0 {
			row, used = row+"   ", used+3
		}
		row, used = row+p, used+n
	}
	f.rows = append(f.rows, row)
}

func (f *frame) troubles() {
	list := f.h.Troubles()
	for i, t := range list {
		if i == maxTroubles-1 && len(list) > maxTroubles {
			f.row(styleWarn, fmt.Sprintf("  … and %d more", len(list)-i))
			break
		}
		if t.Severe {
			f.row(styleBad, "▲ "+t.What)
		} else {
			f.row(styleWarn, "· "+t.What)
		}
	}
}

func (f *frame) latencies() {
	list := f.h.Latencies()
	if len(list) == 0 {
		return
	}
	f.blank()
	const head = 46
	width := min(60, max(0, f.o.Width-head-1))
	f.row(styleHead, fmt.Sprintf("%-10s %7s %7s %7s %8s   %s", "LATENCY", "p50", "p99", "p99.9", "events/s", "p99 of each second, last minute"))
	from := f.h.before(latencySpan)
	for _, l := range list {
		text := fmt.Sprintf("%-10s %7s %7s %7s %8s   ", l.Stage, latencyText(l.P50), latencyText(l.P99), latencyText(l.P999), count(rate(l.Count, from, f.h.Last())))
		trace := spark(f.h.trace(width, p99(l.Stage, "")), width, true)
		f.rows = append(f.rows, strings.TrimRight(clip(text, min(head+1, f.o.Width), false)+f.s.paint(styleSpark, trace), " "))
	}
}

func (f *frame) blank() { f.rows = append(f.rows, "") }

// tables draws that of the view, or the first rows of each.
func (f *frame) tables() {
	if f.o.View != ViewAll {
		t := f.table(f.o.View)
		t.sort(f.o.Sort, f.o.Reverse)
		f.draw(t, f.o.Scroll, f.left()-2)
		return
	}
	views := []View{ViewFeeds, ViewLines, ViewRings, ViewClients}
	left := f.left()
	for i, v := range views {
		t := f.table(v)
		t.sort(0, false)
		n := len(t.rows)
		if left >= 0 { // a fair share for each of the rest
			n = min(n, max(1, left/(len(views)-i)-2))
		}
		before := len(f.rows)
		f.draw(t, 0, n)
		if left >= 0 {
			left = max(0, left-(len(f.rows)-before))
		}
	}
}

// left is how many rows there are still, -1 for any number.
func (f *frame) left() int {
	if f.o.Height == 0 {
		return -1
	}
	return max(0, f.o.Height-len(f.rows))
}

func (f *frame) help() {
	f.blank()
	for _, l := range []string{
		"tab, 1-5     view: all, feeds, lines, rings, clients",
		"s, S         sort by the next column, the one before; r reverses",
		"up, down     scroll; page up, page down, home, end too",
		"p            pause and go on",
		"?            this page, and back",
		"q, Ctrl-C    quit",
		"",
		"LATENCY is of the last ten seconds: receive, the venue's time of an event to its",
		"reception (clocks differ); publish, reception to the rings; deliver, reception to the",
		"sockets of all subscribers that keep up.",
		"▲ is wrong now; · was wrong in the last minute, or may become so.",
	} {
		f.rows = append(f.rows, clip(l, f.o.Width, false))
	}
}
