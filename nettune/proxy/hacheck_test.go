package proxy

import (
	"strings"
	"testing"
	"time"
)

// timed is a defaults section without a fault, on six lines.
const timed = "defaults\n mode http\n timeout client 2m\n timeout server 2m\n timeout tunnel 2m\n timeout client-fin 30s\n timeout server-fin 30s\n"

var haCases = []struct {
	name string
	conf string
	more string // a second file
	o    CheckOptions
	want string
	ways int // judged, if not 1
}{
	{name: "good", conf: timed + "listen l\n bind :80\n server s 127.0.0.1:8080\n"},
	{name: "no time-outs", conf: "frontend f\n bind :80\n default_backend b\nbackend b\n server s 127.0.0.1:8080\n",
		want: ":1 note timeout client\n:4 note timeout server"},
	{name: "as Debian has them", conf: "defaults\n timeout connect 5000\n timeout client 50000\n timeout server 50000\nlisten l\n server s 127.0.0.1:8080\n",
		want: ":3 warning timeout client 50000\n:4 warning timeout server 50000"},
	{name: "milliseconds by mistake", conf: "defaults\n timeout client 3600\n timeout server 1h\nlisten l\n server s 127.0.0.1:8080\n",
		want: ":2 error timeout client 3600"},
	{name: "tunnel alone counts", conf: "defaults\n timeout client 5s\n timeout server 5s\n timeout tunnel 1h\n timeout client-fin 1s\n timeout server-fin 1s\nlisten l\n server s 127.0.0.1:8080\n"},
	{name: "tunnel too short", conf: "defaults\n timeout client 1h\n timeout server 1h\nlisten l\n timeout tunnel 10s\n server s 127.0.0.1:8080\n",
		want: ":5 error timeout tunnel 10s\n:5 note timeout client-fin"},
	{name: "tunnel of the backend wins", conf: timed + "frontend f\n bind :1\n default_backend b\nbackend b\n timeout tunnel 20s\n server s 127.0.0.1:8080\n",
		want: ":12 error timeout tunnel 20s"},
	{name: "tunnel 0 is none", conf: "defaults\n timeout client 10s\n timeout server 1h\n timeout tunnel 0\n timeout client-fin 1s\n timeout server-fin 1s\nlisten l\n server s 127.0.0.1:8080\n",
		want: ":2 error timeout client 10s"},
	{name: "last statement wins", conf: timed + "listen l\n timeout tunnel 1s\n timeout tunnel 1h\n server s 127.0.0.1:8080\n"},
	{name: "slower pings", conf: timed + "listen l\n server s 127.0.0.1:8080\n", o: CheckOptions{PingInterval: 3 * time.Minute},
		want: ":5 error timeout tunnel 2m"},
	{name: "not a time", conf: timed + "listen l\n timeout tunnel soon\n timeout client 1s\n timeout server \"$T\"\n server s 127.0.0.1:8080\n",
		want: ":9 error timeout tunnel soon\n:10 error timeout client 1s"},
	{name: "named defaults", conf: "defaults fast\n timeout client 1s\n timeout server 1s\n" + timed + "listen l from fast\n server s 127.0.0.1:8080\nlisten m\n server s 127.0.0.1:8080\n",
		want: ":2 error timeout client 1s\n:3 error timeout server 1s", ways: 2},
	{name: "defaults start anew", conf: "defaults\n timeout tunnel 1s\n" + timed + "listen l\n server s 127.0.0.1:8080\n"},
	{name: "ways", conf: timed + "frontend f\n use_backend a if { path /ws }\n default_backend b\nbackend a\n timeout tunnel 1s\n server s 127.0.0.1:8080\nbackend b\n server s 127.0.0.1:8080\nbackend c\n timeout tunnel 2s\n server s 127.0.0.1:8080\n",
		want: ":12 error timeout tunnel 1s", ways: 2},
	{name: "way by a variable", conf: timed + "frontend f\n use_backend %[req.hdr(host)]\nbackend a\n timeout tunnel 1s\n server s 127.0.0.1:8080\n",
		want: ":11 error timeout tunnel 1s"},
	{name: "by upstream", conf: timed + "listen a\n timeout tunnel 1s\n server s 10.0.0.1:80\nlisten b\n server s 127.0.0.1:8080\n", o: CheckOptions{Gateway: "127.0.0.1:8080"}},
	{name: "nothing leads there", conf: timed + "frontend f\n default_backend b\n", want: ":1 warning frontend"},
	{name: "rules", conf: timed + "frontend f\n http-request del-header Upgrade\n http-request set-header Connection keep-alive if { path / }\n http-response del-header ^Sec-WebSocket\n default_backend b\n" +
		"backend b\n http-request set-header Connection \"Upgrade\"\n http-request del-header X-Upgrade\n http-request set-timeout tunnel 5s if { path / }\n reqidel ^Connection:\n server s 127.0.0.1:8080\n",
		want: ":9 error http-request del-header Upgrade\n:10 warning http-request set-header Connection keep-alive if { path / }\n:16 error http-request set-timeout tunnel 5s if { path / }\n:17 error reqidel ^Connection:"},
	{name: "delays", conf: timed + "listen l\n tcp-request inspect-delay 5s\n tcp-request content accept if WAIT_END\n filter bwlim-out x default-limit 1m default-period 1s\n http-response set-bandwidth-limit x\n rate-limit sessions 10\n server s 127.0.0.1:8080\n",
		want: ":9 warning tcp-request inspect-delay 5s\n:11 warning filter bwlim-out x default-limit 1m default-period 1s\n:12 warning http-response set-bandwidth-limit x\n:13 note rate-limit sessions 10"},
	{name: "independent streams", conf: timed + " option independent-streams\nlisten l\n server s 127.0.0.1:8080\nlisten m\n no option independent-streams\n server s 127.0.0.1:8080\n",
		want: ":8 warning option independent-streams", ways: 2},
	{name: "servers", conf: timed + "listen l\n default-server on-marked-down shutdown-sessions maxconn 100\n server s 127.0.0.1:8080 on-marked-up shutdown-backup-sessions\n server t 127.0.0.1:8081 maxconn 5000\n", o: CheckOptions{MaxConns: 1000},
		want: ":9 warning maxconn 100\n:9 warning on-marked-down shutdown-sessions\n:10 warning on-marked-up shutdown-backup-sessions"},
	{name: "numbers", conf: "global\n maxconn 100\n hard-stop-after 30s\n" + timed + "frontend f\n maxconn 200\n default_backend b\nbackend b\n server s 127.0.0.1:8080\n", o: CheckOptions{MaxConns: 40000},
		want: ":2 warning maxconn 100\n:3 note hard-stop-after 30s\n:12 warning maxconn 200\n:14 warning backend b"},
	{name: "two files", conf: timed + "frontend f\n default_backend b\n", more: "backend b\n timeout tunnel 1s\n server s 127.0.0.1:8080\n", want: "b.cfg:2 error timeout tunnel 1s"},
	{name: "syntax", conf: "# listen x\n" + timed + ".if defined(X)\nlisten \"a b\" # c\n timeout\\ tunnel 1s\n timeout  tunnel '1'h#x\n server s 127.0.0.1:8080\n.endif\n"},
}

func TestCheckHAProxy(t *testing.T) {
	for _, c := range haCases {
		t.Run(c.name, func(t *testing.T) {
			const main = "/etc/haproxy.cfg"
			m, args := map[string]string{main: c.conf}, []string{main}
			if c.more != "" {
				m["/etc/b.cfg"] = c.more
				args = append(args, "/etc/b.cfg")
			}
			r, err := check(files(m), c.o, args)
			if err != nil {
				t.Fatal(err)
			}
			if bad := wrong(r, main, c.want); bad != "" {
				t.Error(bad)
			}
			if want := max(1, c.ways); len(r.Judged) != want && !strings.Contains(c.want, "warning frontend") {
				t.Errorf("judged %v, want %d", r.Judged, want)
			}
			if r.Kind != "haproxy" || r.Failed() != (strings.Contains(c.want, "error") || strings.Contains(c.want, "warning")) {
				t.Errorf("kind %s, failed %v", r.Kind, r.Failed())
			}
		})
	}
}
