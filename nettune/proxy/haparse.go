package proxy

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// haSections are the words that start a section of haproxy's.
var haSections = map[string]bool{"global": true, "defaults": true, "frontend": true, "backend": true, "listen": true,
	"peers": true, "mailers": true, "mailer": true, "resolvers": true, "userlist": true, "cache": true, "program": true,
	"ring": true, "log-forward": true, "log-profile": true, "http-errors": true, "fcgi-app": true, "crt-store": true,
	"traces": true, "acme": true, "healthcheck": true}

// haLine is one statement of haproxy's.
type haLine struct {
	place
	words []string
}

func (l *haLine) text() string { return strings.Join(l.words, " ") }

func (l *haLine) word(i int) string {
	if i < len(l.words) {
		return l.words[i]
	}
	return ""
}

// starts reports whether the statement begins with these words.
func (l *haLine) starts(words ...string) bool {
	for i, w := range words {
		if l.word(i) != w {
			return false
		}
	}
	return true
}

// after returns the word that follows a keyword, for instance of a server line.
func (l *haLine) after(keyword string) (string, bool) {
	for i, w := range l.words {
		if w == keyword {
			return l.word(i + 1), true
		}
	}
	return "", false
}

// haSection is a section with the defaults that it inherits from.
type haSection struct {
	haLine // its first line
	kind   string
	name   string
	lines  []*haLine
	from   *haSection
}

// parseHAProxy reads the files in their order into sections.
func parseHAProxy(src source, files []string) ([]*haSection, error) {
	var out []*haSection
	var defaults *haSection // the last one
	named := map[string]*haSection{}
	count := 0
	for _, file := range files {
		data, err := src.read(file)
		if err != nil {
			return nil, fmt.Errorf("proxy: %w", err)
		}
		var in *haSection
		number := 0
		for text := range strings.Lines(string(data)) {
			number++
			words, err := haWords(strings.TrimRight(text, "\r\n"))
			if err != nil {
				return nil, fmt.Errorf("proxy: %s:%d: %w", file, number, err)
			}
			if len(words) == 0 || strings.HasPrefix(words[0], ".") {
				continue // .if and the like: both branches are judged
			}
			if count++; count > maxDirectives {
				return nil, errTooMuch
			}
			line := haLine{place{file, number}, words}
			if !haSections[words[0]] {
				if in == nil {
					return nil, fmt.Errorf("proxy: %s:%d: %q stands before any section", file, number, words[0])
				}
				in.lines = append(in.lines, &line)
				continue
			}
			in = &haSection{haLine: line, kind: words[0], name: line.word(1), from: defaults}
			if from, ok := line.after("from"); ok {
				in.from = named[from]
			} else if in.kind == "defaults" {
				in.from = nil // starts anew
			}
			if in.kind == "defaults" {
				defaults = in
				named[in.name] = in
			}
			out = append(out, in)
		}
	}
	return out, nil
}

// haWords splits a line: blanks separate, quotes and backslashes join, # comments out.
func haWords(s string) ([]string, error) {
	var words []string
	var b strings.Builder
	inside := false // a word has begun
	var quote byte
	end := func() {
		if inside {
			words = append(words, b.String())
			b.Reset()
		}
		inside = false
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0 && c == quote:
			quote = 0
		case quote == '\'':
			b.WriteByte(c)
		case c == '\\' && i+1 < len(s):
			i++
			inside = true
			b.WriteByte(s[i])
		case quote != 0:
			b.WriteByte(c)
		case c == '"' || c == '\'':
			quote, inside = c, true
		case c == '#':
			end()
			return words, nil
		case c == ' ' || c == '\t':
			end()
		default:
			inside = true
			b.WriteByte(c)
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a %c quote is not closed", quote)
	}
	end()
	return words, nil
}

// find returns the statement in force that begins with these words: the last one of
// the section, else of its defaults.
func (s *haSection) find(words ...string) *haLine {
	for depth := 0; s != nil && depth < maxDepth; s, depth = s.from, depth+1 {
		for i := len(s.lines) - 1; i >= 0; i-- {
			if s.lines[i].starts(words...) {
				return s.lines[i]
			}
		}
	}
	return nil
}

// option reports whether an option is in force, and where it was set.
func (s *haSection) option(name string) (*haLine, bool) {
	for depth := 0; s != nil && depth < maxDepth; s, depth = s.from, depth+1 {
		for i := len(s.lines) - 1; i >= 0; i-- {
			if l := s.lines[i]; l.starts("option", name) {
				return l, true
			} else if l.starts("no", "option", name) {
				return l, false
			}
		}
	}
	return nil, false
}

// haTime reads a time of haproxy's: milliseconds unless a unit (us ms s m h d) follows.
func haTime(s string) (time.Duration, bool) {
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	n, err := strconv.ParseUint(s[:digits], 10, 40)
	if err != nil {
		return 0, false
	}
	unit, ok := map[string]time.Duration{"": time.Millisecond, "us": time.Microsecond, "ms": time.Millisecond,
		"s": time.Second, "m": time.Minute, "h": time.Hour, "d": 24 * time.Hour}[s[digits:]]
	if !ok || n > uint64((1<<62)/unit) {
		return 1 << 62, ok
	}
	return time.Duration(n) * unit, true
}
