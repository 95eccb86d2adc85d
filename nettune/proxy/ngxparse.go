package proxy

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
)

// directive is one statement of nginx's, with its block if it has one.
type directive struct {
	place
	name  string
	args  []string
	block []*directive
	open  bool // has a block
}

// text is the directive as a finding quotes it.
func (d *directive) text() string { return strings.Join(append([]string{d.name}, d.args...), " ") }

func (d *directive) arg(i int) string {
	if i < len(d.args) {
		return d.args[i]
	}
	return ""
}

// ngxParser reads a main file and, in their places, the files it includes.
type ngxParser struct {
	src     source
	base    string // folder of the main file; relative includes start there
	stack   []string
	files   []string
	count   int // directives
	reads   int
	missing []Finding // includes that could not be read
}

var errTooMuch = errors.New("proxy: configuration too large: includes that multiply?")

// parseNginx returns the statements of the main context.
func parseNginx(src source, file string) (*ngxParser, []*directive, error) {
	p := &ngxParser{src: src, base: filepath.Dir(file)}
	tree, err := p.file(file)
	return p, tree, err
}

func (p *ngxParser) file(name string) ([]*directive, error) {
	if p.reads++; p.reads > maxFiles || len(p.stack) > maxDepth {
		return nil, errTooMuch
	}
	data, err := p.src.read(name)
	if err != nil {
		return nil, err
	}
	p.stack = append(p.stack, name)
	defer func() { p.stack = p.stack[:len(p.stack)-1] }()
	if !slices.Contains(p.files, name) {
		p.files = append(p.files, name)
	}
	l := &ngxLexer{file: name, s: strings.TrimPrefix(string(data), "\ufeff"), line: 1}
	return p.block(l, 0)
}

// block reads statements to the closing brace, or at depth 0 to the end of the file.
func (p *ngxParser) block(l *ngxLexer, depth int) ([]*directive, error) {
	var out []*directive
	for {
		t, err := l.next()
		if err != nil {
			return nil, err
		}
		switch {
		case t.kind == tokenEnd && depth > 0:
			return nil, l.fail(t.line, "a block is not closed")
		case t.kind == tokenEnd, t.kind == tokenClose && depth > 0:
			return out, nil
		case t.kind != tokenWord:
			return nil, l.fail(t.line, "unexpected %q", map[tokenKind]string{tokenSemi: ";", tokenOpen: "{", tokenClose: "}"}[t.kind])
		}
		if p.count++; p.count > maxDirectives {
			return nil, errTooMuch
		}
		d := &directive{place: place{l.file, t.line}, name: t.text}
		if err := p.rest(l, d, depth); err != nil {
			return nil, err
		}
		if d.name != "include" || d.open {
			out = append(out, d)
			continue
		}
		included, err := p.include(d)
		if err != nil {
			return nil, err
		}
		out = append(out, included...)
	}
}

// rest reads the operands and the block of a statement.
func (p *ngxParser) rest(l *ngxLexer, d *directive, depth int) error {
	for {
		t, err := l.next()
		if err != nil {
			return err
		}
		switch t.kind {
		case tokenWord:
			d.args = append(d.args, t.text)
		case tokenSemi:
			return nil
		case tokenOpen:
			d.open = true
			if strings.HasSuffix(d.name, "_by_lua_block") {
				return l.raw()
			}
			if depth >= maxDepth {
				return l.fail(t.line, "blocks are nested deeper than %d", maxDepth)
			}
			d.block, err = p.block(l, depth+1)
			return err
		default:
			return l.fail(d.line, "%q is not ended by ; or a block", d.name)
		}
	}
}

// include reads the files that an include names, in the order of their names.
func (p *ngxParser) include(d *directive) ([]*directive, error) {
	pattern := d.arg(0)
	if !filepath.IsAbs(pattern) {
		pattern = filepath.Join(p.base, pattern)
	}
	names := []string{pattern}
	wild := strings.ContainsAny(pattern, "*?[")
	if wild {
		var err error
		if names, err = p.src.glob(pattern); err != nil {
			p.lack(d, err.Error())
			return nil, nil
		}
		slices.Sort(names)
	}
	var out []*directive
	for _, name := range names {
		if slices.Contains(p.stack, name) {
			p.lack(d, name+" includes itself; nginx refuses it")
			continue
		}
		block, err := p.file(name)
		if errors.Is(err, errTooMuch) {
			return nil, err
		}
		if err != nil {
			p.lack(d, err.Error())
			continue
		}
		out = append(out, block...)
	}
	return out, nil
}

// lack notes what could not be read; the rest is judged all the same.
func (p *ngxParser) lack(d *directive, why string) {
	s := Warning
	switch filepath.Base(d.arg(0)) {
	case "mime.types", "fastcgi_params", "fastcgi.conf", "uwsgi_params", "scgi_params":
		s = Note
	}
	p.missing = append(p.missing, d.finding(s, d.text(), "not judged: "+why, "check on the host that nginx runs on"))
}
