package host

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// A peer that serves nothing is found after it has left a server, between hosts of go-libp2p: these
// keep its addresses for a while, and not what it has signed.
func TestFindPeerThatLeft(t *testing.T) {
	listen := libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0")
	var nodes [2]*DHT
	for i := range nodes {
		h, err := libp2p.New(listen)
		if err != nil {
			t.Fatal(err)
		}
		defer h.Close()
		if nodes[i], err = New(h, Config{Network: "/test", Mode: ModeServer}); err != nil {
			t.Fatal(err)
		}
		defer nodes[i].Close()
	}
	client, err := libp2p.New(listen)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, searcher := nodes[0], nodes[1]
	addr := peer.AddrInfo{ID: server.host.ID(), Addrs: server.host.Addrs()}
	for _, connect := range []func() error{
		func() error { return searcher.host.Connect(t.Context(), addr) },
		func() error { return client.Connect(t.Context(), addr) },
		func() error { return searcher.Ready(t.Context()) },
	} {
		if err := connect(); err != nil {
			t.Fatal(err)
		}
	}
	for first, err := server.host.Peerstore().FirstSupportedProtocol(client.ID(), "/ipfs/id/1.0.0"); first == "" && err == nil; {
		time.Sleep(10 * time.Millisecond) // until it is identified
		first, err = server.host.Peerstore().FirstSupportedProtocol(client.ID(), "/ipfs/id/1.0.0")
	}
	if err := client.Network().ClosePeer(server.host.ID()); err != nil {
		t.Fatal(err)
	}
	for server.host.Network().Connectedness(client.ID()) == network.Connected {
		time.Sleep(10 * time.Millisecond)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		found, err := searcher.FindPeer(t.Context(), client.ID())
		if err == nil && len(found.Addrs) > 0 {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("found at %v, %v", found.Addrs, err)
		}
	}
}
