// Package capture reads recorded exchange sessions: NDJSON files, plain, .gz or
// .zst, one envelope or one raw frame per line, and the REST answers that stand
// beside them.
//
// It guarantees that every line is delivered exactly once and in order, that
// the bytes of a frame are those recorded, and that whatever is wrong names its
// file and line. A broken line does not end the file: the error is returned in
// its place and the next call goes on behind it.
//
// It does not interpret frames or sort lines by time, and it bounds nothing but
// the length of one line. Writer writes captures; Finish and Retain keep a folder
// of them in order.
//
//	x.ndjson[.gz|.zst]       {"recv_ns":N,"frame":"…"}           text frame
//	                         {"recv_ns":N,"frame_b64":"…"}       binary frame
//	                         {…,"conn":"c1","dir":"connect","url":"wss://…"}
//	                         {"e":"trade",…}                     the raw frame itself
//	x.rest.ndjson[.gz|.zst]  {"recv_ns":N,"url":"…","body":"…"}  REST answer
//
//	Open ──▶ Reader.Next ──▶ Line, Line, *Error, Line, … io.EOF
//	RESTFile ──▶ ReadREST ──▶ []Answer
//
// It starts no goroutine of its own (a decompressor may, until Close).
package capture
