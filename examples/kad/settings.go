package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/go-kad/kad/examples/internal/node"
)

// fill gives the flags of a command that are not on the command line the values of the
// environment and of the file with settings.
func (c *cli) fill(cmd *cobra.Command) error {
	if cmd.Name() == cobra.ShellCompRequestCmd { // a mistake in the settings must not end completion
		undecorate(cmd.Root())
		return nil
	}
	flags := cmd.Flags()
	given := make(map[string]bool)
	flags.Visit(func(f *pflag.Flag) { given[f.Name] = true })
	_, alone := given["network"]
	alone = alone || given["join"]
	if cmd.Name() != "node" { // whose API is another thing
		if given["api"] && alone {
			return node.Usage("--api and --network or --join are given: use --api for a node that runs, or the others to be a client")
		}
		given["api"] = given["api"] || alone // as if it were, so that it stays empty
		given["network"] = given["network"] || given["api"] && !alone
	}

	file, err := c.readConfig(cmd)
	if err != nil {
		return err
	}
	var errs []error
	flags.VisitAll(func(f *pflag.Flag) {
		if given[f.Name] {
			return
		}
		name := "KAD_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
		values, source := file[f.Name], "the file of --config: "+f.Name
		if text, ok := c.env(name); ok {
			values, source = []string{text}, name
			if f.Value.Type() == "stringArray" {
				values = strings.Split(text, ",")
			}
		}
		for _, v := range values {
			if err := flags.Set(f.Name, v); err != nil {
				errs = append(errs, node.BadValue(source, v, f))
			}
		}
	})
	if c.timeout <= 0 || c.timeout > node.MaxTimeout {
		errs = append(errs, node.Usage("--timeout is %v: use a duration such as 10s, up to %v", c.timeout, node.MaxTimeout))
	}
	return errors.Join(errs...)
}

// undecorate takes the marks of names out of what the flags of all commands mean, since a shell
// shows them as they are.
func undecorate(cmd *cobra.Command) {
	plain := func(f *pflag.Flag) { f.Usage = strings.ReplaceAll(f.Usage, "`", "") }
	cmd.PersistentFlags().VisitAll(plain)
	cmd.Flags().VisitAll(plain)
	for _, below := range cmd.Commands() {
		undecorate(below)
	}
}

// readConfig returns the file with settings: the values of each flag.
func (c *cli) readConfig(cmd *cobra.Command) (map[string][]string, error) {
	path, must := c.config, true
	if path == "" {
		path, _ = c.env("KAD_CONFIG")
	}
	if path == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return nil, nil //nolint:nilerr // there is no such directory, and so no file
		}
		path, must = filepath.Join(dir, "kad", "config.json"), false
	}
	text, err := os.ReadFile(path) //nolint:gosec // the file that the user named
	if errors.Is(err, fs.ErrNotExist) && !must {
		return nil, nil
	}
	if err != nil {
		return nil, node.Usage("--config: %w", err)
	}
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		return nil, node.Usage("--config: %s is no JSON object such as {\"network\": \"/chat\"}: %w", path, err)
	}
	values := make(map[string][]string)
	for name, value := range object {
		if !isFlag(cmd.Root(), name) {
			return nil, node.Usage("--config: %s has %q, which is no flag of a command", path, name)
		}
		list, ok := value.([]any)
		if !ok {
			list = []any{value}
		}
		for _, v := range list {
			switch v.(type) {
			case string, bool, float64:
			default:
				return nil, node.Usage("--config: %s has %q that is neither text, number, true or false, nor a list of them", path, name)
			}
			values[name] = append(values[name], fmt.Sprint(v))
		}
	}
	return values, nil
}

// isFlag reports whether a command, or one below it, has a flag.
func isFlag(cmd *cobra.Command, name string) bool {
	if cmd.PersistentFlags().Lookup(name) != nil || cmd.Flags().Lookup(name) != nil {
		return true
	}
	for _, below := range cmd.Commands() {
		if isFlag(below, name) {
			return true
		}
	}
	return false
}
