package relay

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	relayv2 "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/find"
	"github.com/go-kad/kad/host/internal/reach"
	"github.com/go-kad/kad/protocol"
)

// announcements returns how often the relay was announced, and withdrawn, since it was
// called last.
func (n *node) announcements(t *testing.T) (count int) {
	t.Helper()
	c, err := find.NamespaceCID("/test/relay")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range n.net.Asked() {
		if add, ok := a.Req.(protocol.AddProvider); ok && string(add.Key) == string(c.Hash()) {
			count++
		}
	}
	return count
}

// A node that offers to relay does so while it can be dialled, and announces it again and
// again; one whose host relays already runs no service of its own.
func TestOffer(t *testing.T) { synctest.Test(t, testOffer) }

func testOffer(t *testing.T) {
	n := newNode(t, true)
	want := func(what string, relays bool, least, most int) {
		t.Helper()
		synctest.Wait()
		if got := n.announcements(t); n.host.handlers[circuit.ProtoIDv2Hop] != relays || got < least || got > most {
			t.Errorf("%s: relays %v, announced %d times", what, n.host.handlers[circuit.ProtoIDv2Hop], got)
		}
	}
	time.Sleep(time.Minute)
	want("behind a NAT", false, 0, 0)
	n.finds(network.ReachabilityPublic)
	time.Sleep(time.Minute)
	want("without a contact", true, 0, 0)
	n.enter(t, calltest.ID(1), calltest.Names())
	time.Sleep(2 * offerRetry)
	want("with a contact", true, 1, 1)
	time.Sleep(offerAge)
	want("in time", true, 3, 4)
	n.cfg.Reach.SetMode(reach.Client)
	n.loop.Wake()
	time.Sleep(offerAge)
	want("client", false, 0, 0)
	n.cfg.Reach.SetMode(reach.Server)
	n.loop.Wake()
	time.Sleep(time.Minute)
	want("server again", true, 1, 1)
	n.Close()
	time.Sleep(time.Second)
	want("closed", false, 0, 0)
	n.group.Cancel()
}

// A host that relays by itself is announced, and its service is left alone.
func TestOfferOfTheHost(t *testing.T) { synctest.Test(t, testOfferOfTheHost) }

func testOfferOfTheHost(t *testing.T) {
	n := newNode(t, true)
	n.host.handlers[circuit.ProtoIDv2Hop] = true
	n.enter(t, calltest.ID(1), calltest.Names())
	n.finds(network.ReachabilityPublic)
	time.Sleep(time.Minute)
	synctest.Wait()
	if n.announcements(t) != 1 || n.offer.service != nil {
		t.Error("not announced, or it runs a service beside that of the host")
	}
	n.finds(network.ReachabilityPrivate)
	time.Sleep(time.Minute)
	synctest.Wait()
	if n.offer.offering || !n.host.handlers[circuit.ProtoIDv2Hop] {
		t.Error("still announced, or the service of the host was stopped")
	}
}

// A node that does not offer to relay does not.
func TestNoOffer(t *testing.T) { synctest.Test(t, testNoOffer) }

func testNoOffer(t *testing.T) {
	n := newNode(t, false)
	n.enter(t, calltest.ID(1), calltest.Names())
	n.finds(network.ReachabilityPublic)
	time.Sleep(time.Hour)
	synctest.Wait()
	if n.announcements(t) != 0 || n.host.handlers[circuit.ProtoIDv2Hop] {
		t.Error("it relays")
	}
}

// A relay carries no more than its limits say.
func TestLimits(t *testing.T) {
	l := Limits{Duration: time.Minute, Bytes: 1 << 20, Reservations: 16, ReservationsPerIP: 99, Circuits: 8}
	r := l.resources()
	few, usual := Limits{ReservationsPerIP: 1}.resources().MaxReservationsPerASN, relayv2.DefaultResources().MaxReservationsPerASN
	if few != usual {
		t.Errorf("few for each address are %d for each provider, want %d as usual", few, usual)
	}
	if r.Limit.Duration != l.Duration || r.Limit.Data != l.Bytes || r.MaxReservations != l.Reservations ||
		r.MaxCircuits != l.Circuits || r.MaxReservationsPerIP != l.ReservationsPerIP || r.MaxReservationsPerASN < l.ReservationsPerIP {
		t.Errorf("%+v of %+v", r, l)
	}
}
