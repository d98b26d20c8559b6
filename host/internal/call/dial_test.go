package call

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multistream"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// swallows returns addresses that take a connection and say nothing.
func swallows(t *testing.T, count int) (addrs []multiaddr.Multiaddr) {
	t.Helper()
	for range count {
		l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		addrs = append(addrs, multiaddr.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", l.Addr().(*net.TCPAddr).Port)))
	}
	return addrs
}

// realCaller returns a Caller of a host with sockets, and another host, which does not speak its
// protocol.
func realCaller(t *testing.T) (c *Caller, there lhost.Host) {
	t.Helper()
	return realCallerAt(t, "/ip4/127.0.0.1/tcp/0")
}

// realCallerAt is realCaller for hosts with another address.
func realCallerAt(t *testing.T, addr string) (c *Caller, there lhost.Host) {
	t.Helper()
	group := roomtest.NewGroup(t)
	var hosts [2]lhost.Host
	for i := range hosts {
		h, err := libp2p.New(libp2p.ListenAddrStrings(addr), libp2p.DisableRelay(), libp2p.DisableMetrics())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.Close() })
		hosts[i] = h
	}
	h := hosts[0]
	tab := table.New(table.Config{Host: h, Protocol: "/test", Tasks: group, K: 20, Wake: func() {}})
	return New(Config{
		Host: h, Table: tab, Tasks: group, Transport: NewStreams(h, "/test", "/test/many", nil, func() {}),
		RequestTimeout: 20 * time.Second, SlowAfter: time.Second, MaxDials: 64,
	}), hosts[1]
}

// A peer that says that it does not speak the protocol has refused, and is not silent: whether it
// was identified before, so that it is asked, or not yet; and whether the reset of the stream comes
// after that, which mostly takes its place, or not.
func TestOtherProtocolIsRefusal(t *testing.T) {
	for _, identified := range []bool{true, false} {
		for _, resets := range []bool{true, false} {
			c, there := realCaller(t)
			if !resets {
				keepOpen(there, identified)
			}
			if identified {
				if err := c.cfg.Host.Connect(t.Context(), peer.AddrInfo{ID: there.ID(), Addrs: there.Addrs()}); err != nil {
					t.Fatal(err)
				}
			} else {
				c.cfg.Host.Peerstore().AddAddrs(there.ID(), there.Addrs(), time.Hour)
			}
			_, err := c.Request(t.Context(), nil, routing.ContactOf(there.ID()), protocol.Ping{}, nil)
			if OutcomeOf(err) != table.Refused {
				t.Errorf("identified before: %v, resets: %v: %v, which is %v", identified, resets, err, OutcomeOf(err))
			}
		}
	}
}

// keepOpen has a host speak no protocol, and leave its streams open when it has said so. If it is
// not to be identified, it takes that stream, and is silent.
func keepOpen(h lhost.Host, identified bool) {
	mux := multistream.NewMultistreamMuxer[lprotocol.ID]()
	if !identified {
		mux.AddHandler(identify.ID, nil)
	}
	h.Network().SetStreamHandler(func(s network.Stream) { _, _, _ = mux.Negotiate(s) })
}

// A liar that names a peer at more addresses which swallow dials than the swarm dials at once, 8,
// hides it no longer than one that names one.
func TestHostileManyAddresses(t *testing.T) {
	c, there := realCaller(t)
	at := func(by peer.ID, addrs []multiaddr.Multiaddr) routing.Contact {
		to := routing.ContactOf(there.ID())
		to.Namer, to.Wire = by, announce.Encode(protocol.Peer{ID: there.ID(), Addrs: addrs})
		return to
	}
	ended := make(chan error, 1)
	lie := at(calltest.ID(1), swallows(t, 20))
	c.cfg.Tasks.Go(func(ctx context.Context) {
		_, err := c.Request(ctx, nil, lie, protocol.Ping{}, nil)
		ended <- err
	})
	for begun := uint64(0); begun == 0; time.Sleep(10 * time.Millisecond) {
		begun = c.Dials().Begun
	}
	began := time.Now()
	c.Also(at(calltest.ID(2), there.Addrs()))
	err := <-ended // it is reached, and serves nothing
	if spent := time.Since(began); OutcomeOf(err) != table.Refused || spent > 5*time.Second {
		t.Errorf("after %v: %v", spent, err)
	}
	if left := c.Dials(); left.Failed > 0 {
		t.Errorf("%+v, want no dial that failed", left)
	}
	t.Logf("dialled where it is in %v", time.Since(began))
}
