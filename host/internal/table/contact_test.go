package table

import (
	"bytes"
	"testing"
	"testing/synctest"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A connected peer is to be introduced if it says that it serves, is new, and can be asked
// without a relay.
func TestWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		known, serves, other, gone := calltest.ID(1), calltest.ID(2), calltest.ID(3), calltest.ID(4)
		f.answer(known)
		f.net.Connect(known, serves, other)
		for _, id := range peers(4) {
			f.speak(t, id, testProtocol)
		}
		f.speak(t, other, "/other")
		if !f.Wants(serves) || f.Wants(known) || f.Wants(other) || f.Wants(gone) {
			t.Errorf("wanted: %v, known %v, other protocol %v, without a connection %v",
				f.Wants(serves), f.Wants(known), f.Wants(other), f.Wants(gone))
		}
		if f.Has(serves) {
			t.Error("a peer is in the table that has not answered")
		}
	})
}

// A peer that is reached through a relay only is not to be introduced, and is noted.
func TestWantsNoRelayed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := calltest.New(t)
		f := newTable(t, Config{Host: limitedHost{net.Host()}})
		id := calltest.ID(1)
		f.host = net.Host()
		f.speak(t, id, testProtocol)
		net.Connect(id)
		if f.Wants(id) {
			t.Error("a peer behind a relay is to be introduced")
		}
		if why := f.NotReady(nil).Filtered[id]; why == "" {
			t.Error("it is not noted")
		}
	})
}

// A contact that is at another address now is announced with that, and is to be checked.
func TestAddressChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		id, moved := calltest.ID(1), multiaddr.StringCast("/ip4/8.8.4.4/tcp/4001")
		f.speak(t, id, testProtocol)
		f.at(id)
		f.answer(id)
		if f.isDue(id) {
			t.Fatal("it is to be checked before it moves")
		}
		f.host.Peerstore().ClearAddrs(id)
		f.host.Peerstore().AddAddr(id, moved, peerstore.PermanentAddrTTL)
		*f.wakes = 0
		if f.Wants(id) || *f.wakes == 0 || !f.isDue(id) {
			t.Errorf("it is not to be checked; %d wakes", *f.wakes)
		}
		if addrs := addrsOf(f.Buckets()[0].Contacts[0]); len(addrs) != 1 || !addrs[0].Equal(moved) {
			t.Errorf("announced with %v, want %v", addrs, moved)
		}
	})
}

// A peer that is identified while its first answer is taken in has its addresses in the table: the
// host did not know them a moment before.
func TestIdentifiedWhileItAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := calltest.ID(1)
		var f *fixture
		identified := false
		h := bookHost{calltest.New(t).Host(), func() {
			if !identified {
				identified = true
				f.at(id)
				f.Wants(id)
			}
		}}
		f = newTable(t, Config{Host: h})
		f.host = h.Host
		f.speak(t, id, testProtocol)
		f.answer(id)
		if c, ok := f.held(routing.KeyOf([]byte(id))); !ok || len(addrsOf(routing.Held{Contact: c})) == 0 {
			t.Errorf("a contact: %v, at %v; want its address", ok, addrsOf(routing.Held{Contact: c}))
		}
		if f.Announcement(id) == nil {
			t.Error("the peer is not named to others")
		}
	})
}

// A bookHost is a host that calls read after it has read the addresses of a peer.
type bookHost struct {
	lhost.Host
	read func()
}

func (h bookHost) Peerstore() peerstore.Peerstore { return book{h.Host.Peerstore(), h.read} }

type book struct {
	peerstore.Peerstore
	read func()
}

func (b book) Addrs(id peer.ID) []multiaddr.Multiaddr {
	addrs := b.Peerstore.Addrs(id)
	b.read()
	return addrs
}

// A contact that has the same addresses in another order has not moved.
func TestAddressOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		id, other := calltest.ID(1), multiaddr.StringCast("/ip4/9.9.9.9/udp/1/quic-v1")
		f.speak(t, id, testProtocol)
		f.at(id)
		f.host.Peerstore().AddAddr(id, other, peerstore.PermanentAddrTTL)
		f.answer(id)
		held := f.Buckets()[0].Contacts[0].Wire
		if addrs := addrsOf(f.Buckets()[0].Contacts[0]); len(addrs) != 2 || !addrs[0].Equal(other) {
			t.Fatalf("it is announced with %v", addrs)
		}
		f.net.Connect(id) // which proves the second one
		if f.Wants(id) || f.isDue(id) || !bytes.Equal(f.Buckets()[0].Contacts[0].Wire, held) {
			t.Errorf("it has moved, from %x to %x", held, f.Buckets()[0].Contacts[0].Wire)
		}
	})
}

