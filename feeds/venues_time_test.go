package feeds

import "testing"

func TestSeconds(t *testing.T) {
	for text, want := range map[string]int64{`"1618678123.481570"`: 1618678123481570000, `1618678123`: 1618678123e9,
		`"0.000000"`: 0, `1618678123.123456789 `: 1618678123123456789} {
		if ns, n := seconds([]byte(text), 0); ns != want || n < 0 {
			t.Errorf("%s: %d, %d", text, ns, n)
		}
	}
	for _, text := range []string{`"-1.5"`, `"1.1234567891"`, `"1618678123481570000"`, `""`, `null`} {
		if ns, n := seconds([]byte(text), 0); n >= 0 {
			t.Errorf("%s: %d", text, ns)
		}
	}
}
