package c_test

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"tickrelay/ring/book"
	"tickrelay/ring/md"
)

// failing runs a program that must fail by itself, not by a signal.
func failing(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if e, ok := err.(*exec.ExitError); !ok || e.ExitCode() != 1 {
		t.Errorf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// numbers are mantissas and exponents where arithmetic goes wrong, and others.
func numbers(n int) (out []md.Decimal) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, m := range []int64{0, 1, -1, 10, -10, 6412345, 100000, math.MaxInt64, -math.MaxInt64, 1 << 53, 1<<53 + 1, 9007199254740993} {
		for _, e := range []int8{0, -1, 1, -2, -8, -18, -19, -20, 18, 19, 22, 23, -22, -23, 127, -128} {
			out = append(out, md.Decimal{Mant: m, Exp: e})
		}
	}
	for range n {
		out = append(out, md.Decimal{Mant: rng.Int64() >> rng.IntN(63) * int64(1-2*rng.IntN(2)), Exp: int8(rng.IntN(40) - 20)})
	}
	return out
}

// TestDecimals holds text, double, comparison and rescaling against package md,
// in a program under the sanitizers and in one for arm64.
func TestDecimals(t *testing.T) {
	var ask, want bytes.Buffer
	in := numbers(3000)
	for i, d := range in {
		fmt.Fprintf(&ask, "text %d %d\n", d.Mant, d.Exp)
		text := md.AppendDecimal(nil, d.Mant, d.Exp)
		f, err := strconv.ParseFloat(fmt.Sprintf("%de%d", d.Mant, d.Exp), 64)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&want, "%s ok %x\n", text, math.Float64bits(f))
		o := in[(i*7+3)%len(in)]
		fmt.Fprintf(&ask, "cmp %d %d %d %d\n", d.Mant, d.Exp, o.Mant, o.Exp)
		fmt.Fprintf(&want, "%d\n", md.Cmp(d.Mant, d.Exp, o.Mant, o.Exp))
		b := book.Book{PriceExp: d.Exp}
		b.Set(md.SideBid, book.Level{Price: d.Mant, Size: 1})
		b.Set(md.SideAsk, book.Level{Price: o.Mant, Size: 1})
		fmt.Fprintf(&ask, "mid %d %d %d\n", d.Mant, o.Mant, d.Exp)
		fmt.Fprintf(&want, "%s right\n", b.AppendMid(nil))
		m, ok := md.Rescale(d.Mant, d.Exp, o.Exp)
		fmt.Fprintf(&ask, "rescale %d %d %d\n", d.Mant, d.Exp, o.Exp)
		if ok {
			fmt.Fprintf(&want, "1 %d\n", m)
		} else {
			fmt.Fprintf(&want, "0 0\n")
		}
	}
	for v := range 32 {
		fmt.Fprintf(&ask, "names %d\n", v)
		fmt.Fprintf(&want, "%s %s %s\n", md.Venue(v), md.Channel(v), md.GapReason(v))
	}
	// A new epoch of its venue empties a book, one of another venue does not.
	fmt.Fprintf(&ask, "beat 1 1\nbeat 1 2\n")
	fmt.Fprintf(&want, "0\n1\n")
	check := func(t *testing.T, args ...string) {
		got := strings.Split(strings.TrimSpace(run(t, ask.Bytes(), args[0], args[1:]...)), "\n")
		questions := strings.Split(strings.TrimSpace(ask.String()), "\n")
		for i, w := range strings.Split(strings.TrimSpace(want.String()), "\n") {
			if i >= len(got) || floatBits(got[i]) != w {
				t.Fatalf("%s: got %q, want %q", questions[i], got[min(i, len(got)-1)], w)
			}
		}
	}
	t.Run("gcc sanitized", func(t *testing.T) {
		check(t, compile(t, "gcc", "test/calc.c", "-std=c11", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"))
	})
	t.Run("clang++", func(t *testing.T) { check(t, compile(t, "clang++", "test/calc.c", "-std=c++17", "-O2")) })
	t.Run("arm64", func(t *testing.T) { check(t, arm64(t, "test/calc.c")...) })
}

// floatBits replaces the hexadecimal float at the end of a line by its bits.
func floatBits(line string) string {
	head, tail, ok := strings.Cut(line, " ok ")
	if !ok {
		return line
	}
	f, err := strconv.ParseFloat(tail, 64)
	if err != nil {
		return line
	}
	return fmt.Sprintf("%s ok %x", head, math.Float64bits(f))
}

// TestAnswers: the reader of the relay's lines takes what it must and refuses
// what is no JSON, without reading a byte too far.
func TestAnswers(t *testing.T) {
	bin := compile(t, "gcc", "test/calc.c", "-std=c11", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
	good := `{"op":"attached","relay":"r","dir":"/d\u003c\u00e9\ud83d\ude00\"","table":true,"new":[{"a":[1,-2.5e3,null]},"x"],"eventfd":true,` +
		`"topics":["okx.>","a.b.c"],"rings":[{"name":"one","capacity":64},{"later":{},"name":"two"}]}`
	cases := map[string]string{
		good: `1|attached||/d<é😀"|1|1|2|two|okx.> a.b.c`,
		`{"op":"error","code":"bad_topic","message":"no \"x\"\n","nearest":["a"]}`: "1|error|no \"x\"\n||0|0|0||",
		` { } `: "1|||||",
	}
	for _, bad := range []string{``, `{`, `[]`, `{"op"}`, `{"op":}`, `{"op":"a"`, `{"op":"a"}x`, `{"op":"\x"}`, `{"op":"\ud800"}`, `{"op":"\udc00"}`,
		`{"op":"\u12"}`, `{"table":1}`, `{"rings":[}`, `{"rings":{}}`, `{"x":` + strings.Repeat("[", 60) + strings.Repeat("]", 60) + `}`, `{"op":"a",}`, `{,}`} {
		cases[bad] = "0|"
	}
	for i := range len(good) {
		cases[good[:i]] = "0|"
	}
	for in, want := range cases {
		got := run(t, []byte("json "+in+"\n"), bin)
		if !strings.HasPrefix(got, "0|") && want == "0|" || want != "0|" && !strings.HasPrefix(got, strings.TrimSuffix(want, "|||||")) {
			t.Errorf("%s:\n got %q\nwant %q", in, got, want)
		}
	}
	// Mutations: nothing to compare with but the sanitizers and, roughly, valid.
	rng := rand.New(rand.NewPCG(5, 6))
	var lines bytes.Buffer
	for range 20000 {
		b := []byte(good)
		for range 1 + rng.IntN(4) {
			b[rng.IntN(len(b))] = `{}[]",:\u0e-x`[rng.IntN(13)]
		}
		fmt.Fprintf(&lines, "json %s\n", b)
	}
	run(t, lines.Bytes(), bin)
}