// A contact that stops serving leaves the table, and comes back when it serves again.
func TestContactStopsServing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		id := calltest.ID(1)
		f.net.Connect(id)
		f.speak(t, id, testProtocol)
		f.answer(id)
		f.speak(t, id, "/other")
		if f.Wants(id) || f.Has(id) || f.Live() {
			t.Error("it is in the table, and does not serve")
		}
		f.speak(t, id, testProtocol)
		if !f.Wants(id) {
			t.Error("it serves again, and is not to be introduced")
		}
	})
}

// A contact that sends requests is checked later.
func TestContactThatAsks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		contact := calltest.ID(1)
		f.speak(t, contact, testProtocol)
		f.answer(contact)
		_, before := f.Due(time.Now(), 1)
		const later = 5 * time.Minute
		time.Sleep(later)
		f.WantsAsker(contact)
		if _, after := f.Due(time.Now(), 1); after.Sub(before) != later {
			t.Errorf("it is checked %v later", after.Sub(before))
		}
	})
}

// A requester is to be introduced if it serves, is no contact, and not in doubt. In an
// empty table no peer is in doubt.
func TestWantsAsker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		contact, serves, other := calltest.ID(1), calltest.ID(2), calltest.ID(3)
		f.speak(t, contact, testProtocol)
		f.speak(t, serves, testProtocol)
		f.miss(serves)
		if !f.WantsAsker(serves) {
			t.Error("a peer is in doubt though the table is empty")
		}
		f.answer(contact)
		if !f.WantsAsker(serves) || f.WantsAsker(contact) || f.WantsAsker(other) {
			t.Error("want the peer that serves, no contact, and no peer that does not serve")
		}
		f.miss(serves)
		if f.WantsAsker(serves) {
			t.Error("a peer in doubt is to be introduced")
		}
		if time.Sleep(routing.DoubtAge); !f.WantsAsker(serves) {
			t.Error("a peer is in doubt for too long")
		}
	})
}

// The end of a connection has a contact checked, once, and lookups wait less for it. It
// says nothing about other peers.
func TestDisconnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		id, other := calltest.ID(1), calltest.ID(9)
		f.answer(id, calltest.ID(2))
		*f.wakes = 0
		f.Disconnected(other)
		if f.doubtful(other) || *f.wakes != 0 {
			t.Error("a peer that is no contact is in doubt")
		}
		f.Disconnected(id)
		if !f.doubtful(id) || *f.wakes != 1 || !f.isDue(id) || f.Stats().Suspects != 0 {
			t.Errorf("in doubt: %v, %d wakes, %+v", f.doubtful(id), *f.wakes, f.Stats())
		}
		f.Checked(routing.ContactOf(id), Answered, 0)
		f.Disconnected(id)
		if f.doubtful(id) || f.isDue(id) {
			t.Error("it is checked for each connection that ends")
		}
	})
}

// A peer is announced as the contact that it is, this node with its own addresses.
func TestAnnouncement(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		id, self := calltest.ID(1), f.host.ID()
		f.at(id)
		f.answer(id)
		for _, id := range peers(1) {
			if p, err := f.Announcement(id).Peer(); err != nil || p.ID != id || len(p.Addrs) != 1 {
				t.Errorf("announced as %v, %v", p, err)
			}
		}
		if p, err := f.Announcement(self).Peer(); err != nil || p.ID != self || len(p.Addrs) != len(f.host.Addrs()) {
			t.Errorf("this node is announced as %v, %v", p, err)
		}
		if w := f.Announcement(calltest.ID(9)); w != nil {
			t.Errorf("a peer without addresses is announced: %x", w)
		}
		if w := f.Announcement(""); w != nil {
			t.Errorf("no peer is announced: %x", w)
		}
	})
}

// A peer is not announced where strangers have named it, though the host knows these addresses for
// a while: a contact is where it was found, and another one where it has signed that it is.
func TestHostileHearsay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		id := calltest.ID(1)
		f.at(id)
		f.answer(id)
		named := calltest.ID(10)
		f.Learn(named, []multiaddr.Multiaddr{calltest.Addr(named)})
		if w := f.Announcement(named); w != nil {
			t.Errorf("a peer is announced where it was named: %x", w)
		}
		f.Learn(id, roomtest.Addrs("/ip4/9.9.9.9/tcp/1"))
		if p, err := f.Announcement(id).Peer(); err != nil || len(p.Addrs) != 1 {
			t.Errorf("a contact that was named elsewhere is announced at %v, %v", p.Addrs, err)
		}
		signer := roomtest.NewSigner(t, f.host.Peerstore(), "/ip4/8.8.8.8/tcp/1")
		f.Learn(signer, roomtest.Addrs("/ip4/9.9.9.9/tcp/1"))
		if p, err := f.Announcement(signer).Peer(); err != nil || len(p.Addrs) != 1 || p.Addrs[0].String() != "/ip4/8.8.8.8/tcp/1" {
			t.Errorf("a peer that has signed another address is announced at %v, %v", p.Addrs, err)
		}
	})
}

