package host_test

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
)

// Two nodes that know a third one find each other under the name of a group.
func ExampleDHT_Join() {
	ctx := context.Background()
	cfg := kad.Config{Network: "/example"}
	start := func() (host.Host, *kad.DHT) {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
		if err != nil {
			panic(err)
		}
		d, err := kad.New(h, cfg)
		if err != nil {
			panic(err)
		}
		return h, d
	}
	seed, third := start()
	defer seed.Close()
	defer third.Close()
	cfg.Bootstrap = []peer.AddrInfo{{ID: seed.ID(), Addrs: seed.Addrs()}}

	names := make(map[peer.ID]string)
	var groups []*kad.Group
	for _, name := range []string{"ann", "bob"} {
		h, d := start()
		defer h.Close()
		defer d.Close()
		names[h.ID()] = name
		g, err := d.Join(ctx, "my-app/lobby")
		if err != nil {
			panic(err)
		}
		defer g.Close()
		groups = append(groups, g)
	}
	for e := range groups[0].Events() {
		if e.Kind == kad.PeerConnected {
			fmt.Println("ann is connected to", names[e.Peer])
			break
		}
	}
	// Output: ann is connected to bob
}
