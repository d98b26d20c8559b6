package main

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/go-kad/kad/examples/internal/node"
	"github.com/go-kad/kad/examples/internal/version"
)

// A cli is the command line: the flags that all commands have, and its surroundings.
type cli struct {
	env    func(string) (string, bool)
	stdin  io.Reader
	out    output
	stderr io.Writer

	api, network, config, log string
	swarmKey, token           string
	join, namespaces, sets    []string
	timeout                   time.Duration
	quiet                     bool
}

// root returns the command with all others below it.
func (c *cli) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "kad",
		Short:         "The command line of a Kademlia network.",
		Long:          "kad finds peers and values, stores them, and looks at nodes and networks:\nthrough a node that runs (--api), or by itself as a client (--network and --join).",
		Version:       version.Read().String(),
		SilenceErrors: true, // run prints them, on one line
		SilenceUsage:  true,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			near := cmd.SuggestionsFor(args[0])
			begun := slices.IndexFunc(near, func(name string) bool { return strings.HasPrefix(name, args[0]) })
			if len(near) > 0 {
				near = near[max(begun, 0):]
				return node.Usage("there is no command %q: is it %q?", args[0], near[0])
			}
			return node.Usage("there is no command %q: see kad --help for all", args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetVersionTemplate("kad {{.Version}}\n")
	root.SuggestionsMinimumDistance = 2
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return node.FlagError(err) })
	root.PersistentPreRunE = func(cmd *cobra.Command, _ []string) error { return c.fill(cmd) }

	set := root.PersistentFlags()
	set.SortFlags = false
	set.StringVar(&c.api, "api", "", "`URL` of the API of a node that runs, such as http://127.0.0.1:5001")
	set.StringVar(&c.token, "api-token", "", "`FILE` with the token that the node of --api asks for")
	set.StringVar(&c.network, "network", "", "`NAME` of the network to be a client of, such as /chat; /ipfs is the public IPFS network")
	set.StringArrayVar(&c.join, "join", nil, "`MULTIADDR/p2p/ID` of a peer of the network; repeatable")
	set.StringArrayVar(&c.namespaces, "open-namespace", nil, "`NS` whose records are valid whatever they hold; repeatable")
	set.StringArrayVar(&c.sets, "open-set", nil, "`NS` whose keys hold every value that is put under them; repeatable")
	set.StringVar(&c.swarmKey, "swarm-key", "", "`FILE` with the key of a private network")
	set.DurationVar(&c.timeout, "timeout", 30*time.Second, "how long one operation may take, a `DURATION`")
	set.BoolVar(&c.out.json, "json", false, "one JSON object a line, for programs")
	set.BoolVar(&c.quiet, "quiet", false, "say nothing of how far it is")
	set.StringVar(&c.config, "config", "", "`FILE` with settings; without it, kad/config.json in the user's directory of settings, if there is one")
	set.StringVar(&c.log, "log", "error", "`LEVEL` of the logs on stderr: debug, info, warn or error")

	run := node.Command()
	run.Use, run.Short = "node --network NAME", "Runs a node until it is interrupted."
	root.AddCommand(run)
	root.AddCommand(c.looks()...)
	root.AddCommand(c.records()...)
	root.AddCommand(c.pingCommand(), c.eventsCommand(), c.crawlCommand(), c.benchCommand(), c.versionCommand(), c.swarmKeyCommand())
	return root
}

// command returns a command that works through a node. It takes from least to most arguments.
func (c *cli) command(use, short string, least, most int, do func(ctx context.Context, s *session, args []string) error) *cobra.Command {
	return c.plain(use, short, least, most, func(ctx context.Context, args []string) error {
		s, err := c.open(ctx, false)
		if err != nil {
			return err
		}
		defer s.close()
		return do(ctx, s, args)
	})
}

// plain returns a command that opens what it needs itself.
func (c *cli) plain(use, short string, least, most int, do func(ctx context.Context, args []string) error) *cobra.Command {
	return &cobra.Command{
		Use:   use,
		Short: short,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < least || len(args) > most {
				return node.Usage("%s given: use kad %s", plural(len(args), "argument"), use)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return do(cmd.Context(), args) },
	}
}
