package main

import (
	"fmt"
	"reflect"
	"strings"
)

// keyDoc describes one key of the configuration file. docs/configuration.md is
// made of these, and a test wants one for every key that the structs have.
type keyDoc struct {
	key string // path; [] stands for any entry of a list
	def string // what holds where the key is left out
	rng string // what is allowed, "" where the type says it
	doc string
}

// configDocs are all keys, each after those of its table.
func configDocs() []keyDoc {
	var out []keyDoc
	for _, part := range [][]keyDoc{topDocs, feedDocs, wayDocs, credentialDocs, ringDocs, memoryDocs, allowDocs, limitDocs, tlsDocs, authDocs, rawDocs, rawRecordDocs, recordDocs, pastDocs, busDocs, xdpDocs, dpdkDocs} {
		out = append(out, part...)
	}
	return out
}

var topDocs = []keyDoc{
	{"relay", "`relay`", "1 to 64 of `A-Z a-z 0-9 - _`", "name of this relay; its rings are in `/dev/shm/tickrelay/<relay>/`"},
	{"listen", "`127.0.0.1:8080`", "HOST:PORT", "address of WebSocket, HTTP API and page"},
	{"transport", "`kernel`", "`kernel`, `dpdk`", "network stack; `dpdk` needs a block `dpdk:`, see [dpdk.md](dpdk.md)"},
	{"dpdk", "none", "", "the port that carries feeds, REST, names and the gateway with `transport: dpdk`, see [below](#dpdk)"},
	{"socket", "`/run/tickrelay/<relay>.sock`, else below `$XDG_RUNTIME_DIR`", "", "control socket on which strategies attach, and which `reload` and `top` ask"},
	{"group", "none", "name or number", "group that may open the rings and the control socket; without it only the relay's user"},
	{"cpu_latency_us", "not held", "0 to 1,000,000 µs", "hold `/dev/cpu_dma_latency` at so many microseconds while the relay runs; `0` keeps idle CPUs out of states that wake slowly; needs root or permission on the device; see [tuning.md](tuning.md)"},
	{"allow", "nobody", "", "who may attach over the control socket besides the relay's user, root and `group`, see [below](#allow)"},
	{"memory", "whatever comes", "", "of the rings, see [below](#memory)"},
	{"feeds", "required, but for hosts with `bus`", "", "feeds, see [below](#feeds); topics of feeds must not overlap"},
	{"rings", "none", "", "rings opened by path alone, see [below](#rings)"},
	{"bus", "none", "", "records from and to other hosts, see [below](#bus) and [bus.md](bus.md)"},
	{"xdp", "none", "", "packet filter that `tickrelay xdp attach` has put in front of the gateway, see [below](#xdp) and [xdp.md](xdp.md)"},
	{"limits", "see below", "", "what clients of the gateway may cost, see [below](#limits)"},
	{"raw", "none", "", "venues whose own frames the gateway passes through, see [below](#raw) and [passthrough.md](passthrough.md)"},
	{"record_raw", "nothing", "", "what is recorded of the feeds as it came, see [below](#record_raw) and [replay.md](replay.md)"},
	{"record", "none", "", "records to write to Parquet files, see [below](#record) and [recording.md](recording.md)"},
	{"replay", "none", "", "recording of which clients may replay windows, see [below](#replay) and [websocket.md](websocket.md#the-past)"},
	{"metrics", "none", "HOST:PORT", "address of `/metrics` in a process with `--feeds-only`; see [processes.md](processes.md)"},
	{"auth", "everybody, to everything", "", "whom the gateway lets in, see [below](#auth)"},
	{"tls", "plain text", "", "TLS on the gateway's port, see [below](#tls) and [security.md](security.md)"},
	{"deflate", "`false`", "", "offer WebSocket clients compression (permessage-deflate); see [websocket.md](websocket.md#compression) for what it costs"},
	{"origins", "the gateway's own host", "origins, or `\"*\"`", "pages that may open a WebSocket: `[https://desk.example]`, or `[\"*\"]` for any"},
	{"proxy_protocol", "none", "addresses or networks", "proxies that are trusted to name their clients (PROXY protocol): `[10.0.0.2, 10.1.0.0/28]`; see [proxies.md](proxies.md)"},
}

