package top

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"charm.land/lipgloss/v2"

	"tickrelay/relay"
)

// column is one column of a table. The first takes what width is left.
type column struct {
	name  string
	width int
}

// cell is a value of a table: what is shown and what is sorted by.
type cell struct {
	text string
	key  float64 // 0: sorted by text
	st   *lipgloss.Style
	tail bool // where there is no room, the end is shown
}

// table is a view's data.
type table struct {
	name    string
	columns []column
	rows    [][]cell
}

// Columns are the names of a view's columns, by which it can be sorted.
func Columns(v View) []string {
	var names []string
	for _, c := range columnsOf[v] {
		names = append(names, c.name)
	}
	return names
}

var columnsOf = map[View][]column{
	ViewFeeds: {{"FEEDS", 16}, {"state", 10}, {"lines", 5}, {"broken", 6}, {"gaps", 7}, {"frames/s", 8}, {"records/s", 9},
		{"recv p50", 8}, {"recv p99", 8}, {"publ p99", 8}, {"age", 6}, {"trend", 20}},
	ViewLines:   {{"LINES", 16}, {"line", 4}, {"state", 10}, {"since", 6}, {"frames/s", 8}, {"reconn.", 7}, {"remote", 21}, {"last error", 30}},
	ViewRings:   {{"RINGS", 24}, {"strategy", 14}, {"state", 8}, {"reader", 6}, {"waiting", 8}, {"full", 5}, {"lag", 7}, {"records/s", 9}, {"lost", 8}, {"overruns", 8}},
	ViewClients: {{"CLIENTS", 24}, {"who", 14}, {"format", 7}, {"topics", 6}, {"messages", 8}, {"bytes", 8}, {"slow for", 8}},
}

func text(s string) cell           { return cell{text: s} }
func number(n float64) cell        { return cell{text: count(n), key: n} }
func span64(ns int64) cell         { return cell{text: latencyText(ns), key: float64(ns)} }
func (c cell) red(on bool) cell    { return c.paint(on, &styleBad) }
func (c cell) yellow(on bool) cell { return c.paint(on, &styleWarn) }

func (c cell) paint(on bool, st *lipgloss.Style) cell {
	if on {
		c.st = st
	}
	return c
}

// sort orders the rows by a column: text rising, numbers falling; the worst on top
// where nothing else was asked for.
func (t *table) sort(by int, reverse bool) {
	by = min(max(by, 0), len(t.columns)-1)
	slices.SortStableFunc(t.rows, func(a, b []cell) int {
		x, y := a[by], b[by]
		order := cmp.Compare(y.key, x.key)
		if x.key == 0 && y.key == 0 {
			order = strings.Compare(x.text, y.text)
		}
		if by == 0 && !reverse { // what is marked comes first
			order = cmp.Or(cmp.Compare(marks(b), marks(a)), order)
		}
		if reverse {
			order = -order
		}
		return order
	})
}

func marks(row []cell) int {
	n := 0
	for _, c := range row {
		if c.st == &styleBad {
			n++
		}
	}
	return n
}

// draw shows rows from skip on, at most n of them if n is not negative.
func (f *frame) draw(t *table, skip, n int) {
	f.blank()
	widths := t.fit(f.o.Width)
	var head strings.Builder
	for i, w := range widths {
		if w > 0 {
			head.WriteString(clip(t.columns[i].name, w, t.right(i)) + " ")
		}
	}
	title := head.String()
	if f.o.View != ViewAll {
		title = clip(title, max(0, f.o.Width-24), false) + clip(fmt.Sprintf("by %s, %d rows", t.columns[min(f.o.Sort, len(t.columns)-1)].name, len(t.rows)), 23, true)
	}
	f.row(styleHead, title)
	if len(t.rows) == 0 {
		f.row(styleFaint, "none")
		return
	}
	skip = min(max(skip, 0), len(t.rows)-1)
	rows := t.rows[skip:]
	more := 0
	if n >= 0 && len(rows) > n {
		more, rows = len(rows)-n, rows[:n]
	}
	for _, r := range rows {
		var b strings.Builder
		for i, w := range widths {
			if w == 0 {
				continue
			}
			c := r[i].text
			if n := utf8.RuneCountInString(c); r[i].tail && n > w {
				c = string([]rune(c)[n-w:])
			}
			c = clip(c, w, t.right(i))
			if r[i].st != nil {
				c = f.s.paint(*r[i].st, c)
			}
			b.WriteString(c + " ")
		}
		f.rows = append(f.rows, strings.TrimRight(b.String(), " "))
	}
	if more > 0 {
		f.row(styleFaint, fmt.Sprintf("  … %d more", more))
	}
}

// right says whether a column is aligned to the right: those of numbers.
func (t *table) right(i int) bool {
	switch t.columns[i].name {
	case "state", "strategy", "who", "format", "remote", "last error", "trend", "reader":
		return false
	}
	return i > 0
}

