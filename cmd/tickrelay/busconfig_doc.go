package main

// busDocs describe the keys of the block bus.
var busDocs = []keyDoc{
	{"bus.nats", "required", "", "the bus on NATS, the only kind"},
	{"bus.nats.url", "required", "`nats://`, `tls://`, `ws://`, `wss://`", "server, or several separated by commas; no password in it"},
	{"bus.nats.prefix", "none", "tokens separated by dots", "put before every subject, so that several installations share servers"},
	{"bus.nats.publish", "all topics", "patterns", "topics of this host's feeds that go on the bus"},
	{"bus.nats.subscribe", "none", "patterns that name their venue", "topics that come over the bus: `[\"binance.>\", \"okx.book.*\"]`; not of a venue that this host has a feed of"},
	{"bus.nats.lease", "`5s`", "1s to 5m, or `none`", "after how long without a word from a venue's leader another ingest takes over; `none`: nobody is asked, for servers without JetStream and one ingest per venue"},
	{"bus.nats.keyframe", "`30s`", "1s to 1h", "time between two unasked key-frames of a topic"},
	{"bus.nats.history", "`2m`", "1s to 24h", "how far back a gateway reads the stream at its start"},
	{"bus.nats.stream", "no history", "a name", "JetStream stream of the history; ingests make it if it is not there, and use it as it is if it is"},
	{"bus.nats.stream_age", "`history`", "1s to 365 days", "age of the oldest message of a stream that is made"},
	{"bus.nats.stream_bytes", "1 GiB", "1048576 or more", "most bytes of it"},
	{"bus.nats.stream_memory", "`false`", "", "keep it in the servers' memory instead of on disk"},
	{"bus.nats.replicas", "1", "1 to 5", "copies of the stream and of the leases, on as many servers"},
	{"bus.nats.user", "none", "", "user, with `password_file` or `password_env`"},
	{"bus.nats.password_file", "none", "file", "its first line is the password"},
	{"bus.nats.password_env", "none", "name of a variable", "environment variable that holds the password"},
	{"bus.nats.token_file", "none", "file", "its first line is the token"},
	{"bus.nats.token_env", "none", "name of a variable", "environment variable that holds the token"},
	{"bus.nats.creds_file", "none", "file", "JWT and seed, as `nsc` writes them"},
	{"bus.nats.nkey_file", "none", "file", "seed of a user nkey"},
	{"bus.nats.tls", "as the address says", "", "what is needed beside an address with `tls://`"},
	{"bus.nats.tls.ca", "the system's", "PEM file", "authorities of the servers"},
	{"bus.nats.tls.cert", "none", "PEM file", "our certificate, for servers that want one"},
	{"bus.nats.tls.key", "none", "PEM file", "its private key"},
}
