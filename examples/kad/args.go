package main

import (
	"encoding/hex"
	"strings"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"

	"github.com/go-kad/kad/examples/internal/node"
	kad "github.com/go-kad/kad/host"
)

// check has a command look at its first argument, if it has one, before it asks a node or a network.
func check(cmd *cobra.Command, is func(arg string) error) *cobra.Command {
	counted := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := counted(cmd, args); err != nil {
			return err
		}
		if len(args) == 0 {
			return nil
		}
		return is(args[0])
	}
	return cmd
}

// isPeer says what is wrong with the ID of a peer.
func isPeer(arg string) error {
	if _, err := peer.Decode(arg); err == nil {
		return nil
	}
	if infos, err := kad.ParseAddrs(arg); err == nil {
		return node.Usage("PEER is an address: use the ID at its end, %s", infos[0].ID)
	}
	return node.Usage("PEER is %q: use the ID of a peer, such as 12D3Koo..., as kad id and kad table show it", arg)
}

// isPeerOrAddr says what is wrong with the ID or the address of a peer.
func isPeerOrAddr(arg string) error {
	if !strings.HasPrefix(arg, "/") {
		return isPeer(arg)
	}
	if _, err := kad.ParseAddrs(arg); err != nil {
		return node.Usage("PEER is %q: use an address that ends with the ID of the peer, such as /ip4/192.0.2.1/tcp/4001/p2p/12D3Koo...", arg)
	}
	return nil
}

// isCID says what is wrong with a CID.
func isCID(arg string) error {
	if _, err := cid.Decode(arg); err != nil {
		return node.Usage("CID is %q: use the CID of a content, such as %s", arg, "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy")
	}
	return nil
}

// isKey says what is wrong with a key.
func isKey(arg string) error {
	digits, isHex := strings.CutPrefix(arg, "0x")
	if _, err := hex.DecodeString(digits); isHex && err != nil {
		return node.Usage("KEY is %q: after 0x, use hexadecimal digits, two for each byte", arg)
	}
	if digits == "" {
		return node.Usage("KEY is empty: use a text, or 0x and hexadecimal digits")
	}
	return nil
}

// isName says what is wrong with a name.
func isName(arg string) error {
	if arg == "" {
		return node.Usage("NAME is empty: use the name of what is looked for, such as my-app/lobby")
	}
	return nil
}
