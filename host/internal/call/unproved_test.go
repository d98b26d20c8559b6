package call

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
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
				dialled := len(c.net.DialledAt(id)) > 0
				if got := OutcomeOf(err); dialled != (got == table.Silent) || !dialled && got != table.Unsent {
					t.Errorf("dialled: %v, and the outcome is %v", dialled, got)
				}
				addrs += len(c.net.DialledAt(id))
				if left := c.net.Host().Peerstore().Addrs(id); len(left) > 0 {
					t.Fatalf("a peer that was not found at %v is dialled there again, whoever names it", left)
				}
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

// A liar that names contacts of the table at the address of a victim has the node dial there as
// rarely as for other peers.
func TestHostileReflectionOfContacts(t *testing.T) {
	for _, tt := range []struct {
		victim string // with the number of a peer
		most   int
	}{
		{"/ip4/9.9.9.9/tcp/%[1]d", unprovedDials},
		{"/dns4/n%[1]d.example.com/tcp/1", networkDials},
	} {
		synctest.Test(t, func(t *testing.T) {
			c := newCaller(t, Config{})
			dialled, contacts := 0, 0
			for i := 2000; i < 2100; i++ {
				id := calltest.ID(i)
				c.net.Add(id, calltest.Names())
				if _, err := c.ask(t.Context(), i); err != nil {
					t.Fatal(err)
				}
				c.net.Disconnect(id)
				if c.table.Has(id) {
					contacts++
				}
				victim := multiaddr.StringCast(fmt.Sprintf(tt.victim, i))
				to := routing.ContactOf(id)
				to.Namer, to.Wire = calltest.ID(1), announce.Encode(protocol.Peer{ID: id, Addrs: []multiaddr.Multiaddr{victim}})
				_, _ = c.Request(t.Context(), nil, to, protocol.Ping{}, nil)
				if slices.ContainsFunc(c.net.DialledAt(id), victim.Equal) {
					dialled++
				}
			}
			if dialled > tt.most || contacts < 2*unprovedDials {
				t.Errorf("%s: of 100 peers, with %d contacts, %d are dialled at the victim, want %d at most", tt.victim, contacts, dialled, tt.most)
			}
		})
	}
}

// dial returns what is admitted of a peer that one peer names.
func (u *unproved) dial(id, by peer.ID, addrs ...multiaddr.Multiaddr) []word {
	n, forget := u.use(id)
	defer forget()
	u.add(n, word{by: by, addrs: addrs})
	words, _ := u.admit(n, 0, nil)
	return words
}

// A liar that names one victim in many ways, by DNS names that lead to it or at the neighbours in
// its network, has the node dial there a few times.
func TestHostileReflectionInDisguise(t *testing.T) {
	for name, addr := range map[string]func(i, j int) string{
		"6to4":                func(i, j int) string { return fmt.Sprintf("/ip6/2002:909:909:%x::%x/tcp/1", i, j) },
		"neighbours of IPv6":  func(i, j int) string { return fmt.Sprintf("/ip6/2606:4700:1:%x::%x/tcp/1", i, j) },
		"neighbours of IPv4":  func(i, j int) string { return fmt.Sprintf("/ip4/9.9.9.%d/tcp/%d", i%256, 1+j) },
		"names of one domain": func(i, j int) string { return fmt.Sprintf("/dns4/a%d-%d.example.com/tcp/1", i, j) },
		"upper case and dots": func(i, j int) string {
			return fmt.Sprintf("/dns4/%c%cCTIM.com./tcp/%d", 'V'+32*rune(i&1), 'I'+32*rune(i>>1&1), 1+j)
		},
		"a name that is a number": func(i, j int) string { return fmt.Sprintf("/dns4/9.9.9.9/tcp/%d", 1+i%1000+j) },
		"lists in the DNS":        func(i, j int) string { return fmt.Sprintf("/dnsaddr/a%d-%d.example%d.com", i, j, i) },
	} {
		u := newUnproved()
		dialled := 0
		for i := range 100 {
			var addrs []multiaddr.Multiaddr
			for j := range 32 {
				addrs = append(addrs, multiaddr.StringCast(addr(i, j)))
			}
			dialled += len(u.dial("a peer", peer.ID(fmt.Sprint("liar ", i)), addrs...)[0].addrs)
		}
		if dialled > networkDials*unprovedAddrs {
			t.Errorf("%s: %d addresses are dialled, want %d at most", name, dialled, networkDials*unprovedAddrs)
		}
	}
}

