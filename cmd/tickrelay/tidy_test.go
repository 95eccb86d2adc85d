package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"testing"
)

const repoRoot = "../.."

// mayImport is the architecture: which of our packages each may import. A
// sub-package has its parent's rights and may import its parent; the longest
// prefix wins.
var mayImport = map[string][]string{
	"ring/md":    nil,
	"ring/book":  {"ring/md"},
	"ring":       {"ring/md", "ring/book", "ring"},
	"nettune":    {"nettune"},
	"feeds":      {"ring", "nettune", "feeds"},
	"relay":      {"ring", "nettune", "relay"},
	"dpdkbridge": {"nettune"},
	"cmd":        {"ring", "nettune", "feeds", "relay", "dpdkbridge", "cmd"},
}

// repoFiles lists the tree's files, as slash paths relative to its root.
func repoFiles(t *testing.T) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(repoRoot, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(repoRoot, path)
		rel = filepath.ToSlash(rel)
		if rel == ".git" && !e.IsDir() { // a linked worktree's
			return nil
		}
		if e.IsDir() {
			if rel == ".git" || e.Name() == "node_modules" {
				return filepath.SkipDir
			}
			return nil
		}
		files = append(files, rel)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 50 {
		t.Fatalf("only %d files found below %s", len(files), repoRoot)
	}
	return files
}

func longestPrefix(pkg string) (string, bool) {
	for p := pkg; p != "."; p = filepath.ToSlash(filepath.Dir(p)) {
		if _, ok := mayImport[p]; ok {
			return p, true
		}
	}
	return "", false
}

func within(pkg, tree string) bool { return pkg == tree || strings.HasPrefix(pkg, tree+"/") }

func TestTidyImportTable(t *testing.T) {
	fset := token.NewFileSet()
	checked := 0
	for _, f := range repoFiles(t) {
		if !strings.HasSuffix(f, ".go") || strings.HasSuffix(f, "_test.go") {
			continue
		}
		dir := filepath.ToSlash(filepath.Dir(f))
		owner, ok := longestPrefix(dir)
		if !ok {
			t.Errorf("%s: package %s is not in the table of packages", f, dir)
			continue
		}
		tree, err := parser.ParseFile(fset, filepath.Join(repoRoot, f), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, imp := range tree.Imports {
			path := strings.Trim(imp.Path.Value, `"`)
			ours, is := strings.CutPrefix(path, "tickrelay/")
			if !is {
				continue
			}
			checked++
			allowed := false
			for _, a := range mayImport[owner] {
				allowed = allowed || within(ours, a)
			}
			if !allowed {
				t.Errorf("%s imports %s: packages below %s may import %v of ours", f, ours, owner, mayImport[owner])
			}
		}
	}
	if checked == 0 {
		t.Fatal("no import was checked")
	}
}

func TestTidyTopLevel(t *testing.T) {
	want := map[string]bool{"relay": true, "feeds": true, "ring": true, "nettune": true, "dpdkbridge": true, "cmd": true,
		"deploy": true, "docs": true, "go.mod": true, "go.sum": true, "README.md": true, "LICENSE": true, "CHANGELOG.md": true, "CONTRIBUTING.md": true,
		"tickrelay": true} // what go build ./cmd/tickrelay leaves there, ignored by git
	for _, f := range repoFiles(t) {
		top, _, _ := strings.Cut(f, "/")
		if !want[top] && !strings.HasPrefix(top, ".") {
			t.Errorf("%s: nothing but %v belongs at the top level", f, keys(want))
		}
	}
}

func keys(m map[string]bool) []string {
	var out []string
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

func TestTidyFileLength(t *testing.T) {
	for _, f := range repoFiles(t) {
		switch filepath.Ext(f) {
		case ".go", ".c", ".h", ".py", ".pyx", ".js", ".css", ".html":
		default:
			continue
		}
		data, err := os.ReadFile(filepath.Join(repoRoot, f))
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(data, []byte("\n")); n > 500 {
			t.Errorf("%s has %d lines, 500 is the limit: split it by responsibility", f, n)
		}
		if filepath.Ext(f) == ".go" {
			if out, err := format.Source(data); err != nil || !bytes.Equal(out, data) {
				t.Errorf("%s is not formatted as gofmt does (%v)", f, err)
			}
		}
	}
}

func TestTidyDocComments(t *testing.T) {
	pkgs := map[string]bool{}
	docs := map[string]bool{}
	for _, f := range repoFiles(t) {
		if !strings.HasSuffix(f, ".go") || strings.HasSuffix(f, "_test.go") {
			continue
		}
		fset := token.NewFileSet()
		tree, err := parser.ParseFile(fset, filepath.Join(repoRoot, f), nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Dir(f)
		pkgs[dir] = true
		if filepath.Base(f) == "doc.go" && tree.Doc != nil && len(tree.Doc.Text()) > 200 {
			docs[dir] = true
		}
		for _, missing := range undocumented(tree) {
			t.Errorf("%s: %s has no doc comment", f, missing)
		}
	}
	for dir := range pkgs {
		if !docs[dir] {
			t.Errorf("%s has no doc.go that explains the package", dir)
		}
	}
}

// undocumented names the exported top-level identifiers and methods without a comment.
func undocumented(f *ast.File) []string {
	var out []string
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) {
				out = append(out, "func "+d.Name.Name)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					if s.Name.IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						out = append(out, "type "+s.Name.Name)
					}
				case *ast.ValueSpec:
					if s.Names[0].IsExported() && d.Doc == nil && s.Doc == nil && s.Comment == nil {
						out = append(out, fmt.Sprint(d.Tok)+" "+s.Names[0].Name)
					}
				}
			}
		}
	}
	return out
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil || len(d.Recv.List) == 0 {
		return true
	}
	typ := d.Recv.List[0].Type
	if p, ok := typ.(*ast.StarExpr); ok {
		typ = p.X
	}
	if g, ok := typ.(*ast.IndexExpr); ok {
		typ = g.X
	}
	id, ok := typ.(*ast.Ident)
	return !ok || id.IsExported()
}

