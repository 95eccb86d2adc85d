package tune

import (
	"fmt"
	"io/fs"
	"strings"
)

// treeNIC reads and edits the output of ethtool(8) in a copied tree:
//
//	ethtool/IFACE/driver    ethtool -i IFACE
//	ethtool/IFACE/coalesce  ethtool -c IFACE
//	ethtool/IFACE/ring      ethtool -g IFACE
//	ethtool/IFACE/feature   ethtool -k IFACE
//	ethtool/IFACE/stat      ethtool -S IFACE
type treeNIC struct{ h *Host }

func (n treeNIC) file(iface, class string) string { return "/ethtool/" + iface + "/" + class }

// Get finds a value in the class's file.
func (n treeNIC) Get(iface, class, name string) (string, error) {
	data, err := n.h.ReadFile(n.file(iface, class))
	if err != nil {
		return "", err
	}
	if class == "driver" {
		name = "driver"
	}
	for _, v := range ethtoolValues(class, string(data)) {
		if v.name == name && v.text != "n/a" && !v.fixed {
			return v.text, nil
		}
	}
	return "", fmt.Errorf("%s %s of %s: %w", class, name, iface, fs.ErrNotExist)
}

// Set replaces a value in the class's file.
func (n treeNIC) Set(iface, class, name, value string) error {
	path := n.file(iface, class)
	data, err := n.h.ReadFile(path)
	if err != nil {
		return err
	}
	for _, v := range ethtoolValues(class, string(data)) {
		if v.name == name && !v.fixed {
			out := string(data[:v.at]) + value + string(data[v.at+len(v.text):])
			return n.h.Set(path, strings.TrimSuffix(out, "\n"))
		}
	}
	return fmt.Errorf("%s %s of %s: %w", class, name, iface, fs.ErrNotExist)
}

// ethtoolValue is one value in ethtool's text.
type ethtoolValue struct {
	name, text string
	at         int // offset of text
	fixed      bool
}

// ethtoolValues reads the "name: value" lines of one class. The two values of
// the Adaptive line and the two halves of -g get names of their own, as
// ethtool's set options spell them.
func ethtoolValues(class, data string) []ethtoolValue {
	var out []ethtoolValue
	maximums := false
	for at := 0; at < len(data); {
		line := data[at:]
		if i := strings.IndexByte(line, '\n'); i >= 0 {
			line = line[:i]
		}
		start := at
		at += len(line) + 1
		name, _, ok := strings.Cut(line, ":")
		if !ok {
			continue
		}
		value := line[len(name)+1:]
		name = strings.TrimSpace(name)
		switch {
		case strings.HasPrefix(name, "Pre-set max"):
			maximums = true
			continue
		case strings.HasPrefix(name, "Current hardware"):
			maximums = false
			continue
		case name == "Adaptive RX":
			out = append(out, adaptive(line, start)...)
			continue
		case class == "ring":
			name = strings.ToLower(name)
			if maximums {
				name += "-max"
			}
		}
		word, rest, _ := strings.Cut(strings.TrimSpace(value), " ")
		if word == "" {
			continue
		}
		out = append(out, ethtoolValue{name, word, start + strings.Index(line, ":") + 1 +
			strings.Index(value, word), strings.Contains(rest, "[fixed]")})
	}
	return out
}

// adaptive reads "Adaptive RX: on  TX: off".
func adaptive(line string, start int) []ethtoolValue {
	var out []ethtoolValue
	for _, dir := range []string{"RX", "TX"} {
		i := strings.Index(line, dir+":")
		if i < 0 {
			continue
		}
		i += len(dir) + 1
		for i < len(line) && (line[i] == ' ' || line[i] == '\t') {
			i++
		}
		j := i
		for j < len(line) && line[j] != ' ' && line[j] != '\t' {
			j++
		}
		if j > i {
			out = append(out, ethtoolValue{"adaptive-" + strings.ToLower(dir), line[i:j], start + i, false})
		}
	}
	return out
}
