package carry_test

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/carry"
)

// Two peers talk over pubsub through a relay, which pubsub alone does not, and talk on when
// they have a direct connection.
func ExampleHost() { //nolint:testableexamples // the streams of its peers end at their own pace
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	start := func(opts ...libp2p.Option) host.Host {
		h, err := libp2p.New(append(opts, libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))...)
		if err != nil {
			panic(err)
		}
		return h
	}
	limits := &relay.RelayLimit{Duration: time.Minute, Data: 1 << 20}
	between := start(libp2p.ForceReachabilityPublic(), libp2p.EnableRelayService(relay.WithLimit(limits)))
	ann, bob := start(), start()
	defer between.Close()
	defer ann.Close()
	defer bob.Close()

	var topics []*pubsub.Topic
	var heard []*pubsub.Subscription
	for _, h := range []host.Host{ann, bob} {
		carried := carry.New(h, carry.Config{})
		defer carried.Close()
		ps, err := pubsub.NewGossipSub(ctx, carried, pubsub.WithFloodPublish(true))
		if err != nil {
			panic(err)
		}
		topic, err := ps.Join("lobby")
		if err != nil {
			panic(err)
		}
		sub, err := topic.Subscribe()
		if err != nil {
			panic(err)
		}
		topics, heard = append(topics, topic), append(heard, sub)
	}
	// Pubsub drops what is published before its own stream to a peer is open: say repeats it.
	say := func(text string) {
		for ctx.Err() == nil {
			if err := topics[0].Publish(ctx, []byte(text), pubsub.WithReadiness(pubsub.MinTopicSize(1))); err != nil {
				panic(err)
			}
			wait, cancel := context.WithTimeout(ctx, time.Second)
			for msg, err := heard[1].Next(wait); err == nil; msg, err = heard[1].Next(wait) {
				if string(msg.GetData()) == text {
					fmt.Println("bob hears:", text)
					cancel()
					return
				}
			}
			cancel()
		}
		panic(context.Cause(ctx))
	}

	// Applications leave this to AutoRelay and hole punching, as with kad.Traversal.
	through := peer.AddrInfo{ID: between.ID(), Addrs: between.Addrs()}
	if _, err := client.Reserve(ctx, bob, through); err != nil {
		panic(err)
	}
	circuit := multiaddr.StringCast(fmt.Sprintf("%s/p2p/%s/p2p-circuit", through.Addrs[0], through.ID))
	if err := ann.Connect(ctx, peer.AddrInfo{ID: bob.ID(), Addrs: []multiaddr.Multiaddr{circuit}}); err != nil {
		panic(err)
	}
	say("hello, through a relay")

	ann.Peerstore().AddAddrs(bob.ID(), bob.Addrs(), time.Hour)
	if _, err := ann.Network().DialPeer(network.WithForceDirectDial(ctx, "example"), bob.ID()); err != nil {
		panic(err)
	}
	say("and on")
}
