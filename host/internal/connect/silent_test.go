package connect

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
)

// A connection is silent when packets go out at two looks in a row, and none comes in.
func TestTraffic(t *testing.T) {
	var now traffic
	for i, look := range []struct {
		sent, received uint64
		silent         int
	}{
		{1, 1, 0},
		{1, 1, 0}, // idle
		{2, 1, 1}, // an acknowledgement, perhaps
		{2, 1, 1},
		{3, 2, 0},
		{4, 2, 1},
		{5, 2, 2}, // repeated
		{5, 2, 2},
		{5, 3, 0},
	} {
		if now = now.next(look.sent, look.received); now.silent != look.silent {
			t.Errorf("look %d: silent at %d looks, want %d", i, now.silent, look.silent)
		}
	}
}

// What is silent is closed when another peer answers, sooner if its peer has another
// connection, and with the older relayed connections of its peer.
func TestCloseSilent(t *testing.T) { synctest.Test(t, testCloseSilent) }

func testCloseSilent(t *testing.T) {
	n := newNode(t)
	open := func(i int, addr string, answers bool) *conn {
		c := n.host.net.open(calltest.ID(100+i), addr)
		c.local, c.answers = multiaddr.StringCast(anyQUIC), answers
		time.Sleep(time.Second)
		return c
	}
	older := open(0, relayedAddr, true)
	moved := open(0, publicAddr, false)
	newer := open(0, relayedAddr, true)
	gone := open(1, publicAddr, false)
	lossy := open(2, publicAddr, true)
	suspects := []network.Conn{moved, gone, lossy}
	check := func(when string, want map[*conn]bool) {
		t.Helper()
		for c, closed := range want {
			if c.IsClosed() != closed {
				t.Errorf("%s: connection %v of %v is closed: %v", when, c.addr, c.id, c.IsClosed())
			}
		}
	}
	lossy.answers = false
	if err := n.closeSilent(t.Context(), suspects); err != nil {
		t.Fatal(err)
	}
	check("offline", map[*conn]bool{older: false, moved: false, newer: false, gone: false, lossy: false})
	witness := open(3, publicAddr, true)
	lossy.answers = true
	began := time.Now()
	if err := n.closeSilent(t.Context(), suspects); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took != outage {
		t.Errorf("it took %v, want %v", took, outage)
	}
	check("online", map[*conn]bool{older: true, moved: true, newer: false, gone: true, lossy: false, witness: false})
}
