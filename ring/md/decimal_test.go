package md

import (
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
)

// rat is the exact value of a decimal.
func rat(mant int64, exp int8) *big.Rat {
	r := new(big.Rat).SetInt64(mant)
	p := new(big.Rat).SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(exp, -exp))), nil))
	if exp == math.MinInt8 { // -exp overflows
		p.SetInt(new(big.Int).Exp(big.NewInt(10), big.NewInt(128), nil))
	}
	if exp < 0 {
		return r.Quo(r, p)
	}
	return r.Mul(r, p)
}

func TestParseDecimal(t *testing.T) {
	f := func(in string, mant int64, exp int8) {
		t.Helper()
		d, err := ParseDecimal([]byte(in))
		if err != nil || d != (Decimal{mant, exp}) {
			t.Errorf("%q: got %d e %d, %v; want %d e %d", in, d.Mant, d.Exp, err, mant, exp)
		}
	}
	f("61737.63000000", 6173763000000, -8)
	f("0", 0, 0)
	f("7", 7, 0)
	f("-5", -5, 0)
	f("+5", 5, 0)
	f("42", 42, 0)
	f("0.5", 5, -1)
	f("0.00", 0, -2)
	f("-0.00", 0, -2)
	f("1.5", 15, -1)
	f(".5", 5, -1)
	f("5.", 5, 0)
	f("1234", 1234, 0)
	f("1.23", 123, -2)
	f("12345.7", 123457, -1)
	f("12345678", 12345678, 0)
	f("1234567.", 1234567, 0)
	f(".1234567", 1234567, -7)
	f("12345678.", 12345678, 0)
	f("12345678.9", 123456789, -1)
	f("123456789.5", 1234567895, -1)
	f("1234567.89", 123456789, -2)
	f("0.00000011", 11, -8)
	f("1234567890123456", 1234567890123456, 0)
	f("123456789012345.", 123456789012345, 0)
	f("1234567.90123456", 123456790123456, -8)
	f("00000000000000001", 1, 0)
	f("12345678901234567", 12345678901234567, 0)
	f("9223372036854775807", math.MaxInt64, 0)
	f("-9223372036854775807", -math.MaxInt64, 0)
	f("92233720368.54775807", math.MaxInt64, -8)
	f("1e-7", 1, -7)
	f("1.1e-7", 11, -8)
	f("1.1E+03", 11, 2)
	f("1.10e-7", 110, -9)
	f("0e999999", 0, 0)
	f("0e-999999", 0, -128)
	f("1e127", 1, 127)
	f("1e130", 1000, 127)
	f("1e145", 1e18, 127)
	f("1e-128", 1, -128)
	f("10e-129", 1, -128)
	// Too many digits only because of trailing zeros: as many are kept as fit.
	f("100000000000000000000", 1e18, 2)
	f("61737.6300000000000000000000", 6173763000000000000, -14)
	f("0."+strings.Repeat("0", 100)+"1", 1, -101)
	f("1"+strings.Repeat("0", 140), 1e18, 122)
}

func TestParseDecimalErrors(t *testing.T) {
	f := func(in string, want error) {
		t.Helper()
		if d, err := ParseDecimal([]byte(in)); !errors.Is(err, want) {
			t.Errorf("%q: got %v, %v; want %v", in, d, err, want)
		}
	}
	for _, in := range []string{"", "-", "+", ".", "-.", "e5", "1e", "1e+", "1.2.3", "1..2", "--1", "+-1", " 1",
		"1 ", "1,5", "0x10", "1_000", "NaN", "Infinity", "null", "\"1\"", "1e5.", "12345678x", "1.2.3.4.5",
		"123456789012345/", "12345:78", "1e-", "....", "1234.678.0", "\x00\x00\x00\x00"} {
		f(in, ErrSyntax)
	}
	for _, in := range []string{"9223372036854775808", "-9223372036854775808", "12345678901234567891",
		"1e146", "1e-129", "1.5e-128", "0.12345678901234567891", "1e99999999999999999999999"} {
		f(in, ErrRange)
	}
}

var numberText = regexp.MustCompile(`^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$`)

// FuzzParseDecimal compares with math/big: what is accepted is exact, what is
// refused is no number or really does not fit.
func FuzzParseDecimal(f *testing.F) {
	for _, s := range []string{"61737.63000000", "-1.1e-7", "9223372036854775808", "1234567.89012345", ".", "12.4:6789",
		"100000000000000000000", "0.00000000000000000000000001", "1e127", "5.", "1.e5", "12345678.12345678"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := ParseDecimal(b)
		if errors.Is(err, ErrSyntax) != !numberText.Match(b) {
			t.Fatalf("%q: %v", b, err)
		}
		if err == nil && d.Mant == Absent {
			t.Fatalf("%q: the mark of an absent number", b)
		}
		at := strings.IndexAny(string(b), "eE")
		if at >= 0 && len(b)-at > 6 || errors.Is(err, ErrSyntax) {
			return // math/big would build the number in full
		}
		want, ok := new(big.Rat).SetString(string(b))
		if !ok {
			t.Fatalf("%q: math/big does not read it", b)
		}
		if err == nil {
			if rat(d.Mant, d.Exp).Cmp(want) != 0 {
				t.Fatalf("%q: got %v", b, d)
			}
			return
		}
		if fits(want) {
			t.Fatalf("%q: refused, but fits", b)
		}
	})
}

