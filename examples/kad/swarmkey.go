package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/go-kad/kad/examples/internal/swarmkey"
)

// swarmKeyCommand returns the command swarm-key.
func (c *cli) swarmKeyCommand() *cobra.Command {
	return c.plain("swarm-key", "Makes the key of a private network, for the flag --swarm-key of all its peers.", 0, 0, func(context.Context, []string) error {
		if key := swarmkey.New(); c.out.json {
			c.out.object(map[string]string{"swarm_key": key})
		} else {
			c.out.say("%s", strings.TrimSuffix(key, "\n"))
		}
		return nil
	})
}