// A peer that has left is announced where it said that it is, though it serves nothing and has signed
// nothing, and not where strangers name it before that or after. One that was not identified has said
// nothing.
func TestAnnouncementOfLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		left, late, strange := calltest.ID(1), calltest.ID(2), calltest.ID(3)
		false1, false2 := roomtest.Addrs("/ip4/9.9.9.9/tcp/1"), roomtest.Addrs("/ip4/9.9.9.9/tcp/2")
		for _, id := range []peer.ID{left, late, strange} {
			f.at(id)
			f.speak(t, id, "/other")
		}
		f.net.Connect(left)
		f.Identified(left, []multiaddr.Multiaddr{calltest.Addr(left)})
		f.net.Disconnect(left)
		f.Disconnected(left)
		f.Learn(late, false1)
		f.Disconnected(late)
		f.Identified(late, []multiaddr.Multiaddr{calltest.Addr(late)}) // the event comes after the end
		f.Disconnected(strange)
		for _, id := range []peer.ID{left, late, strange} {
			f.Learn(id, false2)
		}
		for _, id := range []peer.ID{left, late} {
			if p, err := f.Announcement(id).Peer(); err != nil || len(p.Addrs) != 1 || !p.Addrs[0].Equal(calltest.Addr(id)) {
				t.Errorf("a peer that has left is announced at %v, %v", p.Addrs, err)
			}
		}
		if w := f.Announcement(strange); w != nil {
			t.Errorf("a peer that was not identified is announced: %x", w)
		}
		f.Identified(strange, roomtest.Addrs("/ip4/8.8.8.8/tcp/1")) // which the host does not know
		if w := f.Announcement(strange); w != nil {
			t.Errorf("a peer is announced where the host does not know it: %x", w)
		}
		for i := range 2 * maxNamed {
			id := calltest.ID(10 + i)
			f.at(id)
			f.Identified(id, []multiaddr.Multiaddr{calltest.Addr(id)})
		}
		if len(f.named) > maxNamed {
			t.Errorf("the addresses of %d peers are kept", len(f.named))
		}
	})
}

// A contact is in the network that its connection comes from, and is announced with the
// addresses that reach as far as that.
func TestContactOfConnected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		id := calltest.ID(1)
		private := multiaddr.StringCast("/ip4/192.168.0.1/tcp/1")
		f.host.Peerstore().AddAddrs(id, []multiaddr.Multiaddr{private, calltest.Addr(id)}, peerstore.PermanentAddrTTL)
		f.net.Connect(id)
		c := f.contact(id)
		p, err := announce.Wire(c.Wire).Peer()
		if err != nil || len(p.Addrs) != 1 || !p.Addrs[0].Equal(calltest.Addr(id)) || c.Group != "8.8.0.0" {
			t.Errorf("it is at %v, %v, in %q; want the public address", p.Addrs, err, c.Group)
		}
	})
}

// The host gets the addresses of a contact that it is to dial, and of no other.
func TestLearn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		dialled, connected := calltest.ID(1), calltest.ID(2)
		f.net.Connect(connected)
		for _, id := range []peer.ID{dialled, connected} {
			f.Learn(id, []multiaddr.Multiaddr{calltest.Addr(id)})
		}
		store := f.host.Peerstore()
		if len(store.Addrs(dialled)) != 1 || len(store.Addrs(connected)) != 0 {
			t.Errorf("the host knows %v, and of the connected peer %v", store.Addrs(dialled), store.Addrs(connected))
		}
	})
}

// View shows each contact, when it last answered, and whether it missed since.
func TestView(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		id, other := calltest.ID(1), calltest.ID(2)
		f.at(id)
		f.host.Peerstore().RecordLatency(id, time.Second)
		seen := time.Now()
		f.answer(id, other)
		time.Sleep(time.Minute)
		f.miss(other)
		want := protocol.Peer{ID: id}
		count := 0
		for _, b := range f.Buckets() {
			for _, c := range b.Contacts {
				count++
				if !c.Seen.Equal(seen) || c.Suspect != (c.ID == other) {
					t.Errorf("%+v", c)
				}
				if c.ID == want.ID && len(addrsOf(c)) != 1 {
					t.Errorf("%+v", c)
				}
			}
		}
		if count != 2 {
			t.Errorf("%d contacts, want 2", count)
		}
	})
}
