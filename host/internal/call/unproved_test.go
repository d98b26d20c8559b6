package call

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// named32 returns a contact that was named at 32 ports of one IP address.
func named32(id peer.ID, ip string) routing.Contact {
	p := protocol.Peer{ID: id}
	for port := range 32 {
		p.Addrs = append(p.Addrs, multiaddr.StringCast(fmt.Sprintf("%s/tcp/%d", ip, 1+port)))
	}
	c := routing.ContactOf(id)
	c.Wire = announce.Encode(p)
	return c
}

// A liar that names 1000 peers at 32 ports of a victim each has the node dial the victim a
// few times. Other addresses, and contacts of the table, are dialled all the same, and the
// victim again after a while.
func TestHostileReflection(t *testing.T) {
	for _, victim := range []string{"/ip4/9.9.9.9", "/ip6/2606:4700::1"} {
		synctest.Test(t, func(t *testing.T) {
			c := newCaller(t, Config{})
			before := len(c.net.Dialled())
			dials := func() int { return len(c.net.Dialled()) - before }
			addrs := 0
			for i := range 1000 {
				id := calltest.ID(1000 + i)
				_, err := c.Request(t.Context(), nil, named32(id, victim), protocol.Ping{}, nil)
				if err == nil {
					t.Fatal("an invented peer answers")
				}
				dialled := len(c.net.Host().Peerstore().Addrs(id)) > 0
				if got := OutcomeOf(err); dialled != (got == table.Silent) || !dialled && got != table.Unsent {
					t.Errorf("dialled: %v, and the outcome is %v", dialled, got)
				}
				addrs += len(c.net.Host().Peerstore().Addrs(id))
			}
			t.Logf("%s: 1000 peers that were named at 32 ports: %d dials, of %d addresses", victim, dials(), addrs)
			if dials() == 0 || addrs > 64 {
				t.Errorf("%d dials of %d addresses, want 1 to 64 addresses", dials(), addrs)
			}
			synctest.Wait() // the end of the last dial is counted after its request has failed
			if got := c.Dials(); got.Unproved != uint64(1000*32-addrs) || got.Begun-got.Failed != uint64(before) {
				t.Errorf("%d addresses were refused, want %d; %d dials, %d failed, want all but %d", got.Unproved, 1000*32-addrs, got.Begun, got.Failed, before)
			}
			there := calltest.ID(5)
			c.net.Add(there, calltest.Names())
			if _, err := c.Request(t.Context(), nil, calltest.Contact(there), protocol.Ping{}, nil); err != nil {
				t.Errorf("a peer at another address: %v", err)
			}
			c.net.Disconnect(there)
			moved := named32(there, victim)
			if _, err := c.Request(t.Context(), nil, moved, protocol.Ping{}, nil); err != nil || !c.table.Has(there) {
				t.Errorf("a contact of the table that is at the address of the victim: %v", err)
			}
			so := dials()
			time.Sleep(unprovedPause)
			for i := range 10 {
				_, _ = c.Request(t.Context(), nil, named32(calltest.ID(3000+i), victim), protocol.Ping{}, nil)
			}
			if dials()-so != 1 {
				t.Errorf("%d dials after a pause, want 1", dials()-so)
			}
		})
	}
}

// A dial that finds its peer does not count: any number of peers may share an IP address, as
// behind one NAT. What is remembered is bounded.
func TestUnproved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUnproved()
		at := multiaddr.StringCast("/ip4/9.9.9.9/tcp/1")
		dial := func(addr multiaddr.Multiaddr) bool {
			defer u.name("a peer", "", []multiaddr.Multiaddr{addr})()
			addrs, _, _ := u.admit("a peer")
			return len(addrs) == 1
		}
		for i := range 200 {
			if !dial(at) {
				t.Fatalf("dial %d is refused", i)
			}
			u.proved("", []multiaddr.Multiaddr{at})
		}
		home := multiaddr.StringCast("/ip4/192.168.1.1/tcp/1")
		for range 200 {
			if !dial(home) {
				t.Fatal("a private address is refused")
			}
		}
		for i := range 2 * maxUnproved {
			if !dial(multiaddr.StringCast(fmt.Sprintf("/ip4/9.8.%d.%d/tcp/1", i>>8, i&255))) {
				t.Fatal("an address that was not dialled yet is refused")
			}
			if len(u.at) > maxUnproved {
				t.Fatalf("%d IP addresses are remembered", len(u.at))
			}
		}
		time.Sleep(unprovedDials * unprovedPause)
		dial(multiaddr.StringCast("/ip4/9.7.1.1/tcp/1"))
		if len(u.at) != 1 || len(u.named) != 0 {
			t.Errorf("%d IP addresses and %d peers are remembered after a while", len(u.at), len(u.named))
		}
	})
}

// What a peer names is not dialled for a while, if few of the peers that it has named are there;
// any number is dialled of a peer most of whose names are there, and of another peer.
func TestHostileNamer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCaller(t, Config{})
		next := 1000
		dialled := func(namer peer.ID, there bool) bool {
			next++
			to := calltest.Contact(calltest.ID(next))
			to.Namer = namer
			if there {
				c.net.Add(to.ID, calltest.Names())
			}
			_, err := c.Request(t.Context(), nil, to, protocol.Ping{}, nil)
			return OutcomeOf(err) != table.Unsent
		}
		liar, honest := calltest.ID(1), calltest.ID(2)
		count := func() (n int) {
			for range 200 {
				if dialled(liar, false) {
					n++
				}
			}
			return n
		}
		n := count()
		t.Logf("of 200 peers that are not there, %d are dialled on the word of one peer", n)
		if n < namedDials || n > namedDials+10 {
			t.Errorf("%d peers of a liar are dialled, want about %d", n, namedDials)
		}
		for i := range 200 {
			if !dialled(honest, i%5 < 2) {
				t.Fatalf("peer %d that an honest peer has named is not dialled, where 3 of 5 are gone", i)
			}
		}
		time.Sleep(10 * namedPause)
		if n := count(); n < 10 || n > 20 {
			t.Errorf("after a while, %d more are dialled", n)
		}
	})
}

// Addresses that lead to one machine, or one home, count together.
func TestDialledPlaces(t *testing.T) {
	for _, same := range [][2]string{
		{"/ip4/9.9.9.9/tcp/1", "/ip4/9.9.9.9/udp/2/quic-v1"},
		{"/ip6/2606:4700::1/tcp/1", "/ip6/2606:4700::2:1/tcp/1"},
		{"/dns4/example.com/tcp/1", "/dns/example.com/tcp/443/wss"},
		{"/ip4/9.9.9.9/tcp/1/p2p/" + calltest.ID(1).String() + "/p2p-circuit", "/ip4/9.9.9.9/tcp/2"},
	} {
		a, b := scope.Dialled(multiaddr.StringCast(same[0])), scope.Dialled(multiaddr.StringCast(same[1]))
		if a == "" || a != b {
			t.Errorf("%v: %q and %q", same, a, b)
		}
	}
	for _, private := range []string{"/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip6/fe80::1/tcp/1"} {
		if at := scope.Dialled(multiaddr.StringCast(private)); at != "" {
			t.Errorf("%s counts at %q", private, at)
		}
	}
}
