package chart

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
)

// wellFormed wants XML, without a coordinate that is no number.
func wellFormed(t *testing.T, svg []byte) {
	t.Helper()
	if bytes.Contains(svg, []byte("NaN")) || bytes.Contains(svg, []byte("Inf")) {
		t.Errorf("a coordinate that is no number:\n%s", svg)
	}
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%v\n%s", err, svg)
		}
	}
}

func TestLines(t *testing.T) {
	for name, l := range map[string]*Lines{
		"empty": {Title: "nothing"},
		"one":   {Lines: []Line{{"a", []float64{3}, []float64{7}}}},
		"flat":  {Log: true, Lines: []Line{{"a", []float64{1, 2}, []float64{10, 10}}}},
		"zeros": {Log: true, Lines: []Line{{"a", []float64{1, 2}, []float64{0, 0}}}},
		"full": {Title: `<"&>`, X: "s", Y: "µs", Log: true, Bands: [][2]float64{{1, 2}}, Lanes: []string{"kill"}, Marks: []Mark{{1.5, 0, "kill & co"}},
			Lines: []Line{{"a<b", []float64{0, 1, 2, 3}, []float64{1, math.NaN(), 100, 0}}}},
	} {
		t.Run(name, func(t *testing.T) { wellFormed(t, l.SVG()) })
	}
	svg := string((&Lines{Lines: []Line{{"a", []float64{0, 1, 2}, []float64{1, math.NaN(), 3}}}}).SVG())
	if strings.Count(svg, `d="M`) != 1 || strings.Count(svg, "M") < 2 {
		t.Errorf("a hole must lift the pen:\n%s", svg)
	}
}

// TestManyMarks: thousands of marks make no large picture, and none is lost to the eye.
func TestManyMarks(t *testing.T) {
	l := &Lines{Lanes: []string{"few", "many"}, Lines: []Line{{"a", []float64{0, 5000}, []float64{1, 2}}}, Marks: []Mark{{7, 0, "one"}}}
	for i := range 5000 {
		l.Marks = append(l.Marks, Mark{float64(i), 1, "another"})
	}
	svg := l.SVG()
	wellFormed(t, svg)
	if n := bytes.Count(svg, []byte("M")); len(svg) > 20_000 || n < 800 || !bytes.Contains(svg, []byte("<title>one</title>")) || !bytes.Contains(svg, []byte("5000 marks")) {
		t.Errorf("%d bytes, %d strokes", len(svg), n)
	}
}

func TestBars(t *testing.T) {
	for name, b := range map[string]*Bars{
		"empty": {Series: []string{"ours"}},
		"full": {Title: "t", Unit: "µs", Log: true, Series: []string{"ours", "baseline"},
			Rows: []Bar{{"x & y", []float64{1, 2000}, "ratio 2"}, {"z", []float64{0, math.NaN()}, ""}}},
	} {
		t.Run(name, func(t *testing.T) { wellFormed(t, b.SVG()) })
	}
}

func TestTicks(t *testing.T) {
	for _, a := range []axis{{lo: 0, hi: 1}, {lo: 0, hi: 37}, {lo: 0.02, hi: 0.5}, {lo: 1, hi: 1e6, log: true}, {lo: 0, hi: 1.2e9}} {
		if n := len(a.ticks()); n < 2 || n > 12 {
			t.Errorf("%v: %d ticks %v", a, n, a.ticks())
		}
	}
}
