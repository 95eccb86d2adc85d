package main

import (
	"bytes"
	"context"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

var updateProxies = flag.Bool("update-proxies", false, "rewrite deploy/proxy")

// deployProxies are the proxies' files and the commands that make them.
var deployProxies = map[string][]string{
	"nginx.conf":  {"nginx", "--listen", ":8000", "--proxy-protocol", "--source", "127.0.0.2"},
	"haproxy.cfg": {"haproxy", "--listen", ":8001", "--proxy-protocol", "--source", "127.0.0.3"},
}

// TestDeployProxies holds the proxies' files to what the program writes, and has the
// proxies themselves read them; with -update-proxies it writes them.
func TestDeployProxies(t *testing.T) {
	for file, args := range deployProxies {
		code, want, stderr := proxyRun(t, args...)
		if code != exitDone {
			t.Fatalf("proxy %s: exit %d %s", args, code, stderr)
		}
		path, err := filepath.Abs(repoRoot + "/deploy/proxy/" + file)
		if err != nil {
			t.Fatal(err)
		}
		if *updateProxies {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if textOf(t, path) != want {
			t.Errorf("%s is not what proxy %s prints: go test ./cmd/tickrelay -run TestDeployProxies -update-proxies", path, args)
		}
		if code, out, stderr := proxyRun(t, "check", path); code != exitDone {
			t.Errorf("proxy check %s: exit %d %s%s", file, code, out, stderr)
		}
		check := map[string][]string{
			"nginx.conf":  {"nginx", "-t", "-q", "-e", "stderr", "-g", "pid " + t.TempDir() + "/pid;", "-c", path},
			"haproxy.cfg": {"haproxy", "-c", "-q", "-f", path},
		}[file]
		prog, err := exec.LookPath(check[0])
		if err != nil {
			t.Logf("no %s: its file was not read by it", check[0])
			continue
		}
		if out, err := exec.Command(prog, check[1:]...).CombinedOutput(); err != nil && os.Geteuid() == 0 {
			t.Errorf("%s: %v\n%s", check, err, out)
		}
	}
}

// TestDeployConfigs has the program check every configuration that is shipped.
func TestDeployConfigs(t *testing.T) {
	t.Setenv("DESK_TOKEN", "0123456789abcdef0123456789abcdef")
	t.Setenv("SCRAPE_TOKEN", "fedcba9876543210fedcba9876543210")
	files := map[string]string{
		"compose": repoRoot + "/deploy/compose/tickrelay.yaml",
		"deb":     repoRoot + "/deploy/deb/tickrelay.yaml",
		"kubernetes": writeFile(t, "tickrelay.yaml", configMapOf(t, repoRoot+"/deploy/kubernetes/tickrelay.yaml",
			"tickrelay.yaml")),
	}
	for name, file := range files {
		var out, errs bytes.Buffer
		if code := execute(context.Background(), []string{"check", "-c", file}, &out, &errs); code != exitDone {
			t.Errorf("%s: exit %d\n%s", name, code, errs.String())
		}
	}
}

// configMapOf returns one entry of the ConfigMap among the documents of a file, whose
// containers must be of the class Guaranteed.
func configMapOf(t *testing.T, path, key string) (text string) {
	t.Helper()
	guaranteed := 0
	for _, doc := range strings.Split(textOf(t, path), "\n---\n") {
		var d struct {
			Kind string
			Data map[string]string
			Spec struct {
				Template struct {
					Spec struct {
						HostNetwork bool `yaml:"hostNetwork"`
						Containers  []struct {
							Name      string
							Resources struct{ Requests, Limits map[string]string }
						}
					}
				}
			}
		}
		if err := yaml.Unmarshal([]byte(doc), &d); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if d.Kind == "ConfigMap" {
			text = d.Data[key]
		}
		if d.Kind != "DaemonSet" {
			continue
		}
		if !d.Spec.Template.Spec.HostNetwork {
			t.Error("the DaemonSet is not on the host's network")
		}
		for _, c := range d.Spec.Template.Spec.Containers {
			r := c.Resources
			if r.Requests["cpu"] == "" || r.Requests["cpu"] != r.Limits["cpu"] || r.Requests["memory"] == "" ||
				r.Requests["memory"] != r.Limits["memory"] || strings.ContainsAny(r.Requests["cpu"], "m.") {
				t.Errorf("container %s is not Guaranteed with whole processors: %+v", c.Name, r)
			}
			guaranteed++
		}
	}
	if text == "" || guaranteed == 0 {
		t.Fatalf("%s: %d containers, ConfigMap %q", path, guaranteed, text)
	}
	return text
}
