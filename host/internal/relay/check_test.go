package relay

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/go-kad/kad/host/internal/call/calltest"
)

// silence is how long a connection has to answer: see call.ConnsTo.
const silence = 1500 * time.Millisecond

// Relays that are silent twice are given up within 10s, one or both, if another peer
// answers: the other relay, or a contact. In an outage of this node, none is given up.
func TestSilentRelays(t *testing.T) {
	const never, once, always = 0, 1, 1000
	for name, tt := range map[string]struct {
		first, second int // how many questions they leave without an answer
		contact       calltest.Answer
		given, up     bool // the first and the second
	}{
		"both are there":   {never, never, calltest.Silent, false, false},
		"one is dead":      {always, never, calltest.Silent, true, false},
		"one loss":         {once, never, calltest.Silent, false, false},
		"both are dead":    {always, always, calltest.Names(), true, true},
		"this node is cut": {always, always, calltest.Silent, false, false},
		"one loss of both": {once, once, calltest.Names(), false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, false)
				n.finds(network.ReachabilityPrivate)
				witness, first, second := calltest.ID(1), calltest.ID(2), calltest.ID(3)
				n.enter(t, witness, calltest.Names())
				n.net.Add(witness, tt.contact)
				start := time.Now()
				a, b := n.host.net.open(first, tt.first), n.host.net.open(second, tt.second)
				n.holds(first, second)
				time.Sleep(checkInterval + 3*silence)
				for i, c := range []*conn{a, b} {
					want := []bool{tt.given, tt.up}[i]
					if end := c.end(); end.IsZero() == want {
						t.Errorf("relay %d given up after %v, want %v", i, end.Sub(start), want)
					}
				}
			})
		})
	}
}

// Relays are asked every 5s, while the node holds them and cannot be dialled.
func TestRelaysAreAsked(t *testing.T) { synctest.Test(t, testRelaysAreAsked) }

func testRelaysAreAsked(t *testing.T) {
	n := newNode(t, false)
	id := calltest.ID(1)
	c := n.host.net.open(id, 0)
	asked := func(what string, want int) {
		t.Helper()
		time.Sleep(time.Second)
		synctest.Wait() // a check that was under way has ended
		n.host.net.mu.Lock()
		before := c.asked
		n.host.net.mu.Unlock()
		time.Sleep(time.Minute)
		n.host.net.mu.Lock()
		defer n.host.net.mu.Unlock()
		if got := c.asked - before; got < want-1 || got > want+1 || want == 0 && got > 0 {
			t.Errorf("%s: asked %d times in a minute, want %d", what, got, want)
		}
	}
	asked("not held", 0)
	n.holds(id)
	asked("held", int(time.Minute/checkInterval))
	n.finds(network.ReachabilityPublic)
	asked("reachable", 0)
}
