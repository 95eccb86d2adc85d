package feeds

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// FuzzRerun: a raw recording may hold anything; it is refused or run, the same way
// each time, and never ends the process.
func FuzzRerun(f *testing.F) {
	head := `{"recv_ns":1700000000000000000,"dir":"session","data":{"version":1,"venue":"okx","feed":"okx","epoch":"1700000000000000000","part":1,"engine":{"instruments":["BTC-USDT"],"channels":["trades","book","bbo"],"rest":"http://x","slots":2,"silence_ns":60000000000,"retry_ns":1000000000,"catalogues":1}}}` + "\n"
	f.Add([]byte(head + `{"recv_ns":1700000000000000001,"dir":"start"}
{"recv_ns":1700000000000000001,"dir":"instrument","data":{"id":3,"kind":1,"symbol":"BTC-USDT","native":"BTC-USDT","price_exp":-2,"size_exp":-4,"tick":{"Mant":1,"Exp":-2},"lot":{"Mant":1,"Exp":-4},"contract_size":{"Mant":0,"Exp":0},"expiry":"0","generation":4}}
{"recv_ns":1700000000000000002,"conn":"0","dir":"connect","url":"ws://x"}
{"recv_ns":1700000000000000003,"conn":"0","frame":"{\"arg\":{\"channel\":\"trades\",\"instId\":\"BTC-USDT\"},\"data\":[{\"instId\":\"BTC-USDT\",\"tradeId\":\"1\",\"px\":\"1\",\"sz\":\"1\",\"side\":\"buy\",\"ts\":\"1700000000000\"}]}"}
{"recv_ns":1700000000000000004,"dir":"turn"}
{"recv_ns":1700000000000000005,"dir":"timer"}
{"recv_ns":1700000000000000006,"dir":"handover","data":{"from":0,"to":0}}
{"recv_ns":1700000000000000007,"dir":"select","data":{"instruments":["*"],"channels":["trades"]}}
{"recv_ns":1700000000000000007,"dir":"number","data":{"instrument":3,"channel":"book","seq":"5"}}
{"recv_ns":1700000000000000007,"dir":"rest","data":{"req":1,"url":"http://x","answer":4}}
{"recv_ns":1700000000000000007,"dir":"rest","data":{"list":0,"url":"http://x","error":"no"}}
{"recv_ns":1700000000000000007,"dir":"catalogue","data":{"lists":[0]}}
{"recv_ns":1700000000000000008,"conn":"0","dir":"close","reason":"cut"}
{"recv_ns":1600000000000000008,"dir":"step","data":{"by_ns":"-100000000000000000"}}
{"recv_ns":1700000000000000008,"dir":"giveup"}
{"recv_ns":1700000000000000008,"dir":"end"}
`))
	f.Add([]byte(`{"recv_ns":1,"dir":"session","data":{"version":2}}` + "\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "x.ndjson")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		var one, two bytes.Buffer
		_, err1 := Normalize(NormalizeConfig{Records: &one, Venue: nil}, []string{path})
		_, err2 := Normalize(NormalizeConfig{Records: &two, Venue: nil}, []string{path})
		if !bytes.Equal(one.Bytes(), two.Bytes()) || (err1 == nil) != (err2 == nil) {
			t.Errorf("two runs differ: %v, %v", err1, err2)
		}
	})
}
