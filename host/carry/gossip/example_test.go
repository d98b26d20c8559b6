package gossip_test

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/carry/gossip"
)

// A message that is published while no other peer is there is kept for the first.
func Example() {
	ctx := context.Background()
	start := func() (peer.AddrInfo, func(peer.AddrInfo) error, *gossip.Topic, func()) {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
		if err != nil {
			panic(err)
		}
		n, err := gossip.New(h, gossip.Config{})
		if err != nil {
			panic(err)
		}
		topic, err := n.Join("/my-app/lobby", gossip.TopicConfig{})
		if err != nil {
			panic(err)
		}
		connect := func(to peer.AddrInfo) error { return h.Connect(ctx, to) }
		return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}, connect, topic, func() {
			_ = n.Close()
			_ = h.Close()
		}
	}
	ann, _, fromAnn, closeAnn := start()
	defer closeAnn()
	_, connect, toBob, closeBob := start()
	defer closeBob()

	if err := fromAnn.Publish(ctx, []byte("is anybody there?")); err != nil {
		panic(err)
	}
	if err := connect(ann); err != nil { // or with Join of the DHT
		panic(err)
	}
	for e := range toBob.Events() {
		if e.Kind == gossip.Message {
			fmt.Println(string(e.Data))
			break
		}
	}
	// Output: is anybody there?
}
