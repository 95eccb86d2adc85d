package jsonscan

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"
)

// exact returns text in a slice without spare capacity.
func exact(text string) []byte {
	return append(make([]byte, 0, len(text)), text...)[:len(text):len(text)]
}

func TestNumber(t *testing.T) {
	f := func(text string, mant int64, exp int8) {
		t.Helper()
		for _, c := range [...]string{text, text + `","x":[1,2,3,4,5,6,7]}`} {
			for _, quote := range [...]string{`"`, ""} {
				in := quote + c
				if quote == "" {
					in = strings.TrimPrefix(c, text)
					in = text + strings.TrimPrefix(in, `"`)
				} else if c == text {
					in += `"`
				}
				m, e, n := Number(exact(in), 0)
				if m != mant || e != exp || n != len(text)+2*len(quote) {
					t.Errorf("Number(%s) = %d e%d, %d, want %d e%d", in, m, e, n, mant, exp)
				}
			}
		}
	}
	f("0", 0, 0)
	f("5", 5, 0)
	f("61737.63000000", 6173763000000, -8)
	f("61737.63", 6173763, -2)
	f("0.00000011", 11, -8)
	f("0.00000000", 0, -8)
	f("12345678.12345678", 1234567812345678, -8)
	f("123456789.12345678", 12345678912345678, -8)
	f("1.123456789", 1123456789, -9)
	f("99999999", 99999999, 0)
	f("100000000", 100000000, 0)
	f("-0.0001", -1, -4)
	f("-12", -12, 0)
	f("1e-7", 1, -7)
	f("1.10e-7", 110, -9)
	f("1.5E+3", 15, 2)
	f("9223372036854775807", math.MaxInt64, 0)
	f("-9223372036854775807", -math.MaxInt64, 0)
	f("922337203685.4775807", math.MaxInt64, -7)
	f("92233720368547.75807000000", 9223372036854775807, -5) // zeros that do not fit are left out
	f("12345678901234567890000000", 1234567890123456789, 7)
	f("0.000000000000000000000001", 1, -24)
	f("127000000.00000000", 12700000000000000, -8)
	f("-127345000.5", -1273450005, -1)
	f("0.0001699799259033", 1699799259033, -16)
	f("-0.000006459", -6459, -9)
	f("-0.0", 0, -1)
	f("123456789012345.123", 123456789012345123, -3)
	f("123456789012345.1234", 1234567890123451234, -4)
	f("1234567890123456", 1234567890123456, 0)
}

func TestNumberRefused(t *testing.T) {
	f := func(in string, want int) {
		t.Helper()
		for _, in := range [...]string{in, in + `,"x":"12345678"`} {
			if _, _, n := Number(exact(in), 0); n != want {
				t.Errorf("Number(%s) = %d, want %d", in, n, want)
			}
		}
	}
	for _, in := range [...]string{`""`, `"`, `"."`, `"-"`, `".5"`, `"5."`, `"5`, `"1.2.3"`, `"1 "`, `" 1"`,
		`"+1"`, `"0x10"`, `"1e"`, `"1e+"`, `"NaN"`, `null`, `true`, `.5`, `-`, `01`, `-01`, `00`, `00.5`, `[1]`, `"1\u0030"`} {
		f(in, Bad)
	}
	for _, in := range [...]string{"9223372036854775808", "-9223372036854775808", "12345678901234567891",
		"0.12345678901234567891", "76671.4381686055379793", "1e200", "1e-200", "1e99999999999999999999", "99999999999999999999999999999999999999999"} {
		f(in, Range)
		f(`"`+in+`"`, Range)
	}
}

