package main

import (
	"context"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	if err := check(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "composecheck:", err)
		os.Exit(1)
	}
}

// check loads the files as one project, with their variables unset, and prints it.
func check(files []string) error {
	o, err := cli.NewProjectOptions(files, cli.WithResolvedPaths(false), cli.WithProfiles([]string{"*"}))
	if err != nil {
		return err
	}
	p, err := o.LoadProject(context.Background())
	if err != nil {
		return err
	}
	for name, s := range p.Services {
		if s.Image == "" || s.NetworkMode == "" {
			return fmt.Errorf("service %s: image and network_mode are wanted", name)
		}
	}
	text, err := p.MarshalYAML()
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}
