package relay

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const clientDir = "web/client"

// nodeTool finds a program of Node or skips the test.
func nodeTool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("no %s on the path: the JavaScript client is not tested", name)
	}
	return path
}

// command runs a program for at most two minutes and returns what it prints.
func command(t testing.TB, dir string, env []string, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestJavaScriptClient runs the client's own tests.
func TestJavaScriptClient(t *testing.T) {
	out, err := command(t, clientDir, nil, nodeTool(t, "node"), "--test", "test/")
	if err != nil {
		t.Fatalf("node --test: %v\n%s", err, out)
	}
	if !strings.Contains(out, "# fail 0") || strings.Contains(out, "# pass 0") {
		t.Errorf("unexpected summary:\n%s", out)
	}
}

// TestJavaScriptPackage packs the client as for the npm registry, and loads it from
// where npm would put it.
func TestJavaScriptPackage(t *testing.T) {
	npm, node := nodeTool(t, "npm"), nodeTool(t, "node")
	dir := t.TempDir()
	cache := []string{"npm_config_cache=" + filepath.Join(dir, "cache"), "npm_config_update_notifier=false"}
	src, err := filepath.Abs(clientDir)
	if err != nil {
		t.Fatal(err)
	}
	if out, err := command(t, dir, cache, npm, "pack", src, "--json"); err != nil {
		t.Fatalf("npm pack: %v\n%s", err, out)
	}
	packed, _ := filepath.Glob(filepath.Join(dir, "tickrelay-*.tgz"))
	if len(packed) != 1 {
		t.Fatalf("packed: %v", packed)
	}
	into := filepath.Join(dir, "node_modules", "tickrelay")
	if err := os.MkdirAll(into, 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := command(t, dir, nil, "tar", "xzf", packed[0], "-C", into, "--strip-components", "1"); err != nil {
		t.Fatalf("tar: %v\n%s", err, out)
	}
	for _, name := range []string{"tickrelay.d.ts", "README.md", "package.json"} {
		if _, err := os.Stat(filepath.Join(into, name)); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(filepath.Join(into, "test")); err == nil {
		t.Error("the tests are in the package")
	}
	out, err := command(t, dir, nil, node, "--input-type=module", "-e",
		`import * as all from "tickrelay"; console.log(JSON.stringify(Object.keys(all)))`)
	if err != nil {
		t.Fatalf("import: %v\n%s", err, out)
	}
	checkTypes(t, into, out)
}

// checkTypes holds the declarations to what the module exports.
func checkTypes(t *testing.T, dir, exports string) {
	t.Helper()
	var names []string
	if err := json.Unmarshal([]byte(exports), &names); err != nil || len(names) < 20 {
		t.Fatalf("exports %s: %v", exports, err)
	}
	types, err := os.ReadFile(filepath.Join(dir, "tickrelay.d.ts"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		found := false
		for _, kind := range []string{"class ", "function ", "const "} {
			found = found || bytes.Contains(types, []byte("export "+kind+name))
		}
		if !found {
			t.Errorf("tickrelay.d.ts does not declare %s", name)
		}
	}
}

// TestJavaScriptServed: every module of the client is where a page imports it from.
func TestJavaScriptServed(t *testing.T) {
	_, g := start(t, Limits{}, 64)
	files, err := filepath.Glob(clientDir + "/*.js")
	if err != nil || len(files) < 5 {
		t.Fatalf("%v: %v", files, err)
	}
	for _, f := range append(files, clientDir+"/tickrelay.d.ts") {
		want, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		status, head, body := get(t, g, "/client/"+filepath.Base(f))
		if status != 200 || body != string(want) {
			t.Errorf("%s: %d, %d bytes", f, status, len(body))
		}
		if strings.HasSuffix(f, ".js") && !strings.HasPrefix(head.Get("Content-Type"), "text/javascript") {
			t.Errorf("%s: %s", f, head.Get("Content-Type"))
		}
	}
	if status, _, _ := get(t, g, "/client/package.json"); status != 404 {
		t.Errorf("package.json: %d", status)
	}
}