func TestPair(t *testing.T) {
	rest := `,["1.00000000","2.00000000"],["1.00000000","2.00000000"]]`
	f := func(text string, p, s int64, pe, se int8) {
		t.Helper()
		for _, in := range [...]string{text, text + rest} {
			gp, gs, gpe, gse, n := Pair(exact(in), 0)
			if gp != p || gs != s || gpe != pe || gse != se || n != len(text)-1 {
				t.Errorf("Pair(%s) = %de%d %de%d, %d", in, gp, gpe, gs, gse, n)
			}
		}
	}
	f(`["61737.63000000","0.50000000"]`, 6173763000000, 50000000, -8, -8)
	f(`["30242","12"]`, 30242, 12, 0, 0)
	f(`["30242.1","12.5"]`, 302421, 125, -1, -1)
	f(`["0.00006421","0.00000000"]`, 6421, 0, -8, -8)
	f(`["123456789.5","1"]`, 1234567895, 1, -1, 0)
	f(`["12345678","87654321"]`, 12345678, 87654321, 0, 0)
	f(`["1","0.123456789"]`, 1, 123456789, 0, -9)
	f(`[ "1" , "2"]`, 1, 2, 0, 0)
	f(`[61737.5,0]`, 617375, 0, -1, 0)
	for _, in := range [...]string{``, `[`, `[]`, `["1"]`, `["1",]`, `["",""]`, `["1","."]`, `["1.","2"]`, `[".1","2"]`,
		`["1","2.`, `["1" "2"]`, `{"1","2"}`, `["1.5x","2"]`, `["1","2x"]`, `["a","2"]`} {
		for _, in := range [...]string{in, in + rest} {
			if _, _, _, _, n := Pair(exact(in), 0); n >= 0 {
				t.Errorf("Pair(%s) = %d, want an error", in, n)
			}
		}
	}
}

func TestIntegers(t *testing.T) {
	for _, v := range [...]uint64{0, 1, 9, 10, 12345678, 123456789, 50093247956, 1723161276318, 1723161276318123,
		1234567890123456, 1235670809402884097, math.MaxInt64, math.MaxUint64} {
		text := strconv.FormatUint(v, 10)
		for _, in := range [...]string{text, `"` + text + `"`, text + "}            "} {
			if got, n := Uint(exact(in), 0); got != v || n != len(strings.TrimRight(in, "} ")) {
				t.Errorf("Uint(%s) = %d, %d", in, got, n)
			}
		}
		got, n := Int(exact("-"+text), 0)
		if ok := v <= math.MaxInt64; ok && (got != -int64(v) || n != len(text)+1) || !ok && n != Range {
			t.Errorf("Int(-%s) = %d, %d", text, got, n)
		}
	}
	for in, want := range map[string]int{`18446744073709551616`: Range, `99999999999999999999999`: Range, `""`: Bad,
		`01`: Bad, `"1`: Bad, `x`: Bad, ``: Bad, `-1`: Bad, `"1.5"`: Bad} {
		if _, n := Uint(exact(in), 0); n != want {
			t.Errorf("Uint(%s) = %d, want %d", in, n, want)
		}
	}
}

func TestTime(t *testing.T) {
	for in, want := range map[string]int64{
		`1723161276318`: 1723161276318e6, `"1723161276318"`: 1723161276318e6,
		`1723161276318123`: 1723161276318123e3, `1723161276318123456`: 1723161276318123456, `0`: 0,
	} {
		if got, n := Time(exact(in), 0); got != want || n != len(in) {
			t.Errorf("Time(%s) = %d, %d", in, got, n)
		}
	}
	if _, n := Time(exact(`18446744073709551615`), 0); n != Range {
		t.Errorf("a time beyond int64 gives %d", n)
	}
}

