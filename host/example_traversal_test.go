package host_test

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
)

// With Traversal, a host finds a peer by its ID alone, and connects to it.
func ExampleTraversal() {
	ctx := context.Background()
	cfg := kad.Config{Network: "/example"}
	start := func() (host.Host, *kad.DHT) {
		var d *kad.DHT
		// Without ListenAddrStrings, a host listens on all addresses, over TCP and QUIC.
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), kad.Traversal(&d, cfg))
		if err != nil {
			panic(err)
		}
		return h, d
	}
	seed, _ := start()
	defer seed.Close() // it closes the DHT too
	cfg.Bootstrap = []peer.AddrInfo{{ID: seed.ID(), Addrs: seed.Addrs()}}
	ann, _ := start()
	defer ann.Close()
	bob, d := start()
	defer bob.Close()
	if err := d.Bootstrap(ctx); err != nil {
		panic(err)
	}

	err := ann.Connect(ctx, peer.AddrInfo{ID: bob.ID()})
	fmt.Println("connected:", err == nil)
	// Output: connected: true
}
