package relay

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
)

// A usage is a stream of some protocol.
type usage struct {
	network.Stream // nil: what is not implemented is not used

	of lprotocol.ID
}

func (u usage) Protocol() lprotocol.ID { return u.of }

// The held relay that is farthest away is given up for a relay that is much nearer, unless its
// connection is in use.
func TestBetterRelay(t *testing.T) {
	const ms = time.Millisecond
	first, second, third := calltest.ID(1), calltest.ID(2), calltest.ID(3)
	for name, tt := range map[string]struct {
		trips  [3]time.Duration // of the two that are held, and of another one
		spoil  func(*node)
		gives  int // which one is given up; 0: none
		public bool
		at     [3]string // where they were reached; "": in one network
	}{
		"the first is far":                   {trips: [3]time.Duration{200 * ms, 30 * ms, 50 * ms}, gives: 1},
		"the second is far":                  {trips: [3]time.Duration{60 * ms, 200 * ms, 50 * ms}, gives: 2},
		"the other one is farther":           {trips: [3]time.Duration{60 * ms, 200 * ms, 300 * ms}},
		"it is not half as far":              {trips: [3]time.Duration{200 * ms, 30 * ms, 110 * ms}},
		"all are near":                       {trips: [3]time.Duration{40 * ms, 30 * ms, 1 * ms}},
		"the host is reachable":              {trips: [3]time.Duration{200 * ms, 30 * ms, 50 * ms}, public: true},
		"the other one is beside the second": {trips: [3]time.Duration{200 * ms, 30 * ms, 50 * ms}, at: [3]string{"9.1.0.1", "9.2.0.1", "9.2.0.2"}},
		"the other one is beside the first":  {trips: [3]time.Duration{200 * ms, 30 * ms, 50 * ms}, at: [3]string{"9.1.0.1", "9.2.0.1", "9.1.0.2"}, gives: 1},
		"each is in its network":             {trips: [3]time.Duration{200 * ms, 30 * ms, 50 * ms}, at: [3]string{"9.1.0.1", "9.2.0.1", "9.3.0.1"}, gives: 1},
		"there is no other one": {trips: [3]time.Duration{200 * ms, 30 * ms, 50 * ms}, spoil: func(n *node) {
			n.net.Disconnect(third)
		}},
		"a peer is connected through it": {trips: [3]time.Duration{200 * ms, 30 * ms, 50 * ms}, spoil: func(n *node) {
			n.host.net.open(calltest.ID(9), 0).addr = relayedAt(first)
		}},
		"another protocol uses it": {trips: [3]time.Duration{200 * ms, 30 * ms, 50 * ms}, spoil: func(n *node) {
			n.host.net.open(first, 0).uses = []network.Stream{usage{of: "/chat"}}
		}},
		"the DHT uses it": {trips: [3]time.Duration{200 * ms, 30 * ms, 50 * ms}, gives: 1, spoil: func(n *node) {
			n.host.net.open(first, 0).uses = []network.Stream{usage{of: "/test"}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, false)
				n.finds(network.ReachabilityPrivate)
				ids := []peer.ID{first, second, third}
				for i, id := range ids {
					n.enterRelay(t, id)
					if tt.at[i] != "" {
						n.host.net.open(id, 0).addr = multiaddr.StringCast("/ip4/" + tt.at[i] + "/tcp/1")
					}
					for range 100 { // it is an average
						n.host.Peerstore().RecordLatency(id, tt.trips[i])
					}
				}
				if tt.spoil != nil {
					tt.spoil(n)
				}
				n.holds(first, second)
				if tt.public {
					n.finds(network.ReachabilityPublic)
				}
				time.Sleep(betterInterval * 8 / 10)
				n.host.net.mu.Lock()
				if len(n.host.net.closed) > 0 {
					t.Errorf("gives up %v at once", n.host.net.closed)
				}
				n.host.net.mu.Unlock()
				time.Sleep(betterInterval * 12 / 10)
				synctest.Wait()
				n.host.net.mu.Lock()
				defer n.host.net.mu.Unlock()
				var want []peer.ID
				if tt.gives > 0 {
					want = ids[tt.gives-1 : tt.gives]
				}
				if got := slices.Compact(slices.Clone(n.host.net.closed)); !slices.Equal(got, want) {
					t.Errorf("gives up %v, want %v", got, want)
				}
			})
		})
	}
}

// A relay that was proposed lately cannot be proposed: it hides no other one, and none is given up
// for it.
func TestProposedLately(t *testing.T) { synctest.Test(t, testProposedLately) }

func testProposedLately(t *testing.T) {
	n := newNode(t, false)
	ids := []peer.ID{calltest.ID(1), calltest.ID(2), calltest.ID(3)}
	for i, id := range ids {
		n.enterRelay(t, id)
		for range 100 {
			n.host.Peerstore().RecordLatency(id, time.Duration(200-90*i)*time.Millisecond)
		}
	}
	held := ids[:1]
	n.holds(held...)
	if worse, ok := n.worse(time.Now(), held); !ok || worse != ids[0] {
		t.Errorf("gives up %v: %v; want the far one", worse, ok)
	}
	for _, want := range []peer.ID{ids[2], ids[1]} {
		got := n.proposable(n.connected(), held, 1)
		if len(got) != 1 || got[0].ID != want {
			t.Errorf("proposes %v, want %v", got, want)
		}
	}
	if worse, ok := n.worse(time.Now(), held); ok {
		t.Errorf("gives up %v, though none can be proposed", worse)
	}
}