func TestMillis(t *testing.T) {
	for in, want := range map[string]int64{
		`"1763842101120.4578"`: 1763842101120457800, `1763842101120.4578`: 1763842101120457800, `"1763842101120"`: 1763842101120e6,
		`"1763842101.123456789"`: 1763842101123456, `"9200000000000.999999"`: 9200000000000999999, `"1763842101120.0"`: 1763842101120e6, `0`: 0, `"1.5"`: 1500000,
		`1763842101120`: 1763842101120e6, `"1e3"`: 1e9,
	} {
		for _, tail := range [...]string{"", `,"more":"of the same frame"}`} {
			got, n := Millis(exact(in+tail), 0)
			if got != want || n != len(in) {
				t.Errorf("Millis(%s) = %d, %d, want %d", in, got, n, want)
			}
		}
	}
	for in, want := range map[string]int{`""`: Bad, `null`: Bad, `"1763842101120.x"`: Bad, `"1763842101120.12`: Bad, `"-1.5"`: Range,
		`"1e30"`: Range, `"1763842101120.12345678912"`: Range, `"9300000000000.5"`: Range, `"x"`: Bad} {
		if _, n := Millis(exact(in+`,"more":"of the same frame"`), 0); n != want {
			t.Errorf("Millis(%s) gives %d, want %d", in, n, want)
		}
	}
}

func TestID(t *testing.T) {
	if id, text, n := ID(exact(`"1235670809402884097"`), 0); id != 1235670809402884097 || text != nil || n != 21 {
		t.Errorf("decimal id: %d %q %d", id, text, n)
	}
	// FNV-1a of "a" is a published vector.
	if id, text, n := ID(exact(`"a"`), 0); id != 0xaf63dc4c8601ec8c || string(text) != "a" || n != 3 {
		t.Errorf("text id: %x %q %d", id, text, n)
	}
	if id, text, _ := ID(exact(`"18446744073709551616"`), 0); len(text) != 20 || id == 0 {
		t.Errorf("id beyond uint64: %d %q", id, text)
	}
	for _, in := range [...]string{`""`, `null`, `[1]`, `"x`} {
		if _, _, n := ID(exact(in), 0); n >= 0 {
			t.Errorf("ID(%s) = %d", in, n)
		}
	}
}

func TestSkipDepth(t *testing.T) {
	for depth, ok := range map[int]bool{MaxDepth: true, MaxDepth + 1: false, 100000: false} {
		in := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		if n := Skip(exact(in), 0); (n == len(in)) != ok {
			t.Errorf("depth %d: %d", depth, n)
		}
	}
}

func TestFind(t *testing.T) {
	b := exact(`{"a":{"e":1},"s":"x\"e\":2", "e" : 3 }`)
	if got := Find(b, 0, "e"); len(got) == 0 || got[0] != '3' {
		t.Errorf("Find = %q", got)
	}
	if got := Find(b, 0, "z"); got != nil {
		t.Errorf("Find = %q, want nil", got)
	}
}

func TestMember(t *testing.T) {
	texts := []string{"a", "sixsix", "sevenxx", "twelvetwelve", "thirteenthirt", "ts"}
	names := Names(texts...)
	for want, name := range texts {
		for _, in := range [...]string{`"` + name + `":1}`, `"` + name + `":1} `, `"` + name + `":1,"padding":"and more of it"}`,
			`"` + name + `" : 1}`} {
			if k, n := First(exact("{"+in), 0, names); k != want || n != strings.IndexByte(in, '1')+1 {
				t.Errorf("First(%s) = %d, %d", in, k, n)
			}
			for _, in := range [...]string{"," + in, " , " + in} {
				for from := range names {
					k, n := Member(exact(in), 0, names, from)
					if k != want || n != strings.IndexByte(in, '1') {
						t.Errorf("Member(%s, %d) = %d, %d", in, from, k, n)
					}
					if n := names[from].After(exact(in), 0); n >= 0 && (from != want || n != strings.IndexByte(in, '1')) {
						t.Errorf("%q.After(%s) = %d", names[from].text, in, n)
					}
				}
			}
		}
	}
	zero := string(make([]byte, 40))
	for in, want := range map[string]int{`,"b":1,"padding":"and more of it"`: 5, `,"ax":1,"padding":"and more of it"`: 6,
		`,"a`: Bad, `,"a"`: Bad, `,x"a":1,"padding":"and more of it"`: Bad, zero: Bad, `,"\"":1,"padding":"and more"`: 6} {
		for from := range names {
			if k, n := Member(exact(in), 0, names, from); n != want || k != -1 && k != Closed {
				t.Errorf("Member(%q, %d) = %d, %d", in, from, k, n)
			}
		}
	}
	for in, want := range map[string]int{`}`: 1, ` } `: 2, ``: Bad, `]`: Bad} {
		if k, n := Member(exact(in), 0, names, 0); k != Closed || n != want {
			t.Errorf("Member(%q) = %d, %d", in, k, n)
		}
	}
}

