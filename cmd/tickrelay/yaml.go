package main

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// problem is one thing wrong with a configuration file.
type problem struct {
	line int
	text string
}

// yamlDecoder fills a struct from a YAML document and, unlike a plain
// unmarshal, goes on after a mistake, so that check can name them all. It
// remembers the line of every path for the checks that follow.
type yamlDecoder struct {
	file     string
	problems []problem
	lines    map[string]int
	getenv   func(string) (string, bool)
}

// decodeYAML parses data and fills the struct that v points to. Unknown keys,
// wrong types and unset variables become problems.
func decodeYAML(file string, data []byte, v any) *yamlDecoder {
	d := &yamlDecoder{file: file, lines: map[string]int{}, getenv: os.LookupEnv}
	f, err := parser.ParseBytes(data, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		line, text := syntaxError(err.Error())
		d.add(line, "%s", text)
		return d
	}
	if len(f.Docs) == 0 || f.Docs[0].Body == nil {
		return d
	}
	if len(f.Docs) > 1 {
		d.add(f.Docs[1].Start.Position.Line, "a second YAML document; one is expected")
	}
	d.node("", f.Docs[0].Body, reflect.ValueOf(v).Elem())
	return d
}

func (d *yamlDecoder) add(line int, format string, args ...any) {
	d.problems = append(d.problems, problem{line, fmt.Sprintf(format, args...)})
}

// at adds a problem at the line of path, or of its nearest known parent.
func (d *yamlDecoder) at(path, format string, args ...any) {
	p := path
	for {
		if line, ok := d.lines[p]; ok {
			d.add(line, "%s: "+format, append([]any{path}, args...)...)
			return
		}
		i := strings.LastIndexAny(p, ".[")
		if i < 0 {
			d.add(1, "%s: "+format, append([]any{path}, args...)...)
			return
		}
		p = p[:i]
	}
}

// item is at with the line of the i-th entry of the list at path.
func (d *yamlDecoder) item(path string, i int, format string, args ...any) {
	if line, ok := d.lines[fmt.Sprintf("%s[%d]", path, i)]; ok {
		d.add(line, "%s: "+format, append([]any{path}, args...)...)
		return
	}
	d.at(path, format, args...)
}

// err joins the problems in the order of the file, or returns nil.
func (d *yamlDecoder) err() error {
	if len(d.problems) == 0 {
		return nil
	}
	sort.SliceStable(d.problems, func(i, j int) bool { return d.problems[i].line < d.problems[j].line })
	var b strings.Builder
	for i, p := range d.problems {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s:%d: %s", d.file, p.line, p.text)
	}
	return fmt.Errorf("%s", b.String())
}

func (d *yamlDecoder) node(path string, n ast.Node, v reflect.Value) {
	if a, ok := n.(*ast.AnchorNode); ok {
		n = a.Value
	}
	line := n.GetToken().Position.Line
	if _, ok := d.lines[path]; !ok {
		d.lines[path] = line
	}
	if _, ok := n.(*ast.NullNode); ok {
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		d.structNode(path, n, v)
	case reflect.Slice:
		seq, ok := n.(*ast.SequenceNode)
		if !ok {
			d.add(line, "%s: a list is expected", path)
			return
		}
		out := reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values))
		for i, e := range seq.Values {
			d.node(fmt.Sprintf("%s[%d]", path, i), e, out.Index(i))
		}
		v.Set(out)
	case reflect.Map:
		d.mapNode(path, n, v)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.node(path, n, v.Elem())
	default:
		d.scalar(path, n, v)
	}
}

