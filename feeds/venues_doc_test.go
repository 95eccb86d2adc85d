package feeds

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var updateVenues = flag.Bool("update-venues", false, "rewrite docs/venues.md")

// TestVenuesPage holds docs/venues.md to what the venues' specifications say; with
// -update-venues it writes the page.
func TestVenuesPage(t *testing.T) {
	path := filepath.Join("..", "docs", "venues.md")
	page := venuesPage()
	if *updateVenues {
		if err := os.WriteFile(path, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, page) {
		t.Errorf("%s is stale: go test ./feeds -run TestVenuesPage -update-venues", path)
	}
}

func venuesPage() []byte {
	cell := func(s string) string {
		if s == "" {
			return "none"
		}
		return strings.ReplaceAll(s, "|", "\\|")
	}
	b := []byte("# Venues\n\nWhat each venue supports and which of its rules are checked, written from the code by `go test ./feeds -run TestVenuesPage -update-venues`. Whatever breaks a rule becomes a gap. Where a value differs on purpose from what others publish, [venues-conventions](venues-conventions.md) says why.\n")
	for _, v := range Venues() {
		s := v.Spec()
		b = fmt.Appendf(b, "\n## %s\n\nDocument: <%s>\n\n| channel | the venue's stream | rule that is checked |\n|---|---|---|\n", s.Name, s.Doc)
		for _, c := range s.Channels {
			b = fmt.Appendf(b, "| %s | %s | %s |\n", c.Channel, cell(c.Native), cell(c.Rule))
		}
		if s.ConnSeq != "" {
			b = fmt.Appendf(b, "\nConnection: %s.\n", s.ConnSeq)
		}
		if c, ok := v.(Credentialed); ok {
			b = fmt.Appendf(b, "\nCredentials: %s.\n", c.CredentialsFor())
		}
		lines := "one line publishes, another stands by with a book of its own"
		if s.MergeBooks {
			lines = "merged event by event"
		}
		b = fmt.Appendf(b, "\nBooks of several lines: %s.\n", lines)
	}
	return b
}