// TestMemberOrders walks objects in a usual order and in others: the fields are
// the same.
func TestMemberOrders(t *testing.T) {
	names := Names("type", "price", "size", "a_long_member_name").Or("size", "type", "more", "price").Or("type", "more")
	number := map[string]int{"type": 0, "price": 1, "size": 2, "a_long_member_name": 3, "more": 4, "unknown": -1}
	for _, order := range [...][]string{{"type", "price", "size", "a_long_member_name"}, {"size", "type", "more", "price"},
		{"type", "more", "unknown", "price"}, {"a_long_member_name", "size"}, {"unknown"}, {"more", "size", "a_long_member_name", "type"}} {
		for _, sep := range [...]string{"", " "} {
			text := "{"
			for k, name := range order {
				text += sep + `"` + name + `":` + sep + "1" + sep
				if k < len(order)-1 {
					text += ","
				}
			}
			b := exact(text + "}")
			k, at := First(b, 0, names)
			for _, name := range order {
				if k != number[name] || at < 0 || b[at] != '1' {
					t.Fatalf("%s: %q is %d at %d", b, name, k, at)
				}
				k, at = Member(b, at+1, names, k)
			}
			if k != Closed || at != len(b) {
				t.Errorf("%s: ends with %d at %d", b, k, at)
			}
		}
	}
	before := Names("a", "b")
	_ = before.Or("b", "a")
	if before[1].ways != 0 {
		t.Error("Or changes the list that it adds to")
	}
}

// FuzzScan holds Skip to encoding/json on validity, and the walk by Open, Key,
// Next to Skip.
func FuzzScan(f *testing.F) {
	for _, s := range [...]string{`{}`, `[]`, `{"a":[1,2.5,-0e+1,"x\"\u00e9",null,true,false,{"b":{}}]}`, ` [ 1 , {"k" : "v"} ] `,
		`{"a":}`, `[1,]`, `{"a":1,}`, `"\x"`, `01`, `1.`, `-`, "\"\x01\"", `{"a" 1}`, `nul`,
		`{"t":"2026-08-09T21:05:48.228568804Z","u":"2026-08-09T21:05:48.228Z","ms":"1763842100123.456789","n":-123456789.123456789}`, `[[[[]]]]`, "\"é\"", `{"":""}`, `"\ud800"`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		b := exact(string(in))
		n := Skip(b, Space(b, 0))
		if n > len(b) {
			t.Fatalf("Skip reads to %d of %d", n, len(b))
		}
		if valid := n >= 0 && End(b, n); valid != json.Valid(b) && deepest(b) <= MaxDepth {
			t.Fatalf("valid %v, encoding/json says %v: %q", valid, !valid, b)
		}
		if i := walk(b, Space(b, 0), 0); n >= 0 && i != n {
			t.Fatalf("the walk ends at %d, Skip at %d: %q", i, n, b)
		} else if n < 0 && i >= 0 {
			t.Fatalf("the walk accepts what Skip refuses: %q", b)
		}
		for i := range b {
			checkValue(t, b, i)
		}
	})
}

func deepest(b []byte) (most int) {
	depth := 0
	for _, c := range b {
		switch c {
		case '{', '[':
			if depth++; depth > most {
				most = depth
			}
		case '}', ']':
			depth--
		}
	}
	return most
}

