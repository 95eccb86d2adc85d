package chart

import "math"

// Bar is one row of bars: a value of each series, in the order of Bars.Series.
type Bar struct {
	Name   string
	Values []float64 // NaN or 0: none
	Note   string    // at the end of the row
}

// Bars is a picture of rows of horizontal bars on one axis.
type Bars struct {
	Title  string
	Unit   string
	Series []string
	Rows   []Bar
	Log    bool // powers of ten, for values of very different size
}

const (
	barHeight = 11.0
	barGap    = 12.0
	nameWidth = 330.0
)

// SVG draws the rows.
func (b *Bars) SVG() []byte {
	row := barHeight*float64(len(b.Series)) + barGap
	c := newCanvas(top+row*float64(len(b.Rows))+bottom, b.Title)
	c.key(b.Series)
	x := axis{lo: math.Inf(1), hi: math.Inf(-1), from: left + nameWidth, to: width - 130, log: b.Log}
	for _, r := range b.Rows {
		for _, v := range r.Values {
			if v > 0 {
				x.lo, x.hi = min(x.lo, v), max(x.hi, v)
			}
		}
	}
	if x.lo > x.hi {
		x.lo, x.hi = 1, 10
	}
	if b.Log {
		x.lo, x.hi = math.Pow(10, math.Floor(math.Log10(x.lo)-0.01)), math.Pow(10, math.Ceil(math.Log10(x.hi)))
	} else {
		x.lo = 0
	}
	end := top + row*float64(len(b.Rows))
	for _, v := range x.ticks() {
		c.line(x.at(v), top, x.at(v), end, "#ddd")
		c.text(x.at(v), end+14, "middle", "#333", Short(v), "")
	}
	c.text(width-130, end+28, "end", "#333", b.Unit, "")
	for i, r := range b.Rows {
		y := top + row*float64(i) + barGap/2
		c.text(left+nameWidth-8, y+row/2, "end", "#000", r.Name, `font-size="11"`)
		c.text(width-right, y+row/2, "end", "#333", r.Note, `font-size="11"`)
		for k, v := range r.Values {
			if v > 0 {
				c.rect(x.from, y+barHeight*float64(k), max(1, x.at(v)-x.from), barHeight-2, colour(k), b.Series[k]+": "+Short(v)+" "+b.Unit)
				c.text(max(x.from+1, x.at(v))+3, y+barHeight*float64(k)+9, "start", "#333", Short(v), `font-size="9"`)
			}
		}
	}
	return c.end()
}