var feedDocs = []keyDoc{
	{"feeds[].venue", "required", "see [venues.md](venues.md)", "exchange, as in topics"},
	{"feeds[].name", "the venue", "1 to 64 of `A-Z a-z 0-9 - _`", "name in logs, metrics and ring files; two feeds of one venue need names of their own"},
	{"feeds[].url", "the venue's", "`ws://` or `wss://`", "WebSocket address"},
	{"feeds[].rest", "the venue's", "`http://`, `https://` or `none`", "REST base; `none` for no REST (then no catalogue, and no book where the venue needs a REST snapshot)"},
	{"feeds[].instruments", "required", "symbols and patterns", "symbols `BASE-QUOTE` and patterns such as `*-USDT`; patterns need the venue's catalogue and follow new listings"},
	{"feeds[].channels", "`trades, book, bbo`", "as far as the venue has them", "`trades`, `book`, `bbo`, `ticker`, `funding`, `open_interest` …"},
	{"feeds[].lines", "`1`", "1 to 16", "redundant connections, spread over the addresses of the venue's name; see [below](#lines)"},
	{"feeds[].ways", "the feed's way", "one per line at most", "how the lines reach the venue"},
	{"feeds[].audit", "never", "10s or more", "how often each live book is compared with a fresh REST snapshot, such as `10m`, where the venue has them; a book that differs is broken (`gap`, reason `venue`) and built again"},
	{"feeds[].credentials", "none", "", "an account's keys at the venue, for market data that wants them"},
	{"feeds[].cpu", "not pinned", "0 or more", "processor that the hot loop is pinned to"},
	{"feeds[].signals", "no signals", "1 to 64", "levels that the channel `signals` takes from each book; see [signals.md](signals.md). Needs `book`"},
	{"feeds[].poll", "`block`", "`block`, `busy`", "`block` sleeps between frames; `busy` never sleeps and takes a whole processor; it is faster only where that processor is free for it"},
	{"feeds[].ca", "none", "PEM file", "authorities trusted beside the system's"},
	{"feeds[].cache", "none", "folder", "keeps the instrument catalogue for starts without it"},
}

var wayDocs = []keyDoc{
	{"feeds[].ways[].url", "the feed's", "`ws://` or `wss://`", "WebSocket address of this line"},
	{"feeds[].ways[].bind", "the host's choice", "IP address", "local address of this line"},
	{"feeds[].ways[].proxy", "none", "`http://[user:password@]host:port`", "proxy that tunnels this line by CONNECT"},
}

var credentialDocs = []keyDoc{
	{"feeds[].credentials.key", "none", "", "the account's key, best as `${VARIABLE}`"},
	{"feeds[].credentials.secret", "none", "", "its secret"},
	{"feeds[].credentials.passphrase", "none", "", "its passphrase, where the venue has one"},
	{"feeds[].credentials.key_file", "none", "file", "file with the key, instead of `key`"},
	{"feeds[].credentials.secret_file", "none", "file", "file with the secret"},
	{"feeds[].credentials.passphrase_file", "none", "file", "file with the passphrase"},
}

var ringDocs = []keyDoc{
	{"rings[].strategy", "required", "1 to 64 of `A-Z a-z 0-9 - _`", "who reads it; the files are `<strategy>-<feed>.data` and `.ctl`, one ring for each feed that may serve one of the topics; `<strategy>-bus-<venue>` for a venue that comes over the [bus](bus.md)"},
	{"rings[].topics", "required", "patterns", "`*` is one token, `>` the rest"},
	{"rings[].capacity", "`65536`", "a power of two, 1,024 to 67,108,864", "records of 64 bytes"},
	{"rings[].broadcast", "`false`", "", "any number of readers share the ring (`ring.OpenBroadcast`); see [ring.md](ring.md) for which to take"},
}

var memoryDocs = []keyDoc{
	{"memory.huge", "`false`", "", "reserved huge pages, for rings attached over the socket; see [ring.md](ring.md). What cannot be had is logged and done without"},
	{"memory.touch", "`false`", "", "fault every page in when a ring is made"},
	{"memory.lock", "`false`", "", "keep rings in memory (mlock)"},
	{"memory.node", "any", "-1 or more", "NUMA node of the rings; `-1`: that of the processor that makes them"},
}

