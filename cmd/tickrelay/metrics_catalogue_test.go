package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// metricDef is one metric as the source declares it.
type metricDef struct {
	name, help string
	labels     []string
	file       string
}

// declaredMetrics finds every metric that the source declares: calls to
// prometheus.NewDesc, and to the functions that wrap it with a prefix.
func declaredMetrics(t *testing.T) map[string]metricDef {
	t.Helper()
	byDir := map[string][]*ast.File{}
	fset := token.NewFileSet()
	for _, f := range repoFiles(t) {
		if !strings.HasSuffix(f, ".go") || strings.HasSuffix(f, "_test.go") {
			continue
		}
		tree, err := parser.ParseFile(fset, filepath.Join(repoRoot, f), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		byDir[filepath.Dir(f)] = append(byDir[filepath.Dir(f)], tree)
	}
	found := map[string]metricDef{}
	for _, files := range byDir {
		shared := map[string]wrapper{} // those of the package
		for _, f := range files {
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
					if w, ok := wrapperOf(fn.Body); ok {
						shared[fn.Name.Name] = w
					}
				}
			}
		}
		for _, f := range files {
			for _, d := range f.Decls {
				declaredIn(t, fset, d, shared, found)
			}
		}
	}
	return found
}

// wrapper is a function that declares metrics with a prefix and labels of its own.
type wrapper struct {
	prefix string
	labels []string
}

// wrapperOf recognises the body { return prometheus.NewDesc("prefix"+name, help, …) }.
func wrapperOf(body *ast.BlockStmt) (wrapper, bool) {
	if body == nil || len(body.List) != 1 {
		return wrapper{}, false
	}
	ret, ok := body.List[0].(*ast.ReturnStmt)
	if !ok || len(ret.Results) != 1 {
		return wrapper{}, false
	}
	call, ok := ret.Results[0].(*ast.CallExpr)
	if !ok || !isNewDesc(call) {
		return wrapper{}, false
	}
	sum, ok := call.Args[0].(*ast.BinaryExpr)
	if !ok {
		return wrapper{}, false
	}
	prefix, ok := literal(sum.X)
	var labels []string
	ast.Inspect(call.Args[2], func(n ast.Node) bool {
		if s, ok := n.(*ast.BasicLit); ok {
			text, _ := literal(s)
			labels = append(labels, text)
		}
		return true
	})
	return wrapper{prefix, labels}, ok
}

func isNewDesc(c *ast.CallExpr) bool {
	sel, ok := c.Fun.(*ast.SelectorExpr)
	return ok && sel.Sel.Name == "NewDesc"
}

// literal joins string literals and sums of them.
func literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, err := strconv.Unquote(e.Value)
		return s, err == nil && e.Kind == token.STRING
	case *ast.BinaryExpr:
		x, okx := literal(e.X)
		y, oky := literal(e.Y)
		return x + y, okx && oky && e.Op == token.ADD
	}
	return "", false
}

// declaredIn collects what one declaration declares.
func declaredIn(t *testing.T, fset *token.FileSet, d ast.Decl, shared map[string]wrapper, found map[string]metricDef) {
	own := map[string]wrapper{} // assigned to a name inside d
	ast.Inspect(d, func(n ast.Node) bool {
		if as, ok := n.(*ast.AssignStmt); ok && len(as.Lhs) == 1 {
			if fn, ok := as.Rhs[0].(*ast.FuncLit); ok {
				if w, ok := wrapperOf(fn.Body); ok {
					own[as.Lhs[0].(*ast.Ident).Name] = w
				}
			}
		}
		return true
	})
	ast.Inspect(d, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) < 2 {
			return true
		}
		w, args := wrapper{}, call.Args
		if id, ok := call.Fun.(*ast.Ident); ok {
			if w, ok = own[id.Name]; !ok {
				if w, ok = shared[id.Name]; !ok {
					return true
				}
			}
		} else if !isNewDesc(call) {
			return true
		}
		name, ok := literal(args[0])
		if !ok {
			return true // inside a wrapper
		}
		help, ok := literal(args[1])
		at := fset.Position(call.Pos())
		if !ok {
			t.Errorf("%s: the help of %s is no literal", at, name)
		}
		m := metricDef{name: w.prefix + name, help: help, labels: append([]string(nil), w.labels...), file: at.String()}
		for _, a := range args[2:] {
			if l, ok := literal(a); ok {
				m.labels = append(m.labels, l)
			}
		}
		if before, twice := found[m.name]; twice {
			t.Errorf("%s: %s is declared at %s too", at, m.name, before.file)
		}
		found[m.name] = m
		return true
	})
}
