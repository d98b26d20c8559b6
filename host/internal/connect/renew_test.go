package connect

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/tasks"
)

// The oldest idle connections over QUIC to contacts on the internet are closed and opened
// again; connections to relays, and connections in use or protected, are left alone.
func TestRenew(t *testing.T) { synctest.Test(t, testRenew) }

func testRenew(t *testing.T) {
	n := newNode(t)
	const quic = "/ip4/50.1.0.1/udp/4001/quic-v1"
	id := func(i int) peer.ID { return calltest.ID(100 + i) }
	for i := range 10 {
		if i != 5 {
			n.enter(t, id(i), calltest.Names())
		}
	}
	for i := range 10 {
		if n.cfg.Table.Has(id(i)) != (i != 5) {
			t.Fatalf("peer %d is in the table: %v", i, i == 5)
		}
	}
	conns := make(map[int]*conn)
	for i, addr := range []string{
		0: quic, 1: quic, 2: quic,
		3: "/ip4/50.1.0.1/tcp/4001",
		4: "/ip4/192.168.1.9/udp/4001/quic-v1",
		5: quic, // no contact
		6: quic, // a relay of this node
		7: quic, // in use
		8: quic, // protected
	} {
		time.Sleep(time.Second)
		conns[i] = n.host.net.open(id(i), addr)
	}
	for i := range 3 { // younger than all that are left alone, 0 the youngest
		conns[(i+1)%3].opened = time.Now().Add(time.Duration(i+1) * time.Millisecond)
	}
	for i := range 2 { // the swarm may use either
		conns[9+i] = n.host.net.open(id(9), quic)
		conns[9+i].opened = time.Time{}
	}
	n.held = []peer.ID{id(6)}
	conns[7].streams = make([]network.Stream, 1)
	n.host.protected[id(8)] = true
	before := len(n.net.Dialled())
	n.net.Disconnect(id(1), id(2))
	if err := n.renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, c := range conns {
		if closed := c.IsClosed(); closed != (i == 1 || i == 2) {
			t.Errorf("connection %d is closed: %v", i, closed)
		}
	}
	if got := n.net.Dialled()[before:]; !slices.Equal(got, []peer.ID{id(1), id(2)}) {
		t.Errorf("dialled %v, want the two that were closed", got)
	}

	// Where too few are idle, contacts that are not connected are dialled.
	before = len(n.net.Dialled())
	closest := n.cfg.Table.Closest(n.cfg.Table.Self(), n.cfg.K)
	n.net.Disconnect(closest[1].ID)
	_ = conns[0].Close()
	if err := n.renew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := n.net.Dialled()[before:]; !slices.Equal(got, []peer.ID{closest[1].ID}) {
		t.Errorf("dialled %v, want the contact that is not connected", got)
	}
}

// renewing runs the job in a loop of its own, until the test ends. It returns a count of the
// renewals, and the loop.
func (n *node) renewing() (*atomic.Int32, *tasks.Loop) {
	renewals, loop := new(atomic.Int32), tasks.NewLoop(n.group)
	n.cfg.Held = func() []peer.ID { renewals.Add(1); return nil }
	n.cfg.Wake = loop.Wake
	loop.Add(n.RenewJob())
	n.group.Go(func(ctx context.Context) { loop.Run(ctx, nil, nil) })
	return renewals, loop
}

// A host behind a NAT renews every few minutes, and soon after a hole could not be
// punched; one that can be dialled, never.
func TestRenewWhen(t *testing.T) { synctest.Test(t, testRenewWhen) }

func testRenewWhen(t *testing.T) {
	n := newNode(t)
	renewals, loop := n.renewing()
	after := func(what string, wait time.Duration, least, most int32) {
		t.Helper()
		time.Sleep(wait)
		synctest.Wait()
		if got := renewals.Swap(0); got < least || got > most {
			t.Errorf("%s: %d renewals, want %d to %d", what, got, least, most)
		}
	}
	after("in time", time.Hour, 18, 23)
	time.Sleep(renewInterval / 2)
	renewals.Store(0)
	n.cfg.Reach.Handle(event.EvtLocalReachabilityChanged{Reachability: network.ReachabilityPublic})
	loop.Wake()
	after("reachable", time.Hour, 0, 0)
	n.PunchFailed()
	after("reachable, after a failure", time.Hour, 0, 0)
}

// Holes that cannot be punched cause a renewal at once, and no more often than every 20s.
func TestRenewAfterFailure(t *testing.T) { synctest.Test(t, testRenewAfterFailure) }

func testRenewAfterFailure(t *testing.T) {
	n := newNode(t)
	renewals, _ := n.renewing()
	time.Sleep(renewPause)
	for i, want := range []int32{1, 1, 2, 2} {
		n.PunchFailed()
		time.Sleep(renewPause/3 + time.Second)
		synctest.Wait()
		if got := renewals.Load(); got != want {
			t.Errorf("failure %d: %d renewals, want %d", i, got, want)
		}
	}
	time.Sleep(2 * time.Minute) // the last failure leads to one more, and to no others
	synctest.Wait()
	if got := renewals.Load(); got != 3 {
		t.Errorf("%d renewals in the end, want 3", got)
	}
}
