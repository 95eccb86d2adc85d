package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// pages are the documents whose commands and configurations must be right.
func pages(t *testing.T) (out []string) {
	t.Helper()
	for _, glob := range []string{"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md", "deploy/*/*.md"} {
		found, err := filepath.Glob(filepath.Join(repoRoot, glob))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %d files", glob, err, len(found))
		}
		for _, f := range found {
			rel, err := filepath.Rel(repoRoot, f)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, rel)
		}
	}
	return out
}

// words splits a line as a shell would, up to what ends a command.
func words(line string) (out []string) {
	var w strings.Builder
	quote, in := rune(0), false
	end := func() {
		if in {
			out = append(out, w.String())
		}
		w.Reset()
		in = false
	}
	for _, r := range line {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, in = r, true
		case quote == 0 && (r == ' ' || r == '\t'):
			end()
		case quote == 0 && strings.ContainsRune(";|&>", r), quote == 0 && r == '#' && !in:
			end()
			return out
		default:
			w.WriteRune(r)
			in = true
		}
	}
	end()
	return out
}

// sample stands for a placeholder such as N where a flag wants a value of a type.
func sample(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "duration":
		return "1s"
	case "string", "stringSlice", "stringArray":
		return "x"
	default:
		return "1"
	}
}

// flagOf is the flag that a word such as --config or -c names, nil if there is none.
func flagOf(c *cobra.Command, word string) *pflag.Flag {
	name := strings.TrimLeft(word, "-")
	if f := c.Flags().Lookup(name); f != nil || len(name) != 1 {
		return f
	}
	return c.Flags().ShorthandLookup(name)
}

var placeholder = regexp.MustCompile(`^[A-Z][A-Z0-9]*…?$`)

// parsed is what a command line names, without running it.
type parsed struct {
	cmd      *cobra.Command
	operands []string
}

// parseLine finds the command of args and parses its flags. Placeholders in capitals
// stand for values; of a last flag the value may be left out, as prose does.
func parseLine(args []string) (parsed, error) {
	root := rootCommand()
	root.InitDefaultVersionFlag()
	cmd, rest, err := root.Find(args)
	if err != nil {
		return parsed{}, err
	}
	cmd.InitDefaultHelpFlag()
	rest = slices.Clone(rest)
	for i := 0; i+1 < len(rest); i++ {
		f := flagOf(cmd, rest[i])
		if strings.HasPrefix(rest[i], "-") && f != nil && f.NoOptDefVal == "" && placeholder.MatchString(rest[i+1]) {
			rest[i+1] = sample(f)
		}
	}
	if n := len(rest); n > 0 && strings.HasPrefix(rest[n-1], "-") {
		if f := flagOf(cmd, rest[n-1]); f != nil && f.NoOptDefVal == "" {
			rest = append(rest, sample(f))
		}
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return parsed{}, fmt.Errorf("%s: %w", cmd.CommandPath(), err)
	}
	p := parsed{cmd, cmd.Flags().Args()}
	if cmd.HasSubCommands() && len(p.operands) > 0 {
		return p, cmd.ValidateArgs(p.operands)
	}
	return p, nil
}

var (
	callOfOurs = regexp.MustCompile(`(?:^|[\s/;&(])tickrelay((?:\s+|$).*)`)
	longFlag   = regexp.MustCompile(`(?:^|[\s(])(--[a-z][a-z0-9-]*)`)
	manySpaces = regexp.MustCompile(`\s{2,}`)
)

// commandIn is the command line of ours that a line of a block holds, and the prose
// beside it. Two spaces and more begin the prose, unless a flag follows.
func commandIn(line string) (args []string, prose string, ok bool) {
	if m := regexp.MustCompile(`go run \./cmd/tickrelay(.*)`).FindStringSubmatch(line); m != nil {
		return words(m[1]), "", true
	}
	m := callOfOurs.FindStringSubmatchIndex(line)
	if m == nil {
		return nil, "", false
	}
	before, rest := line[:m[0]], line[m[2]:]
	for _, other := range []string{"-n", "enable --now", "build -o", "docker", "#", ":/dev"} {
		if strings.Contains(before, other) {
			return nil, "", false
		}
	}
	chunks := manySpaces.Split(rest, -1)
	n := 1
	for n < len(chunks) && strings.HasPrefix(chunks[n], "-") {
		n++
	}
	return words(strings.Join(chunks[:n], " ")), strings.Join(chunks[n:], " "), true
}

// TestDocsCommands parses every command line that a block of a page shows: the command
// exists, its flags do, and it takes as many operands.
func TestDocsCommands(t *testing.T) {
	seen := 0
	for _, page := range pages(t) {
		for _, b := range blocksOf(t, page) {
			if b.lang != "" && b.lang != "sh" {
				continue
			}
			for i, line := range strings.Split(b.text, "\n") {
				args, prose, ok := commandIn(line)
				if !ok {
					continue
				}
				seen++
				where := fmt.Sprintf("%s:%d: %s", page, b.line+i, strings.TrimSpace(line))
				p, err := parseLine(args)
				if err != nil {
					t.Errorf("%s\n\t%v", where, err)
					continue
				}
				if err := p.cmd.ValidateArgs(p.operands); err != nil {
					t.Errorf("%s\n\t%v", where, err)
				}
				for _, f := range longFlag.FindAllStringSubmatch(prose, -1) {
					if p.cmd.Flags().Lookup(f[1][2:]) == nil {
						t.Errorf("%s\n\t%s has no flag %s", where, p.cmd.CommandPath(), f[1])
					}
				}
			}
		}
	}
	if seen < 40 {
		t.Errorf("%d command lines found in the blocks: this test does not see them", seen)
	}
}

