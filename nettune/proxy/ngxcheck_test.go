package proxy

import (
	"strings"
	"testing"
	"time"
)

// head is what a location needs for the handshake; one line.
const head = "proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;"

var ngxCases = []struct {
	name  string
	conf  string // /etc/nginx.conf; the first line is line 1
	more  map[string]string
	o     CheckOptions
	want  string
	paths int // proxy_pass that were judged, if not 1
}{
	{name: "nothing set", conf: `http { server {
location / {
proxy_pass http://127.0.0.1:8080; } } }`,
		want: `:3 error proxy_http_version
			:3 error proxy_set_header Upgrade
			:3 error proxy_set_header Connection`},
	{name: "default read time-out is enough for 30 s", conf: `http { server { location / { ` + head + ` proxy_pass http://g; } } }`},
	{name: "default read time-out, slower pings", conf: "http { server { location / { " + head + "\nproxy_pass http://g; } } }",
		o: CheckOptions{PingInterval: time.Minute}, want: ":2 error proxy_read_timeout 60s (the default)"},
	{name: "a little slower", conf: "http { server { location / { " + head + "\nproxy_pass http://g; } } }",
		o: CheckOptions{PingInterval: 31 * time.Second}, want: ":2 warning proxy_read_timeout 60s (the default)"},
	{name: "read time-out of http", conf: "http {\nproxy_read_timeout 30s;\nserver { location / { " + head + " proxy_pass http://g; } } }",
		want: ":2 error proxy_read_timeout 30s"},
	{name: "nearer one wins", conf: "http { proxy_read_timeout 3s; server { proxy_read_timeout 4s; location / { proxy_read_timeout 1h; " + head + " proxy_pass http://g; } } }"},
	{name: "version 1.0", conf: "http { proxy_http_version 1.1; server { location / {\nproxy_http_version 1.0; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; proxy_pass http://g; } } }",
		want: ":2 error proxy_http_version 1.0"},
	{name: "headers inherited", conf: "http { server { " + head + " location / { proxy_pass http://g; } } }"},
	{name: "headers hidden", conf: "http { server {\n" + head + "\nlocation / {\nproxy_set_header Host $host; proxy_pass http://g; } } }",
		want: ":2 error proxy_set_header Upgrade $http_upgrade\n:2 error proxy_set_header Connection upgrade"},
	{name: "close", conf: "http { server { location / { proxy_http_version 1.1; proxy_set_header upgrade $http_upgrade;\nproxy_set_header connection close; proxy_pass http://g; } } }",
		want: ":2 error proxy_set_header connection close"},
	{name: "upgrade to something else", conf: "http { server { location / { proxy_http_version 1.1; proxy_set_header Connection upgrade;\nproxy_set_header Upgrade h2c; proxy_pass http://g; } } }",
		want: ":2 error proxy_set_header Upgrade h2c"},
	{name: "client's own Connection", conf: "http { server { location / { proxy_http_version 1.1; proxy_set_header Upgrade ${http_upgrade}; proxy_set_header Connection $http_connection; proxy_pass http://g; } } }"},
	{name: "map", conf: "http { map $http_upgrade $c { default upgrade; '' close; } server { location / { proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $c; proxy_pass http://g; } } }"},
	{name: "map the wrong way round", conf: "http { map $http_upgrade $c { default close; '' upgrade; } server { location / { proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;\nproxy_set_header Connection $c; proxy_pass http://g; } } }",
		want: ":2 error proxy_set_header Connection $c"},
	{name: "map with a regular expression", conf: `http { map $http_upgrade $c { default close; ~*^websocket$ "keep-alive, Upgrade"; } server { location / { proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $c; proxy_pass http://g; } } }`},
	{name: "map of a map, set", conf: `http { map $http_upgrade $a { websocket yes; } map $a $c { yes upgrade; } server { set $d $c; location / { proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $d; proxy_pass http://g; } } }`},
	{name: "maps in a circle", conf: "http { map $b $a { default $b; } map $a $b { default $a; } server { location / { proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;\nproxy_set_header Connection $a; proxy_pass http://g; } } }",
		want: ":2 warning proxy_set_header Connection $a"},
	{name: "unknown variable", conf: "http { server { location / { proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;\nproxy_set_header Connection $lua; proxy_pass http://g; } } }",
		want: ":2 warning proxy_set_header Connection $lua"},
	{name: "no request headers", conf: "http { server { location / { " + head + "\nproxy_pass_request_headers off; proxy_pass http://g; } } }",
		want: ":2 error proxy_pass_request_headers off"},
	{name: "delays", conf: "http {\ntcp_nodelay off;\nserver { location / { " + head + "\nproxy_send_timeout 5s;\nsend_timeout 9s; proxy_pass http://g; } } }",
		want: ":2 warning tcp_nodelay off\n:4 warning proxy_send_timeout 5s\n:5 warning send_timeout 9s"},
	{name: "not a time", conf: "http { server { location / { " + head + "\nproxy_read_timeout soon; proxy_pass http://g; } } }", want: ":2 error proxy_read_timeout soon"},
	{name: "exact location", conf: "http { server { location / { proxy_pass http://page; } location = /ws { " + head + " proxy_pass http://g; } } }"},
	{name: "longest prefix", conf: "http { server { location /w { proxy_pass http://page; } location /ws { " + head + " proxy_pass http://g; } location / { proxy_pass http://page; } } }"},
	{name: "regular expression wins", conf: "http { server { location /ws { proxy_pass http://page; } location ~* ^/WS$ { " + head + " proxy_pass http://g; } } }"},
	{name: "unless ^~", conf: "http { server { location ^~ /ws { " + head + " proxy_pass http://g; } location ~ /ws { proxy_pass http://page; } } }"},
	{name: "no blank after the modifier", conf: "http { server { location ~^/ws { " + head + " proxy_pass http://g; } location / { proxy_pass http://page; } } }"},
	{name: "nested", conf: "http { server { location / { proxy_pass http://page; location /ws { " + head + " proxy_pass http://g; } } } }"},
	{name: "meant elsewhere", conf: "http { server { location /feed/ { proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;\nproxy_pass http://g/; } } }",
		want: ":2 error proxy_http_version"},
	{name: "other path", conf: "http { server { location /feed { " + head + " proxy_pass http://g; } location / {\nproxy_pass http://g; } } }", o: CheckOptions{Path: "/feed/ws"}},
	{name: "try_files", conf: "http { server { location / { try_files $uri @gw; } location @gw { " + head + "\nproxy_read_timeout 5; proxy_pass http://g; } } }",
		want: ":2 error proxy_read_timeout 5"},
	{name: "try_files in a circle", conf: "http { server { location / { try_files $uri /a; } } }", want: ":1 warning /ws"},
	{name: "if", conf: "http { server { location / { " + head + " if ($a) {\nproxy_pass http://g; } } } }", o: CheckOptions{PingInterval: time.Minute}, want: ":2 error proxy_read_timeout 60s (the default)"},
	{name: "no proxy", conf: "http { server { location / { root /x; } } }", want: ":1 warning /ws"},
	{name: "two servers", conf: "http { server { server_name a; location / { " + head + " proxy_pass http://g; } } server { server_name b *.c; location / { " + head + " proxy_pass http://g; } } }", paths: 2},
	{name: "one by name", conf: "http { server { server_name a; location / { proxy_pass http://g; } } server { server_name b *.c; location / { " + head + " proxy_pass http://g; } } }", o: CheckOptions{ServerName: "x.C"}},
	{name: "one by upstream", conf: "http { upstream g { server localhost:8080; } server { location / { proxy_pass http://page; } } server { location / { " + head + " proxy_pass http://g; } } }", o: CheckOptions{Gateway: "127.0.0.1:8080"}},
	{name: "ports", conf: "http { server { location / { " + head + "\nproxy_pass http://g; } } }\nevents { worker_connections 100000; }", o: CheckOptions{MaxConns: 40000},
		want: ":2 warning proxy_pass http://g"},
	{name: "workers", conf: "worker_processes 2;\nevents {\nworker_connections 768; }\nhttp { server { location / { " + head + " proxy_pass http://g; } } }", o: CheckOptions{MaxConns: 1000},
		want: ":3 warning worker_connections 768"},
	{name: "workers by default", conf: "http { server { location / { " + head + " proxy_pass http://g; } } }\nevents { }", o: CheckOptions{MaxConns: 1000},
		want: ":2 warning worker_connections 512 (the default)"},
	{name: "reload", conf: "worker_shutdown_timeout 10s; http { server { location / { " + head + " proxy_pass http://g; } } }", want: ":1 note worker_shutdown_timeout 10s"},
	{name: "stream", conf: "stream { server { listen 1;\nproxy_timeout 20s; tcp_nodelay off;\nproxy_download_rate 1m; proxy_pass g; } server { listen 53 udp; proxy_timeout 1s; proxy_pass dns; } }",
		want: ":2 error proxy_timeout 20s\n:2 warning tcp_nodelay off\n:3 warning proxy_download_rate 1m"},
	{name: "stream default", conf: "stream { server { listen 1; proxy_pass g; } }"},
	{name: "part of a configuration", conf: "server { location / { " + head + " proxy_pass http://g; } }", want: ":1 note http"},
	{name: "include", conf: "http {\ninclude conf.d/*.conf;\n}", more: map[string]string{
		"/etc/conf.d/a.conf": "proxy_read_timeout\n10s;", "/etc/conf.d/b.conf": "server { location / {\n\n" + head + "\ninclude /etc/p;\nproxy_pass http://g; } }",
		"/etc/p": "send_timeout 1s;", "/etc/conf.d/c.txt": "x"},
		want: "conf.d/a.conf:1 error proxy_read_timeout 10s\np:1 warning send_timeout 1s"},
	{name: "include twice", conf: "http { server { location / { include p; proxy_pass http://g; } } server { location / { include p; proxy_pass http://g; proxy_read_timeout 1h; } } }",
		more: map[string]string{"/etc/p": head}, o: CheckOptions{PingInterval: time.Minute}, want: ":1 error proxy_read_timeout 60s (the default)", paths: 2},
	{name: "include itself", conf: "http { include a; server { location / { " + head + " proxy_pass http://g; } } }", more: map[string]string{"/etc/a": "\ninclude nginx.conf;\ninclude a;"},
		want: "a:2 warning include nginx.conf\na:3 warning include a"},
	{name: "include is missing", conf: "http { include mime.types;\ninclude gone;\nserver { location / { " + head + " proxy_pass http://g; } } }", want: ":1 note include mime.types\n:2 warning include gone"},
	{name: "included file is broken", conf: "http { include a; server { location / { " + head + " proxy_pass http://g; } } }", more: map[string]string{"/etc/a": "x {"}, want: ":1 warning include a"},
	{name: "lua", conf: "http { server { location / { access_by_lua_block {\n-- } it's\nlocal s = \"}\" if x then t = { 1 } end }\n" + head + "\nproxy_read_timeout 1s; proxy_pass http://g; } } }",
		want: ":5 error proxy_read_timeout 1s"},
	{name: "syntax", conf: "# c { \n\ufeffhttp { server { location \"/\" { proxy_set_header 'Upgrade' \"$http_upgrade\" ; proxy_set_header Connection \"up\"grade; } } }", want: "error"},
}

func TestCheckNginx(t *testing.T) {
	for _, c := range ngxCases {
		t.Run(c.name, func(t *testing.T) {
			const main = "/etc/nginx.conf"
			m := map[string]string{main: c.conf}
			for k, v := range c.more {
				m[k] = v
			}
			r, err := check(files(m), c.o, []string{main})
			if c.want == "error" {
				if err == nil || !strings.Contains(err.Error(), main+":2") {
					t.Errorf("error %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if bad := wrong(r, main, c.want); bad != "" {
				t.Error(bad)
			}
			if want := max(1, c.paths); len(r.Judged) != want && !strings.Contains(c.want, "warning /ws") {
				t.Errorf("judged %v, want %d", r.Judged, want)
			}
			if r.Kind != "nginx" || r.Failed() != (strings.Contains(c.want, "error") || strings.Contains(c.want, "warning")) {
				t.Errorf("kind %s, failed %v", r.Kind, r.Failed())
			}
		})
	}
}