// fit gives columns their widths; the last ones vanish where there is no room.
func (t *table) fit(width int) []int {
	out := make([]int, len(t.columns))
	for i, c := range t.columns {
		if c.width+1 > width {
			if width >= 4 && i > 1 && !t.right(i) {
				out[i] = width - 1
			}
			break
		}
		out[i] = c.width
		width -= c.width + 1
	}
	return out
}

// table makes a view's table of the newest sample.
func (f *frame) table(v View) *table {
	t := &table{name: v.String(), columns: columnsOf[v]}
	now, was := f.h.Last(), f.h.before(latencySpan)
	switch v {
	case ViewFeeds:
		f.feeds(t, now, was)
	case ViewLines:
		f.lines(t, now, was)
	case ViewRings:
		rings(t, now, was)
	case ViewClients:
		clients(t, now)
	}
	return t
}

func (f *frame) feeds(t *table, now, was *relay.Overview) {
	minute := f.h.before(span)
	for i := range now.Feeds {
		x := &now.Feeds[i]
		w, m := feedOf(was, x.Name), feedOf(minute, x.Name)
		if w == nil {
			w, m = x, x
		}
		if m == nil {
			m = w
		}
		up := 0
		for k := range x.Lines {
			if x.Lines[k].State == "live" {
				up++
			}
		}
		silent := int64(0)
		if x.LastRecvNs > 0 {
			silent = max(0, now.NowNs-x.LastRecvNs)
		}
		l, p := latency(was, now, "receive", x.Name), latency(was, now, "publish", x.Name)
		records := func(a, b *relay.Overview) float64 {
			from, to := feedOf(a, x.Name), feedOf(b, x.Name)
			if from == nil || to == nil {
				return 0
			}
			return rate(since(to.Records, from.Records), a, b)
		}
		t.rows = append(t.rows, []cell{text(x.Name), text(x.State).red(x.State != "live"),
			{text: fmt.Sprintf("%d/%d", up, len(x.Lines)), key: float64(up)}, number(float64(x.BrokenBooks)).red(x.BrokenBooks > 0),
			number(float64(x.Gaps)).yellow(since(x.Gaps, m.Gaps) > 0), number(rate(since(x.Frames, w.Frames), was, now)), number(rate(since(x.Records, w.Records), was, now)),
			span64(l.P50), span64(l.P99), span64(p.P99), span64(silent).red(silent > int64(silentAfter)),
			{text: spark(f.h.trace(20, records), 20, false), st: &styleSpark, tail: true}})
		t.rows[len(t.rows)-1][2] = t.rows[len(t.rows)-1][2].yellow(up < len(x.Lines))
	}
}

// p99 is that of a stage between two samples.
func p99(stage, feed string) func(from, to *relay.Overview) float64 {
	return func(from, to *relay.Overview) float64 { return float64(latency(from, to, stage, feed).P99) }
}

func (f *frame) lines(t *table, now, was *relay.Overview) {
	for i := range now.Feeds {
		x := &now.Feeds[i]
		w := feedOf(was, x.Name)
		for k := range x.Lines {
			l := &x.Lines[k]
			frames := l.Frames
			if w != nil && k < len(w.Lines) {
				frames = since(l.Frames, w.Lines[k].Frames)
			}
			t.rows = append(t.rows, []cell{text(x.Name), {text: fmt.Sprint(l.Line), key: float64(l.Line)}, text(l.State).red(l.State != "live"),
				span64(now.NowNs - l.SinceNs), number(rate(frames, was, now)), number(float64(l.Reconnects)), text(l.Remote), text(l.Error)})
		}
	}
}

func rings(t *table, now, was *relay.Overview) {
	for i := range now.Rings {
		x := &now.Rings[i]
		w := ringOf(was, x.Name)
		if w == nil {
			w = x
		}
		reader := "none"
		if x.Alive {
			reader = "here"
		}
		full := 0.0
		if x.Capacity > 0 {
			full = float64(x.Depth) / float64(x.Capacity)
		}
		t.rows = append(t.rows, []cell{text(x.Name), text(x.Strategy), text(x.State).red(x.State != "open"), text(reader).yellow(!x.Alive), number(float64(x.Depth)),
			{text: fmt.Sprintf("%.0f%%", 100*full), key: full}, span64(x.LagNs), number(rate(since(x.Written, w.Written), was, now)),
			number(float64(x.Lost)).red(since(x.Lost, w.Lost) > 0), number(float64(x.Overruns))})
		t.rows[len(t.rows)-1][5] = t.rows[len(t.rows)-1][5].red(x.Alive && full > slowBehind)
	}
}

func clients(t *table, now *relay.Overview) {
	if now.Gateway == nil {
		return
	}
	for i := range now.Gateway.Clients {
		x := &now.Gateway.Clients[i]
		t.rows = append(t.rows, []cell{text(x.Client), text(x.Who), text(x.Format), number(float64(x.Topics)), number(float64(x.QueueMessages)),
			{text: bytesText(float64(x.QueueBytes)), key: float64(x.QueueBytes)}, span64(x.SlowNs).red(x.SlowNs > 0)})
	}
}
