package host_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"

	kad "github.com/go-kad/kad/host"
)

// A node announces a thousand contents, and another one finds the node by one of them.
func ExampleDHT_AnnounceMany() {
	ctx := context.Background()
	cfg := kad.Config{Network: "/example"}
	var nodes []*kad.DHT
	for range 2 {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
		if err != nil {
			panic(err)
		}
		defer h.Close()
		d, err := kad.New(h, cfg)
		if err != nil {
			panic(err)
		}
		defer d.Close()
		nodes = append(nodes, d)
		cfg.Bootstrap = []peer.AddrInfo{{ID: h.ID(), Addrs: h.Addrs()}}
	}
	var contents []cid.Cid
	for i := range 1000 {
		hash, err := multihash.Sum(fmt.Append(nil, i), multihash.SHA2_256, -1)
		if err != nil {
			panic(err)
		}
		contents = append(contents, cid.NewCidV1(cid.Raw, hash))
	}

	stored, began := 0, time.Now()
	for r := range nodes[1].AnnounceMany(ctx, slices.Values(contents)) { // or of a file, as it is read
		if r.Err != nil {
			fmt.Println(r.Content, r.Err) // the node tries again within 10 minutes
			continue
		}
		stored++
		if p := r.Progress; p.Done == 500 {
			fmt.Printf("%d of %d are done, %.0f %% of the key space\n", p.Done, p.Read, 100*p.Part)
			fmt.Println("a minute is left at most:", p.Left(time.Since(began), len(contents)) < time.Minute)
		}
	}
	fmt.Println(stored, "are stored")
	for p, err := range nodes[0].Providers(ctx, contents[500], 1) {
		fmt.Println("found:", p.ID == nodes[1].ID(), err)
	}
	s := nodes[1].Stats()
	fmt.Println(s.Publications, "are scheduled,", s.PublicationsOverdue, "are overdue,", s.PublishFailed, "have failed:", s.LastFailure.Err)
	// Output:
	// 500 of 1000 are done, 50 % of the key space
	// a minute is left at most: true
	// 1000 are stored
	// found: true <nil>
	// 1000 are scheduled, 0 are overdue, 0 have failed: <nil>
}
