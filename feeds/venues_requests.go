package feeds

import (
	"encoding/json"
	"slices"

	"tickrelay/feeds/jsonscan"
)

// requests appends text frames head + args, comma-separated + tail(id), each
// with at most maxArgs arguments and maxBytes bytes. Repeated arguments, from
// channels of ours that share one of the venue's, are sent once, those that others
// live from (Requests.Held) not at all. Head and argument name a stream.
func requests(dst [][]byte, args []string, head string, tail func(id int) string, rq *Requests, maxArgs, maxBytes int) [][]byte {
	return requestsOf(dst, args, head, "", tail, rq, maxArgs, maxBytes)
}

// requestsOf is requests where the channel, which names a stream with head and argument,
// stands in the tail.
func requestsOf(dst [][]byte, args []string, head, channel string, tail func(id int) string, rq *Requests, maxArgs, maxBytes int) [][]byte {
	args = slices.DeleteFunc(unique(args), func(a string) bool { return rq.Held(head + channel + a) })
	for len(args) > 0 {
		end := tail(rq.ID)
		frame := append([]byte(head), args[0]...)
		n := 1
		for n < len(args) && n < maxArgs && len(frame)+1+len(args[n])+len(end) <= maxBytes {
			frame = append(append(frame, ','), args[n]...)
			n++
		}
		dst = append(dst, append(frame, end...))
		rq.note(args[:n:n], func(id int, arg string) []byte { return []byte(head + arg + tail(id)) })
		args = args[n:]
		rq.ID++
	}
	return dst
}

// requestID reads the number of a request, bare or as a string, in the answer to
// it; 0 where there is something else.
func requestID(b []byte, i int) (id, next int) {
	if v, n := jsonscan.Uint(b, i); n >= 0 && v <= 1<<31 {
		return int(v), n
	}
	return 0, jsonscan.Skip(b, i)
}

// quoted is s as JSON.
func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		return `""`
	}
	return string(b)
}

// unique is args without repetitions, in place.
func unique(args []string) []string {
	seen := make(map[string]bool, len(args))
	kept := args[:0]
	for _, a := range args {
		if !seen[a] {
			seen[a] = true
			kept = append(kept, a)
		}
	}
	return kept
}

// gets are GET requests of the addresses.
func gets(urls ...string) []Request {
	reqs := make([]Request, len(urls))
	for i, u := range urls {
		reqs[i].URL = u
	}
	return reqs
}