// TestTidyDependencies wants every direct dependency named with its reason.
func TestTidyDependencies(t *testing.T) {
	mod, err := os.ReadFile(filepath.Join(repoRoot, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(repoRoot, "docs/dependencies.md"))
	if err != nil {
		t.Fatal(err)
	}
	direct := 0
	for line := range strings.SplitSeq(string(mod), "\n") {
		line = strings.TrimPrefix(strings.TrimSpace(line), "require ")
		name, rest, ok := strings.Cut(line, " ")
		if !ok || !strings.Contains(name, "/") || strings.Contains(rest, "// indirect") || !strings.HasPrefix(rest, "v") {
			continue
		}
		direct++
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/dependencies.md does not name %s and why it is used", name)
		}
	}
	if direct == 0 {
		t.Fatal("no direct dependency found in go.mod")
	}
}

// TestTidyOwnWords keeps the paths of build machines and references to
// trackers out of the project; .ci/run alone may name the captures' folder.
func TestTidyOwnWords(t *testing.T) {
	bad := regexp.MustCompile(`(?i)\.\./` + `shared|/wo` + `rk/|\bissue ` + `#?\d|/ro` + `ot/|\b(TO` + `DO|FIX` + `ME)\b`)
	for _, f := range repoFiles(t) {
		if strings.HasPrefix(f, ".ci/") || f == "go.sum" || f == "LICENSE" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(repoRoot, f))
		if err != nil {
			t.Fatal(err)
		}
		if loc := bad.FindIndex(data); loc != nil && !bytes.Contains(data[:min(len(data), 8000)], []byte{0}) {
			line := 1 + bytes.Count(data[:loc[0]], []byte("\n"))
			t.Errorf("%s:%d: %q does not belong in the project", f, line, data[loc[0]:loc[1]])
		}
	}
}
