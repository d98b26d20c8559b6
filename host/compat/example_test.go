package dht_test

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"

	dht "github.com/go-kad/kad/host/compat"
)

// A program of go-libp2p-kad-dht, of which one import line was changed.
func ExampleNew() {
	ctx := context.Background()
	var nodes []*dht.IpfsDHT
	var friends []peer.AddrInfo
	for range 2 {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
		if err != nil {
			panic(err)
		}
		defer h.Close()
		d, err := dht.New(h, dht.ProtocolPrefix("/example"), dht.Mode(dht.ModeServer), dht.BootstrapPeers(friends...))
		if err != nil {
			panic(err)
		}
		defer d.Close()
		nodes = append(nodes, d)
		friends = []peer.AddrInfo{{ID: h.ID(), Addrs: h.Addrs()}}
	}
	found, err := nodes[1].FindPeer(ctx, nodes[0].ID())
	fmt.Println("found:", found.ID == nodes[0].ID(), err)
	// Output: found: true <nil>
}