var allowDocs = []keyDoc{
	{"allow.users", "none", "names or numbers", "users: `[alice, 1001]`"},
	{"allow.groups", "none", "names or numbers", "groups whose members may: `[quants]`"},
}

var limitDocs = []keyDoc{
	{"limits.conns_per_address", "no bound of its own", "1 or more", "WebSockets of one client address (IPv6: of one /64)"},
	{"limits.handshakes", "no bound", "1 or more", "new connections per second of all clients, HTTP included"},
	{"limits.handshakes_per_address", "no bound", "1 or more", "the same of one address"},
	{"limits.topics", "8192", "1 or more", "topics per connection, and as many patterns"},
	{"limits.message_bytes", "65536", "125 or more", "of a client's message"},
	{"limits.requests", "20", "1 or more", "requests per second and connection, bursts of 100"},
	{"limits.queue_messages", "1024", "8 or more", "messages that may wait for one connection"},
	{"limits.queue_bytes", "4194304", "4096 or more", "bytes that may"},
	{"limits.history_bytes", "67108864", "65536 or more", "memory of the messages that are kept for clients that come back, of all topics"},
	{"limits.candle_bytes", "268435456", "1048576 or more", "memory of all candles; beyond it the older half of a topic's bars goes before its day is over"},
	{"limits.ping_interval", "`30s`", "1s to 1h", "silence after which a WebSocket is pinged"},
}

var tlsDocs = []keyDoc{
	{"tls.cert", "plain text", "PEM file", "certificate and its chain. Files that change are taken up within 2 s"},
	{"tls.key", "plain text", "PEM file", "its private key"},
	{"tls.plain", "`false`", "", "serve plain text on the same port too"},
}

var authDocs = []keyDoc{
	{"auth.tokens", "none", "", "secrets that clients present as they are"},
	{"auth.tokens[].name", "required", "up to 64 printable characters", "who it is, for logs"},
	{"auth.tokens[].token_file", "one of the two is required", "file", "file with the secret: 16 to 4,096 characters of `A-Z a-z 0-9 - . _ ~`"},
	{"auth.tokens[].token_env", "one of the two is required", "name", "environment variable with the secret"},
	{"auth.tokens[].topics", "none", "patterns", "topics granted; `binance.raw.>` is Binance's own frames, which no wildcard covers"},
	{"auth.tokens[].metrics", "`false`", "", "grants `/metrics` and what `tickrelay top` shows"},
	{"auth.jwt", "none", "", "signed tokens (JSON Web Tokens) to believe"},
	{"auth.jwt.hs256_file", "none", "file", "shared secret of HS256, at least 32 bytes"},
	{"auth.jwt.hs256_env", "none", "name", "environment variable with it"},
	{"auth.jwt.public_key_file", "none", "PEM file", "RSA from 2,048 bits (RS256), P-256 (ES256) or Ed25519 (EdDSA)"},
	{"auth.jwt.jwks_file", "none", "file", "JSON Web Key Set with such keys"},
	{"auth.jwt.issuer", "not looked at", "", "what `iss` must be"},
	{"auth.jwt.audience", "not looked at", "", "what `aud` must be"},
	{"auth.jwt.leeway", "`0s`", "0s to 5m", "how far clocks may differ"},
	{"auth.jwt.topics_claim", "`topics`", "", "claim with the patterns granted"},
}

var rawDocs = []keyDoc{
	{"raw[].venue", "required", "see [passthrough.md](passthrough.md)", "venue whose own dialect is served below `/raw/<venue>/`"},
	{"raw[].url", "the venue's", "`ws://` or `wss://`", "its WebSocket address"},
}

var xdpDocs = []keyDoc{
	{"xdp.interface", "none", "", "interface that `xdp attach` was given; offenders are denied there, the filter's counters appear in `/metrics`"},
	{"xdp.deny_for", "`1m`", "1s to 24h", "for how long"},
	{"xdp.bpffs", "`/sys/fs/bpf`", "folder", "where the filter's maps are pinned"},
}