// span is text between backticks.
type span struct {
	text   string
	line   int
	joined bool // to the one before, by a comma, in the first cell of a row
}

var codeSpan = regexp.MustCompile("`([^`]+)`")

// spansOf are the spans of a page that are outside of blocks.
func spansOf(t *testing.T, page string) (out []span) {
	t.Helper()
	inBlock := false
	for i, line := range strings.Split(textOf(t, filepath.Join(repoRoot, page)), "\n") {
		if strings.HasPrefix(line, "```") {
			inBlock = !inBlock
			continue
		}
		if inBlock {
			continue
		}
		last := -1
		for _, m := range codeSpan.FindAllStringSubmatchIndex(line, -1) {
			s := span{text: line[m[2]:m[3]], line: i + 1}
			s.joined = last >= 0 && strings.HasPrefix(line, "| `") && strings.Count(line[:m[0]], "|") == 1 && line[last:m[0]] == ", "
			out = append(out, s)
			last = m[1]
		}
	}
	return out
}

// otherFlags are flags of other programs that the pages name by themselves.
var otherFlags = map[string]string{
	"--build-arg": "docker", "--cap-add": "docker", "--cpuset-cpus": "docker",
}

// TestDocsSpans parses the commands and flags that the prose names in backticks.
func TestDocsSpans(t *testing.T) {
	root := rootCommand()
	flags := map[string]bool{"--help": true, "--version": true}
	var gather func(c *cobra.Command)
	gather = func(c *cobra.Command) {
		add := func(f *pflag.Flag) { flags["--"+f.Name] = true }
		c.Flags().VisitAll(add)
		c.PersistentFlags().VisitAll(add)
		for _, sub := range c.Commands() {
			gather(sub)
		}
	}
	gather(root)
	child := func(c *cobra.Command, name string) bool {
		return slices.ContainsFunc(c.Commands(), func(s *cobra.Command) bool { return s.Name() == name })
	}
	seen := 0
	for _, page := range pages(t) {
		var before *cobra.Command
		for _, s := range spansOf(t, page) {
			args := words(strings.NewReplacer("[", "", "]", "").Replace(s.text))
			if len(args) == 0 {
				continue
			}
			where := fmt.Sprintf("%s:%d: `%s`", page, s.line, s.text)
			switch {
			case args[0] == "tickrelay":
				args = args[1:]
			case s.joined && before != nil && child(before.Parent(), args[0]): // `ring ls`, `stat`
				args = append(strings.Fields(before.Parent().CommandPath())[1:], args...)
			case s.joined && before != nil && child(root, args[0]):
			case s.joined && before != nil:
				t.Errorf("%s\n\tno command beside %q", where, before.CommandPath())
				continue
			case len(args) > 1 && child(root, args[0]) && !strings.HasPrefix(s.text, "reload "): // `ring stat NAME`
				c, _, _ := root.Find(args[:1])
				if !strings.HasPrefix(args[1], "-") && !child(c, args[1]) {
					continue
				}
			case strings.HasPrefix(args[0], "--"):
				name, _, _ := strings.Cut(args[0], "=")
				if !flags[name] && otherFlags[name] == "" {
					t.Errorf("%s\n\tno command has the flag %s; if it is another program's, add it to otherFlags", where, name)
				}
				continue
			default:
				before = nil
				continue
			}
			seen++
			p, err := parseLine(args)
			if err != nil {
				t.Errorf("%s\n\t%v", where, err)
				before = nil
				continue
			}
			before = p.cmd
		}
	}
	if seen < 60 {
		t.Errorf("%d commands found in the prose: this test does not see them", seen)
	}
}

// TestDeployCommands parses the command lines of units, images, manifests and rules.
func TestDeployCommands(t *testing.T) {
	flow := regexp.MustCompile(`(?m)^\s*(?:command|args|test):\s*\[(.*)\]|^(?:CMD|HEALTHCHECK.*CMD)\s*\[(.*)\]`)
	unit := regexp.MustCompile(`(?m)^Exec[A-Za-z]*=/usr/bin/tickrelay (.*)$`)
	prose := regexp.MustCompile(`(?m)(?:^#.*[^/n]|action: .*|") ?tickrelay ([a-z]+ .*)$`)
	endOfProse := regexp.MustCompile(`[;,"{:]|\.$| for | says `)
	seen := 0
	err := filepath.WalkDir(filepath.Join(repoRoot, "deploy"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text := textOf(t, path)
		check := func(line string, args []string, whole bool) {
			seen++
			p, err := parseLine(args)
			if err == nil && whole {
				err = p.cmd.ValidateArgs(p.operands)
			}
			if err != nil {
				t.Errorf("%s: %s\n\t%v", path, line, err)
			}
		}
		for _, m := range flow.FindAllStringSubmatch(text, -1) {
			var args []string
			for a := range strings.SplitSeq(m[1]+m[2], ",") {
				args = append(args, strings.Trim(strings.TrimSpace(a), `"'`))
			}
			if args[0] == "CMD" {
				args = args[1:]
			}
			if strings.HasSuffix(args[0], "tickrelay") {
				args = args[1:]
			} else if c, _, _ := rootCommand().Find(args[:1]); c.Name() != args[0] {
				continue // of another program
			}
			check(m[0], args, true)
		}
		for _, m := range unit.FindAllStringSubmatch(text, -1) {
			check(m[0], words(strings.NewReplacer("${", "", "}", "", "$", "").Replace(m[1])), true)
		}
		for _, m := range prose.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[0], "kubectl -n ") {
				continue // a namespace
			}
			line := endOfProse.Split(m[1], 2)[0]
			check(m[0], words(line), false)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen < 20 {
		t.Errorf("%d command lines found in deploy: this test does not see them", seen)
	}
}
