package top

import (
	"flag"
	"fmt"
	"html"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"charm.land/lipgloss/v2"
)

var (
	picture    = flag.String("picture", "", "file to draw a view of a running relay into, as SVG")
	pictureOf  = flag.String("picture-of", "http://127.0.0.1:8080", "gateway that is asked for it")
	pictureFor = flag.Duration("picture-for", 70*time.Second, "time for which it is watched before")
)

// TestPicture draws docs/img/top.svg of a relay that runs:
//
//	tickrelay demo --rate 2000 &
//	go test ./cmd/tickrelay/top -run Picture -picture $PWD/docs/img/top.svg
func TestPicture(t *testing.T) {
	if *picture == "" {
		t.Skip("no -picture file is named")
	}
	ask, err := HTTP(*pictureOf, "", nil)
	if err != nil {
		t.Fatal(err)
	}
	h := &History{}
	for end := time.Now().Add(*pictureFor); time.Now().Before(end); time.Sleep(time.Second) {
		o, err := ask(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		h.Add(o)
	}
	const width, height = 122, 27
	svg := drawSVG(Frame(h, Options{Width: width, Height: height, Color: true}), width, height)
	if err := os.WriteFile(*picture, []byte(svg), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestDrawSVG: colours become spans, text stays as it is.
func TestDrawSVG(t *testing.T) {
	got := drawSVG("a<b "+lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Color("9")).Render("bad")+" c\nx", 20, 2)
	for _, want := range []string{`>a&lt;b </text>`, `fill="` + palette[9] + `" font-weight="bold">bad</text>`, `> c</text>`, `>x</text>`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

// palette are the colours of the sixteen that terminals have which top uses.
var palette = map[int]string{6: "#3fb8b8", 8: "#7a828e", 9: "#ff6b6b", 10: "#5fd38d", 11: "#f5c451", 12: "#7aa7ff", 14: "#5fe0e0"}

const (
	cellWidth, cellHeight = 8.4, 18.0
	plainText             = "#d5dae1"
)

// drawSVG draws text with SGR sequences (ECMA-48, section 8.3.117), one text element
// per run, so that columns stay in line whatever font there is.
func drawSVG(frame string, width, height int) string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace" font-size="14">`+"\n",
		float64(width+2)*cellWidth, float64(height+1)*cellHeight)
	b.WriteString(`<rect width="100%" height="100%" rx="8" fill="#14181d"/>` + "\n")
	for row, line := range strings.Split(frame, "\n") {
		column, fill, bold := 0, plainText, false
		for i, part := range strings.Split(line, "\x1b[") {
			if i > 0 { // codes up to an m, then text
				codes, text, _ := strings.Cut(part, "m")
				fill, bold = colour(codes, fill, bold)
				part = text
			}
			if strings.TrimSpace(part) != "" {
				weight := ""
				if bold {
					weight = ` font-weight="bold"`
				}
				n := utf8.RuneCountInString(part)
				fmt.Fprintf(&b, `<text xml:space="preserve" x="%.1f" y="%.1f" textLength="%.1f" fill="%s"%s>%s</text>`+"\n",
					float64(column+1)*cellWidth, float64(row+1)*cellHeight+4, float64(n)*cellWidth, fill, weight, html.EscapeString(part))
			}
			column += utf8.RuneCountInString(part)
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

func colour(codes, fill string, bold bool) (string, bool) {
	for c := range strings.SplitSeq(codes, ";") {
		switch n, _ := strconv.Atoi(c); {
		case n == 0:
			fill, bold = plainText, false
		case n == 1:
			bold = true
		case n >= 30 && n <= 37 && palette[n-30] != "":
			fill = palette[n-30]
		case n >= 90 && n <= 97 && palette[n-90+8] != "":
			fill = palette[n-90+8]
		}
	}
	return fill, bold
}
