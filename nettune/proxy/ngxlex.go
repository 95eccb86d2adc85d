package proxy

import (
	"fmt"
	"strings"
)

// tokenKind is what a token of nginx's syntax is.
type tokenKind uint8

const (
	tokenEnd   tokenKind = iota // of the file
	tokenWord                   // quotes removed
	tokenSemi                   // ;
	tokenOpen                   // {
	tokenClose                  // }
)

type token struct {
	kind tokenKind
	text string
	line int
}

// ngxLexer splits a file of nginx's into tokens, as ngx_conf_read_token does.
type ngxLexer struct {
	file string
	s    string
	at   int
	line int
}

func (l *ngxLexer) fail(line int, format string, args ...any) error {
	return fmt.Errorf("proxy: %s:%d: %s", l.file, line, fmt.Sprintf(format, args...))
}

// next returns the next token; tokenEnd again and again at the end.
func (l *ngxLexer) next() (token, error) {
	l.blank()
	if l.at >= len(l.s) {
		return token{kind: tokenEnd, line: l.line}, nil
	}
	t := token{line: l.line}
	switch c := l.s[l.at]; c {
	case ';', '{', '}':
		l.at++
		t.kind = map[byte]tokenKind{';': tokenSemi, '{': tokenOpen, '}': tokenClose}[c]
		return t, nil
	case '"', '\'':
		t.kind = tokenWord
		text, err := l.quoted(c)
		if err != nil {
			return token{}, err
		}
		t.text = text
		// What follows a closing quote must be a blank or end the word.
		if l.at < len(l.s) && !strings.ContainsRune(" \t\r\n;{)", rune(l.s[l.at])) {
			return token{}, l.fail(l.line, "unexpected %q after a closing quote", l.s[l.at])
		}
		return t, nil
	}
	t.kind, t.text = tokenWord, l.word()
	return t, nil
}

// blank skips white space and comments.
func (l *ngxLexer) blank() {
	for l.at < len(l.s) {
		switch l.s[l.at] {
		case '\n':
			l.line++
		case ' ', '\t', '\r':
		case '#':
			for l.at < len(l.s) && l.s[l.at] != '\n' {
				l.at++
			}
			continue
		default:
			return
		}
		l.at++
	}
}

func (l *ngxLexer) quoted(quote byte) (string, error) {
	var b strings.Builder
	from := l.line
	for l.at++; l.at < len(l.s); l.at++ {
		switch c := l.s[l.at]; {
		case c == quote:
			l.at++
			return b.String(), nil
		case c == '\\' && l.at+1 < len(l.s):
			l.at++
			l.escaped(&b)
		default:
			if c == '\n' {
				l.line++
			}
			b.WriteByte(c)
		}
	}
	return "", l.fail(from, "a quote is not closed")
}

// escaped takes the character after a backslash.
func (l *ngxLexer) escaped(b *strings.Builder) {
	switch c := l.s[l.at]; c {
	case '"', '\'', '\\':
		b.WriteByte(c)
	case 't':
		b.WriteByte('\t')
	case 'r':
		b.WriteByte('\r')
	case 'n':
		b.WriteByte('\n')
	default:
		if c == '\n' {
			l.line++
		}
		b.WriteByte('\\')
		b.WriteByte(c)
	}
}

func (l *ngxLexer) word() string {
	var b strings.Builder
	for ; l.at < len(l.s); l.at++ {
		switch c := l.s[l.at]; {
		case strings.IndexByte(" \t\r\n;", c) >= 0:
			return b.String()
		case c == '{':
			// ${name} is a variable, any other brace opens a block.
			if !strings.HasSuffix(b.String(), "$") {
				return b.String()
			}
			b.WriteByte(c)
		case c == '\\' && l.at+1 < len(l.s):
			l.at++
			l.escaped(&b)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// raw skips a block of another language (Lua), whose brace is already taken: braces
// are counted outside its strings and comments.
func (l *ngxLexer) raw() error {
	from, depth := l.line, 1
	for ; l.at < len(l.s); l.at++ {
		switch c := l.s[l.at]; c {
		case '\n':
			l.line++
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				l.at++
				return nil
			}
		case '"', '\'':
			l.rawString(c)
		case '-':
			if strings.HasPrefix(l.s[l.at:], "--") {
				for l.at+1 < len(l.s) && l.s[l.at+1] != '\n' {
					l.at++
				}
			}
		}
	}
	return l.fail(from, "a block is not closed")
}

// rawString stops at the closing quote, or before the end of the line.
func (l *ngxLexer) rawString(quote byte) {
	for i := l.at + 1; i < len(l.s) && l.s[i] != '\n'; i++ {
		switch l.s[i] {
		case '\\':
			i++
		case quote:
			l.at = i
			return
		}
	}
}