// Peers that are found by their names are dialled, however many names of one domain there are. A
// peer that is found at its IP address proves none of the names that are said to be its own.
func TestNamesAreProved(t *testing.T) {
	u := newUnproved()
	name := func(i int) multiaddr.Multiaddr {
		return multiaddr.StringCast(fmt.Sprintf("/dns4/n%d.example.com/tcp/1", i))
	}
	at := multiaddr.StringCast("/ip4/9.9.9.9/tcp/1")
	dial := func(addrs ...multiaddr.Multiaddr) (names int) {
		words := u.dial("a peer", "a namer", addrs...)
		u.proved(words, []multiaddr.Multiaddr{at}, false)
		for _, a := range words[0].addrs {
			if scope.IsName(a) {
				names++
			}
		}
		return names
	}
	for i := range 4 * networkDials {
		if dial(name(i%50)) != 1 {
			t.Fatalf("dial %d, of a peer that is found by its name, is refused", i)
		}
	}
	names := 0
	for i := range 4 * networkDials {
		names += dial(name(i), at)
	}
	if names > networkDials {
		t.Errorf("%d names of peers that are elsewhere are dialled, want %d at most", names, networkDials)
	}
}

// A dial that finds its peer does not count: any number of peers may share an IP address, as
// behind one NAT. What is remembered is bounded.
func TestUnproved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUnproved()
		at := multiaddr.StringCast("/ip4/9.9.9.9/tcp/1")
		dial := func(addr multiaddr.Multiaddr) bool {
			return len(u.dial("a peer", "", addr)[0].addrs) == 1
		}
		for i := range 200 {
			if !dial(at) {
				t.Fatalf("dial %d is refused", i)
			}
			u.proved(nil, []multiaddr.Multiaddr{at}, false)
		}
		home := multiaddr.StringCast("/ip4/192.168.1.1/tcp/1")
		for range 200 {
			if !dial(home) {
				t.Fatal("a private address is refused")
			}
		}
		for i := range maxUnproved/2 + 200 {
			if !dial(multiaddr.StringCast(fmt.Sprintf("/ip4/9.%d.%d.8/tcp/1", i>>8, i&255))) {
				t.Fatal("an address that was not dialled yet is refused")
			}
			if len(u.at) > maxUnproved {
				t.Fatalf("%d IP addresses are remembered", len(u.at))
			}
		}
		time.Sleep(unprovedDials * unprovedPause)
		dial(multiaddr.StringCast("/ip4/9.7.1.1/tcp/1"))
		if len(u.at) != 2 || len(u.named) != 0 { // it and its network
			t.Errorf("%d IP addresses and networks, and %d peers, are remembered after a while", len(u.at), len(u.named))
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

// A dial that hangs where a liar has named a peer does not hold up a request that knows where it
// is, nor the first one: by the word of another peer, or from the table.
func TestTrueAddressBesideFalse(t *testing.T) {
	for name, how := range map[string]func(t *testing.T, c *caller, to routing.Contact){
		"another request": func(t *testing.T, c *caller, to routing.Contact) {
			if _, err := c.Request(t.Context(), nil, to, protocol.Ping{}, nil); err != nil {
				t.Errorf("a request to a peer at its address: %v", err)
			}
		},
		"the lookup": func(_ *testing.T, c *caller, to routing.Contact) { c.Also(to) },
	} {
		for _, by := range []peer.ID{calltest.ID(1), ""} {
			synctest.Test(t, func(t *testing.T) {
				c := newCaller(t, Config{})
				id := calltest.ID(2000)
				c.net.Add(id, calltest.Names())
				if by == "" { // it is a contact of the table
					if _, err := c.ask(t.Context(), 2000); err != nil {
						t.Fatal(err)
					}
					c.net.Disconnect(id)
					c.net.Host().Peerstore().ClearAddrs(id)
				}
				c.net.HangElsewhere(id)
				var first error
				var all sync.WaitGroup
				spent := roomtest.Took(func() {
					all.Go(func() {
						lie := named32(id, "/ip4/9.9.9.9")
						lie.Namer = calltest.ID(2)
						_, first = c.Request(t.Context(), nil, lie, protocol.Ping{}, nil)
					})
					time.Sleep(time.Second)
					to := calltest.Contact(id)
					to.Namer = by
					how(t, c, to)
					all.Wait()
				})
				if first != nil || spent > time.Second+4*calltest.RoundTrip {
					t.Errorf("%s, named by %q: the first request %v, after %v", name, by, first, spent)
				}
				if synctest.Wait(); len(c.unproved.named) > 0 {
					t.Errorf("%d peers are remembered", len(c.unproved.named))
				}
			})
		}
	}
}

// However many peers say where one is, the word of so many counts: each may have a dial under way.
func TestMostWords(t *testing.T) {
	u := newUnproved()
	n, forget := u.use("a peer")
	defer forget()
	for i := range 2 * maxWords {
		u.add(n, word{by: calltest.ID(i), wire: announce.Wire(fmt.Append(nil, i))})
	}
	if got := len(n.words); got != maxWords {
		t.Errorf("%d words count, want %d", got, maxWords)
	}
}

// Peers that say in part the same of where a peer is count as one dial of it, and have no slow dial
// make way.
func TestWordsThatAgree(t *testing.T) {
	u := newUnproved()
	n, forget := u.use("a peer")
	defer forget()
	addrs := make([]multiaddr.Multiaddr, 10) // more than the swarm dials at once
	for i := range addrs {
		addrs[i] = multiaddr.StringCast(fmt.Sprintf("/ip4/9.9.%d.9/tcp/1", i))
	}
	for i := range addrs {
		u.add(n, word{by: calltest.ID(i), wire: announce.Wire{byte(i)}, addrs: slices.Concat(addrs[i:], addrs[:i])})
	}
	words, _ := u.admit(n, 0, nil)
	if got := len(words[0].addrs); got != len(addrs) {
		t.Errorf("%d addresses of the first word are dialled, want %d", got, len(addrs))
	}
	for i, w := range words[1:] {
		if len(w.addrs) > 0 || !w.shared {
			t.Errorf("%v of word %d are dialled, too", w.addrs, i+1)
		}
	}
	if left := u.allowed(time.Now(), "9.9.0.9", ofIP).dials; left < unprovedDials-1 || left >= unprovedDials {
		t.Errorf("an IP address has %v dials left, want %d", left, unprovedDials-1)
	}

	over := make(chan struct{})
	close(over)
	another := multiaddr.StringCast("/ip4/9.9.10.9/tcp/1")
	for what, w := range map[string]word{
		"in part the same":                {shared: true},
		"in part the same, by the lookup": {shared: true, urgent: true},
		"something else":                  {},
	} {
		c := newCaller(t, Config{})
		ended := make(chan error, 1)
		d := &dials{caller: c.Caller, to: "a peer", named: addrs, hung: over, ended: ended, underWay: 1}
		d.cancel = func() { ended <- context.Canceled }
		w.addrs = []multiaddr.Multiaddr{another}
		if makesWay := d.room(w); makesWay == w.waits() {
			t.Errorf("a dial that hangs makes way for %s: %v", what, makesWay)
		}
	}
}
