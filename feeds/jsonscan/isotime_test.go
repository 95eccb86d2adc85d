package jsonscan

import (
	"testing"
	"time"
)

func TestIsoTime(t *testing.T) {
	for _, text := range []string{"2026-08-09T21:05:48.228568804Z", "2026-08-09T21:05:48Z", "1970-01-01T00:00:00.000000Z",
		"2024-02-29T23:59:59.9Z", "2000-02-29T12:00:00.5Z", "2100-03-01T00:00:00Z", "1999-12-31T23:59:59.123456Z",
		"2026-01-31T00:00:00Z", "2261-12-31T23:59:59.999999999Z", "2026-08-09T21:05:48+00:00"} {
		want, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		for _, tail := range [...]string{"", `,"more":"of the same frame"}`} {
			if ns, n := ISOTime(exact(`"`+text+`"`+tail), 0); ns != want.UnixNano() || n != len(text)+2 {
				t.Errorf("%s: %d, %d, want %d", text, ns, n, want.UnixNano())
			}
		}
	}
	if ns, n := ISOTime([]byte(`"0001-01-01T00:00:00Z"`), 0); ns != 0 || n != 22 {
		t.Errorf("a time that is none: %d, %d", ns, n)
	}
	for _, text := range []string{``, `"`, `null`, `"2026-08-09T21:05:48"`, `"2026-08-09T21:05:48.Z"`, `"2026-08-09T21:05:48.1234567890Z"`,
		`"2026-13-09T21:05:48Z"`, `"2026-00-09T21:05:48Z"`, `"2026-08-32T21:05:48Z"`, `"2026-08-00T21:05:48Z"`, `"2026-08-09T24:05:48Z"`,
		`"2026-08-09T21:60:48Z"`, `"2026-08-09T21:05:61Z"`, `"2026-08-09x21:05:48Z"`, `"2026_08-09T21:05:48Z"`, `"2026-08-09T21:05:48Z`,
		`"2026-08-09T21:05:48+01:00"`, `"2262-08-09T21:05:48Z"`, `"202a-08-09T21:05:48Z"`, `"2026-08-09T21:05:48.1`, `"2026-08-09T21:05:48.123456Zx"`} {
		for _, tail := range [...]string{"", `,1234567890}`} {
			if ns, n := ISOTime(exact(text+tail), 0); n != Bad {
				t.Errorf("%s: %d, %d", text+tail, ns, n)
			}
		}
	}
	for year := 1970; year < 2261; year++ {
		for _, md := range [][2]int{{1, 1}, {2, 28}, {3, 1}, {12, 31}} {
			want := time.Date(year, time.Month(md[0]), md[1], 0, 0, 0, 0, time.UTC).Unix() / 86400
			if got := days(int64(year), int64(md[0]), int64(md[1])); got != want {
				t.Fatalf("%d-%v is day %d, want %d", year, md, got, want)
			}
		}
	}
}
