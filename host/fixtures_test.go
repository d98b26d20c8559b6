package host

import (
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

const (
	publicAddr  = "/ip4/60.1.0.1/udp/4001/quic-v1"
	relayedAddr = "/ip4/40.1.0.1/tcp/4001/p2p/12D3KooWEyoppNCUx8Yx66oV9fJnriXwCcXwDDUA2kj6vnc6iDEp/p2p-circuit"
)

// What the rooms take: tests of a whole node wait for it.
const (
	minSettle        = 15 * time.Second
	maxSettle        = 8 * time.Minute
	calmAfter        = 30 * time.Minute
	settleAfter      = 10 * time.Second
	presenceInterval = 25 * time.Minute
	presenceCalm     = 10 * time.Second
	newcomerPause    = 10 * time.Second
	readyTimeout     = 10 * time.Second
	settleTime       = 50 * time.Millisecond
	findAfter        = 500 * time.Millisecond
	fallbackAfter    = time.Second
	addrTimeout      = 5 * time.Second
)

// aPeer is the ID of no host.
var aPeer = peer.ID("\x12\x20" + strings.Repeat("p", 32))

// Addresses of a private network and of the internet, and a relay.
const (
	aPrivate = "/ip4/192.168.1.1/tcp/2"
	aPublic  = "/ip4/8.8.8.8/tcp/3"
	aRelay   = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"
)

// acquaint fills the table of an inert node with made-up contacts.
func acquaint(d *DHT, count int, addrs ...string) []routing.Contact {
	var contacts []routing.Contact
	for i := range count {
		c := routing.ContactOf(calltest.ID(i))
		d.host.Peerstore().AddAddrs(c.ID, roomtest.Addrs(addrs...), time.Hour)
		if d.table.Heard(c, table.Answered, 0); d.table.Has(c.ID) {
			contacts = append(contacts, c)
		}
	}
	return contacts
}

// withoutRace skips a test in which relays are lost if the race detector watches:
// AutoRelay of go-libp2p v0.52.0 reads its relays without its lock then.
func withoutRace(t *testing.T) {
	t.Helper()
	if roomtest.RaceEnabled {
		t.Skip("go-libp2p has a data race here: run it without the race detector")
	}
}

// answered returns what a new host is answered.
func answered(t *testing.T, n *testNet, d *DHT, req protocol.Request) protocol.Response {
	t.Helper()
	h := n.host()
	dialHost(t, h, d.host)
	resp, err := ask(t, h, d, req)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

// dialIn opens a stream to a node, as another peer would, and returns its near end.
func dialIn(d *DHT, from peer.ID) network.Stream {
	near, far := roomtest.NewStream(
		roomtest.NewConn(d.ID(), nil),
		roomtest.NewConn(from, multiaddr.StringCast(aPrivate)))
	go d.serve.Handle(far)
	return near
}