// fits reports whether some mantissa and exponent give r exactly.
func fits(r *big.Rat) bool {
	for exp := math.MinInt8; exp <= math.MaxInt8; exp++ {
		m := new(big.Rat).Quo(r, rat(1, int8(exp)))
		if m.IsInt() && m.Num().IsInt64() && m.Num().Int64() != Absent {
			return true
		}
	}
	return false
}

func TestAppendDecimal(t *testing.T) {
	f := func(mant int64, exp int8, short, fixed string) {
		t.Helper()
		if got := string(AppendDecimal([]byte("x"), mant, exp)); got != "x"+short {
			t.Errorf("AppendDecimal(%d, %d) = %q, want %q", mant, exp, got, "x"+short)
		}
		if got := string(AppendFixed([]byte("x"), mant, exp)); got != "x"+fixed {
			t.Errorf("AppendFixed(%d, %d) = %q, want %q", mant, exp, got, "x"+fixed)
		}
	}
	f(6412345000000, -8, "64123.45", "64123.45000000")
	f(11, -8, "0.00000011", "0.00000011")
	f(-5, 0, "-5", "-5")
	f(0, 0, "0", "0")
	f(0, -8, "0", "0.00000000")
	f(0, 5, "0", "0")
	f(100, -2, "1", "1.00")
	f(-100, -2, "-1", "-1.00")
	f(-10, -2, "-0.1", "-0.10")
	f(12, 2, "1200", "1200")
	f(1200, 0, "1200", "1200")
	f(1000, -1, "100", "100.0")
	f(99999999, -8, "0.99999999", "0.99999999")
	f(100000000, -8, "1", "1.00000000")
	f(math.MaxInt64, -18, "9.223372036854775807", "9.223372036854775807")
	f(math.MaxInt64, -19, "0.9223372036854775807", "0.9223372036854775807")
	f(math.MaxInt64, -20, "0.09223372036854775807", "0.09223372036854775807")
	f(math.MinInt64, 0, "-9223372036854775808", "-9223372036854775808")
	f(1, -128, "0."+strings.Repeat("0", 127)+"1", "0."+strings.Repeat("0", 127)+"1")
	f(1, 127, "1"+strings.Repeat("0", 127), "1"+strings.Repeat("0", 127))
}

// randDecimal favours short numbers and the edges.
func randDecimal(r *rand.Rand) (int64, int8) {
	m := r.Int64() >> r.IntN(64)
	if r.IntN(4) == 0 {
		m *= int64(pow10[r.IntN(19)])
	}
	if r.IntN(2) == 0 {
		m = -m
	}
	if r.IntN(3) == 0 {
		return m, int8(r.IntN(256) - 128)
	}
	return m, int8(r.IntN(20) - 12)
}

func TestDecimalAgainstBig(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 40_000 {
		m, e := randDecimal(r)
		want := rat(m, e)
		short := AppendDecimal(nil, m, e)
		got, ok := new(big.Rat).SetString(string(short))
		if !ok || got.Cmp(want) != 0 {
			t.Fatalf("AppendDecimal(%d, %d) = %q", m, e, short)
		}
		if strings.Contains(string(short), ".") && short[len(short)-1] == '0' {
			t.Fatalf("AppendDecimal(%d, %d) = %q is not the shortest", m, e, short)
		}
		fixed := AppendFixed(nil, m, e)
		if d, err := ParseDecimal(fixed); m != Absent && e < 0 && (err != nil || d != (Decimal{m, e})) {
			t.Fatalf("AppendFixed(%d, %d) = %q reads back as %v, %v", m, e, fixed, d, err)
		}
		m2, e2 := randDecimal(r)
		if r.IntN(3) == 0 { // often the same value at another exponent
			if v, ok := Rescale(m, e, e2); ok {
				m2 = v + int64(r.IntN(3)-1)
			}
		}
		if c := Cmp(m, e, m2, e2); c != want.Cmp(rat(m2, e2)) {
			t.Fatalf("Cmp(%d, %d, %d, %d) = %d", m, e, m2, e2, c)
		}
		v, ok := Rescale(m, e, e2)
		exact := new(big.Rat).Quo(want, rat(1, e2))
		possible := exact.IsInt() && exact.Num().IsInt64() && exact.Num().Int64() != Absent
		if ok != possible && m != Absent || ok && rat(v, e2).Cmp(want) != 0 {
			t.Fatalf("Rescale(%d, %d, %d) = %d, %v", m, e, e2, v, ok)
		}
		if s := (Decimal{m, e}).Strip(); rat(s.Mant, s.Exp).Cmp(want) != 0 || s.Mant != 0 && s.Mant%10 == 0 && s.Exp < 127 {
			t.Fatalf("Strip(%d, %d) = %v", m, e, s)
		}
	}
}

func TestDecimalAllocs(t *testing.T) {
	in, buf := []byte("61737.63000000"), make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() {
		d, _ := ParseDecimal(in)
		d2, _ := ParseDecimal([]byte("1.1e-7"))
		buf = AppendDecimal(buf[:0], d.Mant, d.Exp)
		buf = AppendFixed(buf, d2.Mant, d2.Exp)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
