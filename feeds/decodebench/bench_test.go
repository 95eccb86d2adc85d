package decodebench

import (
	"testing"

	"tickrelay/ring/md"
)

// BenchmarkDecode is one frame by the venue's decoder and by the baseline, for
// profiles; the ratios are better read from Run, which takes turns.
func BenchmarkDecode(b *testing.B) {
	for _, v := range measured() {
		sets, err := frameSets(v, Config{Seed: 1})
		if err != nil {
			b.Fatal(err)
		}
		for _, s := range sets {
			all, err := readers(v, s.channel)
			if err != nil {
				b.Fatal(err)
			}
			for k, name := range [...]string{"ours", "fastjson"} {
				f := all[k].read
				b.Run(s.venue+"/"+s.channel.String()+"/"+name, func(b *testing.B) {
					var dst []md.Record
					for n := 0; b.Loop(); n++ {
						if dst, err = f(s.frames[n&63], dst[:0]); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}