func walk(b []byte, i, depth int) int {
	if i >= len(b) || depth > MaxDepth {
		return Bad
	}
	open := b[i]
	if open != '{' && open != '[' {
		return Skip(b, i)
	}
	i, more := Open(b, i, open)
	for more {
		if open == '{' {
			if _, i = Key(b, i); i < 0 {
				return i
			}
		}
		if i = walk(b, i, depth+1); i < 0 {
			return i
		}
		i, more = Next(b, i, open)
	}
	if depth >= MaxDepth {
		return Bad
	}
	return i
}

// checkValue holds the typed readers at i to what Skip and strconv say.
func checkValue(t *testing.T, b []byte, i int) {
	end := Skip(b, i)
	m, e, n := Number(b, i)
	if n >= 0 && n != end {
		t.Fatalf("Number at %d ends at %d, the value at %d: %q", i, n, end, b)
	}
	if n >= 0 {
		text := strings.Trim(string(b[i:n]), `"`)
		want, err := strconv.ParseFloat(text, 64)
		got := float64(m) * math.Pow(10, float64(e))
		if err == nil && math.Abs(got-want) > 1e-9*math.Abs(want)+1e-300 && e > -100 {
			t.Fatalf("Number(%q) = %d e%d", text, m, e)
		}
	}
	if v, n := Uint(b, i); n >= 0 {
		if want, err := strconv.ParseUint(strings.Trim(string(b[i:n]), `"`), 10, 64); err != nil || v != want {
			t.Fatalf("Uint(%q) = %d", b[i:n], v)
		}
	}
	if i < len(b) && b[i] != '"' {
		if m2, e2, n2 := number(b, i, true); m != m2 || e != e2 || n != n2 {
			t.Fatalf("Number at %d: %d %d %d, digit by digit %d %d %d: %q", i, m, e, n, m2, e2, n2, b)
		}
	}
	if m2, e2, n2 := numberSlow(b, i); m != m2 || e != e2 || n != n2 {
		t.Fatalf("Number at %d: %d %d %d, slow %d %d %d: %q", i, m, e, n, m2, e2, n2, b)
	}
	v, n := Uint(b, i)
	if v2, n2 := uintSlow(b, i); v != v2 || n != n2 {
		t.Fatalf("Uint at %d: %d %d, slow %d %d: %q", i, v, n, v2, n2, b)
	}
	ns, n := Time(b, i)
	if ns2, n2 := timeSlow(b, i); ns != ns2 || n != n2 {
		t.Fatalf("Time at %d: %d %d, slow %d %d: %q", i, ns, n, ns2, n2, b)
	}
	ns, n = Millis(b, i)
	if ns2, n2 := millisSlow(b, i); ns != ns2 || n != n2 {
		t.Fatalf("Millis at %d: %d %d, slow %d %d: %q", i, ns, n, ns2, n2, b)
	}
	ns, n = ISOTime(b, i)
	if ns2, n2 := isoTimeSlow(b, i); ns != ns2 || n != n2 {
		t.Fatalf("ISOTime at %d: %d %d, slow %d %d: %q", i, ns, n, ns2, n2, b)
	}
	p, s, pe, se, n := Pair(b, i)
	p2, s2, pe2, se2, n2 := pairSlow(b, i)
	if p != p2 || s != s2 || pe != pe2 || se != se2 || n != n2 {
		t.Fatalf("Pair at %d: %d %d %d %d %d, slow %d %d %d %d %d: %q", i, p, s, pe, se, n, p2, s2, pe2, se2, n2, b)
	}
}

func TestNoAllocations(t *testing.T) {
	b := exact(`{"s":"BTCUSDT","t":"a-b","n":-1.5e3,"b":[["61737.63000000","0.5"]],"x":{"y":[null]}}`)
	if n := testing.AllocsPerRun(100, func() {
		if walk(b, 0, 0) < 0 {
			t.Fatal("refused")
		}
		checkValue(t, b[:0], 0)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
