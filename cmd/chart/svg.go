package chart

import (
	"bytes"
	"fmt"
	"html"
	"math"
	"strconv"
)

// Geometry, in SVG units.
const (
	width  = 900.0
	left   = 70.0
	right  = 20.0
	top    = 50.0
	bottom = 34.0
)

// colours are told apart by people with any colour vision (Okabe and Ito's order).
var colours = [...]string{"#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7f7f7f", "#000000"}

func colour(i int) string { return colours[i%len(colours)] }

// canvas collects elements.
type canvas struct{ bytes.Buffer }

func newCanvas(height float64, title string) *canvas {
	c := &canvas{}
	fmt.Fprintf(c, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %s %s" font-family="sans-serif" font-size="12">`+"\n", num(width), num(height))
	fmt.Fprintf(c, `<title>%s</title><rect width="100%%" height="100%%" fill="#fff"/>`+"\n", html.EscapeString(title))
	c.text(left, 20, "start", "#000", title, `font-size="15" font-weight="bold"`)
	return c
}

func (c *canvas) end() []byte {
	c.WriteString("</svg>\n")
	return c.Bytes()
}

func (c *canvas) text(x, y float64, anchor, fill, s, more string) {
	fmt.Fprintf(c, `<text x="%s" y="%s" text-anchor="%s" fill="%s" %s>%s</text>`+"\n", num(x), num(y), anchor, fill, more, html.EscapeString(s))
}

func (c *canvas) line(x1, y1, x2, y2 float64, stroke string) {
	fmt.Fprintf(c, `<line x1="%s" y1="%s" x2="%s" y2="%s" stroke="%s"/>`+"\n", num(x1), num(y1), num(x2), num(y2), stroke)
}

func (c *canvas) rect(x, y, w, h float64, fill, title string) {
	fmt.Fprintf(c, `<rect x="%s" y="%s" width="%s" height="%s" fill="%s"><title>%s</title></rect>`+"\n", num(x), num(y), num(w), num(h), fill, html.EscapeString(title))
}

// key names the colours, in a row under the title.
func (c *canvas) key(names []string) {
	x := left
	for i, n := range names {
		c.rect(x, 31, 10, 10, colour(i), n)
		c.text(x+14, 40, "start", "#333", n, "")
		x += 26 + 6.6*float64(len(n))
	}
}

// num writes a coordinate short.
func num(v float64) string { return strconv.FormatFloat(math.Round(v*10)/10, 'f', -1, 64) }

// Short writes a value as axes do: three digits, and k, M, G.
func Short(v float64) string {
	a := math.Abs(v)
	switch {
	case a >= 1e9:
		return strconv.FormatFloat(v/1e9, 'g', 3, 64) + "G"
	case a >= 1e6:
		return strconv.FormatFloat(v/1e6, 'g', 3, 64) + "M"
	case a >= 1e4:
		return strconv.FormatFloat(v/1e3, 'g', 3, 64) + "k"
	}
	return strconv.FormatFloat(v, 'g', 4, 64)
}

// axis maps values to coordinates.
type axis struct {
	lo, hi, from, to float64
	log              bool
}

func (a axis) at(v float64) float64 {
	lo, hi := a.lo, a.hi
	if a.log {
		v, lo, hi = math.Log10(max(v, lo)), math.Log10(lo), math.Log10(hi)
	}
	return a.from + (v-lo)/(hi-lo)*(a.to-a.from)
}

// ticks are round values within the axis.
func (a axis) ticks() []float64 {
	var out []float64
	if a.log {
		for e := math.Ceil(math.Log10(a.lo) - 1e-9); e <= math.Log10(a.hi)+1e-9; e++ {
			out = append(out, math.Pow(10, e))
		}
		return out
	}
	step := math.Pow(10, math.Floor(math.Log10((a.hi-a.lo)/4)))
	for _, k := range []float64{2, 5, 10} {
		if (a.hi-a.lo)/step > 7 {
			step = math.Pow(10, math.Floor(math.Log10((a.hi-a.lo)/4))) * k
		}
	}
	for v := math.Ceil(a.lo/step) * step; v <= a.hi+step/1e6; v += step {
		out = append(out, v)
	}
	return out
}
