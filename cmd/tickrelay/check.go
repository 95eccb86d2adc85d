package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

func checkCommand() *cobra.Command {
	var file string
	var asJSON, keys bool
	c := &cobra.Command{
		Use:   "check -c FILE | check --keys [KEY]",
		Short: "Validate a configuration: every problem, with file and line",
		Long: `check reads a configuration as run does and names every problem at once, each with file,
line and what to write instead. The files that it names (certificates, secrets, keys) are
read too. Nothing is connected to or changed. Exit status 1 if there is a problem.

--keys prints every key with its type, default and meaning, or those of one key.`,
		Args: usage(cobra.MaximumNArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			switch {
			case keys && file == "":
				text, err := explain(append(args, "")[0])
				if err == nil {
					_, err = io.WriteString(c.OutOrStdout(), text)
				}
				return err
			case len(args) > 0 || keys:
				return usageError{fmt.Errorf("check: want -c FILE, or --keys and at most one key")}
			case file == "":
				return usageError{fmt.Errorf("check: -c FILE is needed")}
			}
			cfg, d, err := readConfig(file)
			if asJSON && d != nil {
				return d.report(c.OutOrStdout())
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(c.OutOrStdout(), "%s: ok: relay %q, %d feeds, %d rings\n", file, cfg.Relay, len(cfg.Feeds), len(cfg.Rings))
			return nil
		},
	}
	c.Flags().StringVarP(&file, "config", "c", "", "configuration file")
	c.Flags().BoolVar(&keys, "keys", false, "print the keys that there are")
	c.Flags().BoolVar(&asJSON, "json", false, "print the problems as JSON")
	return c
}

// report prints the problems as JSON.
func (d *yamlDecoder) report(out io.Writer) error {
	type found struct {
		File string `json:"file"`
		Line int    `json:"line"`
		Text string `json:"text"`
	}
	list := []found{}
	_ = d.err() // sorts them
	for _, p := range d.problems {
		list = append(list, found{d.file, p.line, p.text})
	}
	err := json.NewEncoder(out).Encode(struct {
		OK       bool    `json:"ok"`
		Problems []found `json:"problems"`
	}{len(list) == 0, list})
	if err == nil && len(list) > 0 {
		err = foundError(exitFailed)
	}
	return err
}