var dpdkDocs = []keyDoc{
	{"dpdk.device", "required", "", "PCI address (`0000:00:06.0`), or `af_xdp:IFACE`, `af_packet:IFACE`, `tap:NAME`, `memif:/PATH`"},
	{"dpdk.args", "none", "", "further arguments of the device, as DPDK's guide of the driver names them"},
	{"dpdk.addresses", "required", "addresses with prefix length", "the stack's own: one IPv4 and two IPv6 at most, IPv6 networks of /64"},
	{"dpdk.gateway", "the local network only", "one of each family", "next hop to all else"},
	{"dpdk.dns", "names of `/etc/hosts` only", "IP addresses", "name servers, asked over TCP (RFC 7766)"},
	{"dpdk.neighbours", "asked by ARP", "IPv4 address: hardware address", "fixed hardware addresses of neighbours: `{192.0.2.1: \"02:00:00:00:00:01\"}`"},
	{"dpdk.mtu", "1500", "576 to 9001", "of the whole path"},
	{"dpdk.queues", "1", "1 to 16", "queue pairs; the first feed has the first, the gateway the last; with fewer queues than loops they share"},
	{"dpdk.ports", "`[20000, 31999]`", "first and last", "local ports of dialled connections"},
	{"dpdk.shared", "`false`", "", "the kernel has the address too: only `ports` and the gateway's port are taken from it (af_xdp); needs the gateway in `neighbours`"},
	{"dpdk.listen", "`dpdk`", "`dpdk`, `kernel`", "who serves the gateway's port"},
	{"dpdk.max_connections", "4096", "1 to 1,048,576", "per stack; further ones are reset and counted"},
	{"dpdk.buffers", "16384", "2,048 to 1,048,576", "frame buffers of the port"},
	{"dpdk.trust_checksums", "`false`", "", "received checksums are not looked at: for virtual links whose sender leaves them to hardware"},
	{"dpdk.huge_pages", "`false`", "", "back DPDK's memory with huge pages; PCI devices need them"},
	{"dpdk.memory_mb", "256", "MiB", "DPDK's memory"},
	{"dpdk.cpu", "the first allowed", "0 or more", "processor of DPDK's own threads"},
}

// configKey is a key of the structs and the type of its value.
type configKey struct {
	key, typ string
}

// configKeys are the keys that the configuration's structs have, in their order.
func configKeys() []configKey {
	var out []configKey
	var walk func(prefix string, t reflect.Type)
	walk = func(prefix string, t reflect.Type) {
		for i := range t.NumField() {
			name := t.Field(i).Tag.Get("yaml")
			if name == "" {
				continue
			}
			ft := t.Field(i).Type
			out = append(out, configKey{prefix + name, typeName(ft)})
			sub := prefix + name
			for ft.Kind() == reflect.Pointer || ft.Kind() == reflect.Slice {
				if ft.Kind() == reflect.Slice {
					sub += "[]"
				}
				ft = ft.Elem()
			}
			if ft.Kind() == reflect.Struct {
				walk(sub+".", ft)
			}
		}
	}
	walk("", reflect.TypeFor[fileConfig]())
	return out
}

// typeName is a Go type as users of the file call it.
func typeName(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return typeName(t.Elem())
	case reflect.Slice:
		return "list of " + strings.Replace(typeName(t.Elem()), "block", "blocks", 1)
	case reflect.Map:
		return "text by text"
	case reflect.Struct:
		return "block"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	}
	return "whole number"
}

// explain tells of one key and of those below it.
func explain(key string) (string, error) {
	types := map[string]string{}
	var names []string
	for _, k := range configKeys() {
		types[k.key] = k.typ
		names = append(names, k.key)
	}
	var b strings.Builder
	plain := strings.NewReplacer("`", "", "[below]", "", "\\", "")
	for _, d := range configDocs() {
		if key != "" && d.key != key && !strings.HasPrefix(d.key, key+".") && !strings.HasPrefix(d.key, key+"[]") {
			continue
		}
		fmt.Fprintf(&b, "%s: %s\n    %s\n", d.key, types[d.key], plain.Replace(d.doc))
		fmt.Fprintf(&b, "    default: %s", plain.Replace(d.def))
		if d.rng != "" {
			fmt.Fprintf(&b, "; allowed: %s", plain.Replace(d.rng))
		}
		b.WriteString("\n")
	}
	if b.Len() == 0 {
		return "", usageError{fmt.Errorf("no key %q%s", key, suggest(key, names))}
	}
	return b.String(), nil
}
