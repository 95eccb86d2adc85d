package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var updateConfig = flag.Bool("update-config", false, "rewrite the tables of docs/configuration.md")

// TestTidyConfigKeys: every key of the configuration's structs is described, in
// config_doc.go or beside the struct, and nothing else is.
func TestTidyConfigKeys(t *testing.T) {
	docs := map[string]keyDoc{}
	for _, d := range configDocs() {
		if _, twice := docs[d.key]; twice {
			t.Errorf("%s is described twice", d.key)
		}
		if d.def == "" || d.doc == "" {
			t.Errorf("%s: no default or no meaning", d.key)
		}
		docs[d.key] = d
	}
	for _, k := range configKeys() {
		if _, ok := docs[k.key]; !ok {
			t.Errorf("%s (%s) is not described: add it to a keyDoc list and that to configDocs", k.key, k.typ)
		}
		delete(docs, k.key)
	}
	for key := range docs {
		t.Errorf("%s is described and no struct has it", key)
	}
}

// TestConfigDefaults: the defaults that are documented are those that hold.
func TestConfigDefaults(t *testing.T) {
	c, err := parseConfig("x.yaml", []byte("feeds:\n- {venue: okx, instruments: [BTC-USDT]}\nrings:\n- {strategy: a, topics: [\"okx.>\"]}\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	var walk func(prefix string, v reflect.Value)
	walk = func(prefix string, v reflect.Value) {
		for i := range v.NumField() {
			f, key := v.Field(i), prefix+v.Type().Field(i).Tag.Get("yaml")
			switch f.Kind() {
			case reflect.Struct:
				walk(key+".", f)
			case reflect.Slice:
				if f.Len() == 1 && f.Index(0).Kind() == reflect.Struct {
					walk(key+"[].", f.Index(0))
				} else if f.Len() > 0 && f.Index(0).Kind() == reflect.String {
					got[key] = strings.Join(f.Interface().([]string), ", ")
				}
			case reflect.String, reflect.Int:
				if !f.IsZero() {
					got[key] = fmt.Sprint(f.Interface())
				}
			case reflect.Bool:
				got[key] = fmt.Sprint(f.Bool())
			}
		}
	}
	walk("", reflect.ValueOf(c).Elem())
	given := map[string]bool{"feeds[].venue": true, "feeds[].name": true, "feeds[].instruments": true, "rings[].strategy": true, "rings[].topics": true}
	checked := 0
	for _, d := range configDocs() {
		if v, ok := got[d.key]; ok && !given[d.key] {
			checked++
			if strings.Trim(d.def, "`") != v {
				t.Errorf("%s: documented default %s, it is %s", d.key, d.def, v)
			}
		}
	}
	if checked < 10 {
		t.Errorf("only %d defaults were compared", checked)
	}
}

// configTable is the table of the keys of one group: those one level below it.
func configTable(group string) string {
	types := map[string]string{}
	for _, k := range configKeys() {
		types[k.key] = k.typ
	}
	var b strings.Builder
	b.WriteString("| key | type | default | allowed | meaning |\n|---|---|---|---|---|\n")
	for _, d := range configDocs() {
		in := d.key == group || strings.HasPrefix(d.key, group+".") || strings.HasPrefix(d.key, group+"[]")
		if group == "top" {
			in = !strings.ContainsAny(d.key, ".[")
		} else if d.key == group {
			in = false
		}
		if !in {
			continue
		}
		name := strings.TrimPrefix(strings.TrimPrefix(d.key, group), "[]")
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", strings.TrimPrefix(name, "."), types[d.key], d.def, d.rng, d.doc)
	}
	return b.String()
}

// TestTidyConfigReference: the tables of docs/configuration.md are what the code
// says; -update-config writes them.
func TestTidyConfigReference(t *testing.T) {
	file := filepath.Join(repoRoot, "docs", "configuration.md")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	old := string(data)
	var out strings.Builder
	seen := map[string]bool{}
	rest := old
	for {
		before, after, ok := strings.Cut(rest, "<!-- keys of ")
		out.WriteString(before)
		if !ok {
			break
		}
		group, after, _ := strings.Cut(after, " -->")
		_, after, ok = strings.Cut(after, "<!-- end -->")
		if !ok {
			t.Fatalf("the table of %s has no end", group)
		}
		fmt.Fprintf(&out, "<!-- keys of %s -->\n%s<!-- end -->", group, configTable(group))
		seen[group], rest = true, after
	}
	for _, k := range configKeys() {
		if group, _, ok := strings.Cut(k.key, "."); ok && !seen[strings.TrimSuffix(group, "[]")] {
			t.Errorf("docs/configuration.md has no table of %s: add a heading and <!-- keys of %[1]s --><!-- end -->", strings.TrimSuffix(group, "[]"))
			break
		}
	}
	switch {
	case out.String() == old:
	case *updateConfig:
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Error("docs/configuration.md is not what the code says: go test ./cmd/tickrelay -run TidyConfigReference -update-config")
	}
}