func (d *yamlDecoder) structNode(path string, n ast.Node, v reflect.Value) {
	var pairs []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		pairs = m.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{m}
	default:
		d.add(n.GetToken().Position.Line, "%s: keys and values are expected", orTop(path))
		return
	}
	fields := map[string]int{}
	var names []string
	for i := range v.NumField() {
		if name := v.Type().Field(i).Tag.Get("yaml"); name != "" {
			fields[name] = i
			names = append(names, name)
		}
	}
	seen := map[string]bool{}
	for _, p := range pairs {
		key := p.Key.GetToken().Value
		line := p.Key.GetToken().Position.Line
		i, ok := fields[key]
		if !ok {
			d.add(line, "unknown key %q in %s%s", key, orTop(path), keyHint(key, names))
			continue
		}
		if seen[key] {
			d.add(line, "key %q is in %s twice; leave one out", key, orTop(path))
			continue
		}
		seen[key] = true
		sub := key
		if path != "" {
			sub = path + "." + key
		}
		d.lines[sub] = line
		d.node(sub, p.Value, v.Field(i))
	}
}

// mapNode fills a map from text to text.
func (d *yamlDecoder) mapNode(path string, n ast.Node, v reflect.Value) {
	var pairs []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		pairs = m.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{m}
	default:
		d.add(n.GetToken().Position.Line, "%s: keys and values are expected", path)
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, p := range pairs {
		value := reflect.New(v.Type().Elem()).Elem()
		d.node(path+"."+p.Key.GetToken().Value, p.Value, value)
		v.SetMapIndex(reflect.ValueOf(p.Key.GetToken().Value), value)
	}
}

// keyHint says what an unknown key could have been: one of those that are known
// there, or one that belongs elsewhere.
func keyHint(key string, names []string) string {
	if s := suggest(key, names); s != "" {
		return s
	}
	for _, k := range configKeys() {
		if at := strings.LastIndexByte(k.key, '.'); k.key[at+1:] == key {
			if at < 0 {
				return "; it belongs to the top level"
			}
			return "; it belongs to " + k.key[:at]
		}
	}
	return "; known are " + strings.Join(names, ", ")
}

func orTop(path string) string {
	if path == "" {
		return "the top level"
	}
	return path
}

var envRef = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)\}`)

func (d *yamlDecoder) scalar(path string, n ast.Node, v reflect.Value) {
	line := n.GetToken().Position.Line
	s, ok := n.(ast.ScalarNode)
	if !ok {
		d.add(line, "%s: a single value is expected", path)
		return
	}
	text := n.GetToken().Value
	if str, ok := s.GetValue().(string); ok {
		text = str
	}
	text = envRef.ReplaceAllStringFunc(text, func(m string) string {
		name := m[2 : len(m)-1]
		val, ok := d.getenv(name)
		if !ok {
			d.add(line, "%s: environment variable %s is not set", path, name)
		}
		return val
	})
	switch v.Kind() {
	case reflect.String:
		v.SetString(text)
	case reflect.Int, reflect.Int64:
		i, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			d.add(line, "%s: %q is no whole number", path, text)
			return
		}
		v.SetInt(i)
	case reflect.Bool:
		b, err := strconv.ParseBool(text)
		if err != nil {
			d.add(line, "%s: %q is neither true nor false", path, text)
			return
		}
		v.SetBool(b)
	default:
		panic("yaml: field type " + v.Type().String() + " of " + path)
	}
}

var syntaxPos = regexp.MustCompile(`(?s)^\[(\d+):\d+\] ([^\n]*)`)

// syntaxError takes line and message out of the YAML parser's error text.
func syntaxError(s string) (int, string) {
	if m := syntaxPos.FindStringSubmatch(s); m != nil {
		line, _ := strconv.Atoi(m[1])
		return line, m[2]
	}
	first, _, _ := strings.Cut(s, "\n")
	return 1, first
}

// suggest returns ", did you mean …?" with the closest of names, or "".
func suggest(got string, names []string) string {
	best, dist := "", 1+max(1, len(got)/3)
	for _, n := range names {
		if k := editDistance(got, n); k < dist {
			best, dist = n, k
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf(", did you mean %q?", best)
}

// editDistance is the distance of two short words: letters added, left out,
// changed, or swapped with their neighbours.
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, last, row = last, row, before
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
