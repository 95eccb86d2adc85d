package chart

import (
	"fmt"
	"math"
	"strings"
)

// Line is a series. A NaN in Y is a hole.
type Line struct {
	Name string
	X, Y []float64
}

// Mark is something that happened at X, drawn in a lane below the plot. Where a lane has
// many, their labels are left out.
type Mark struct {
	X     float64
	Lane  int // index of Lines.Lanes
	Label string
}

// Lines is a plot over X. The zero value of a field is a good default.
type Lines struct {
	Title, X, Y string
	Log         bool // Y in powers of ten; values from 0 on are cut off below
	Lines       []Line
	Bands       [][2]float64 // times that are shaded
	Lanes       []string     // of marks
	Marks       []Mark
}

const (
	plotHeight = 210.0
	laneHeight = 14.0
)

// SVG draws the plot. Without any value it draws the frame alone.
func (l *Lines) SVG() []byte {
	c := newCanvas(top+plotHeight+bottom+laneHeight*float64(len(l.Lanes)), l.Title)
	var names []string
	for _, s := range l.Lines {
		names = append(names, s.Name)
	}
	c.key(names)
	x, y := l.axes()
	for _, b := range l.Bands {
		c.rect(x.at(b[0]), top, max(1, x.at(b[1])-x.at(b[0])), plotHeight, "#eee", fmt.Sprintf("%.0f to %.0f", b[0], b[1]))
	}
	for _, v := range y.ticks() {
		c.line(left, y.at(v), width-right, y.at(v), "#ddd")
		c.text(left-6, y.at(v)+4, "end", "#333", Short(v), "")
	}
	for _, v := range x.ticks() {
		c.line(x.at(v), top+plotHeight, x.at(v), top+plotHeight+4, "#333")
		c.text(x.at(v), top+plotHeight+17, "middle", "#333", Short(v), "")
	}
	c.line(left, top+plotHeight, width-right, top+plotHeight, "#333")
	c.text(width-right, top+plotHeight+30, "end", "#333", l.X, "")
	c.text(14, top+plotHeight/2, "middle", "#333", l.Y, fmt.Sprintf(`transform="rotate(-90 14 %s)"`, num(top+plotHeight/2)))
	for i, s := range l.Lines {
		l.draw(c, s, x, y, colour(i))
	}
	for i, name := range l.Lanes {
		at := top + plotHeight + bottom + laneHeight*float64(i)
		c.text(left-6, at+9, "end", "#333", name, `font-size="9"`)
		c.line(left, at+11, width-right, at+11, "#eee")
	}
	l.marks(c, x)
	return c.end()
}

// mostLabels is how many marks of a lane have labels; more are drawn as one path, so that
// the picture stays small.
const mostLabels = 60

func (l *Lines) marks(c *canvas, x axis) {
	for lane := range l.Lanes {
		y := top + plotHeight + bottom + laneHeight*float64(lane)
		var marks []Mark
		for _, m := range l.Marks {
			if m.Lane == lane {
				marks = append(marks, m)
			}
		}
		if len(marks) <= mostLabels {
			for _, m := range marks {
				c.rect(x.at(m.X)-1, y, 2, laneHeight-3, colour(1+lane%6), m.Label)
			}
			continue
		}
		var path strings.Builder
		drawn := map[float64]bool{}
		for _, m := range marks {
			if at := math.Round(x.at(m.X)); !drawn[at] {
				drawn[at] = true
				fmt.Fprintf(&path, "M%s %sv%s", num(at), num(y), num(laneHeight-3))
			}
		}
		fmt.Fprintf(c, `<path d="%s" stroke="%s" stroke-width="1"><title>%d marks</title></path>`+"\n", path.String(), colour(1+lane%6), len(marks))
	}
}

// axes fit the values.
func (l *Lines) axes() (x, y axis) {
	x = axis{lo: math.Inf(1), hi: math.Inf(-1), from: left, to: width - right}
	y = axis{lo: math.Inf(1), hi: math.Inf(-1), from: top + plotHeight, to: top, log: l.Log}
	for _, s := range l.Lines {
		for i := range s.X {
			v := s.Y[i]
			if math.IsNaN(v) || l.Log && v <= 0 {
				continue
			}
			x.lo, x.hi = min(x.lo, s.X[i]), max(x.hi, s.X[i])
			y.lo, y.hi = min(y.lo, v), max(y.hi, v)
		}
	}
	if x.lo > x.hi {
		x.lo, x.hi, y.lo, y.hi = 0, 1, 1, 10
	}
	if x.lo == x.hi {
		x.hi++
	}
	if l.Log {
		y.lo, y.hi = math.Pow(10, math.Floor(math.Log10(y.lo))), math.Pow(10, math.Ceil(math.Log10(y.hi)+1e-9))
	} else {
		y.lo = min(0, y.lo)
		y.hi += (y.hi - y.lo) / 20
	}
	if y.lo >= y.hi {
		y.hi = y.lo + 1
	}
	return x, y
}

func (l *Lines) draw(c *canvas, s Line, x, y axis, stroke string) {
	var path strings.Builder
	pen := byte('M')
	for i := range s.X {
		if math.IsNaN(s.Y[i]) {
			pen = 'M'
			continue
		}
		fmt.Fprintf(&path, "%c%s %s", pen, num(x.at(s.X[i])), num(y.at(s.Y[i])))
		pen = 'L'
	}
	fmt.Fprintf(c, `<path d="%s" fill="none" stroke="%s" stroke-width="1.3"/>`+"\n", path.String(), stroke)
}
