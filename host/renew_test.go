package host

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
)

// opened returns when the only connection to each of some hosts was opened.
func opened(d *DHT, hosts []peer.ID) map[peer.ID]time.Time {
	at := make(map[peer.ID]time.Time)
	for _, id := range hosts {
		if conns := d.host.Network().ConnsToPeer(id); len(conns) == 1 {
			at[id] = conns[0].Stat().Opened
		}
	}
	return at
}

// renewTwice is the time in which connections are renewed soon, if they are in use at first.
const renewTwice = 45 * time.Second

// A host behind a NAT renews connections every few minutes, and soon after a hole
// could not be punched: of servers that are no relays of it, and that are idle. One
// that can be reached renews none.
func TestRenew(t *testing.T) { synctest.Test(t, testRenew) }

func testRenew(t *testing.T) {
	w := newSimWorld(t)
	relays := w.relays(2)
	boot := []peer.AddrInfo{info(relays[0]), info(relays[1])}
	plain, pd := w.host("50.1.0.1", Config{Bootstrap: boot})
	used, _ := w.host("51.1.0.1", Config{Bootstrap: boot})
	time.Sleep(time.Minute)
	_, d := w.host("192.168.1.2", Config{Bootstrap: append(boot, info(plain), info(used))})
	until(t, "two relays", func() bool { return len(d.relay.Held()) == 2 })
	until(t, "all servers", func() bool { return d.table.Stats().Contacts == 4 })
	kept := []peer.ID{relays[0].ID(), relays[1].ID(), used.ID()}
	all := append(kept, plain.ID())
	stream, err := d.host.NewStream(t.Context(), used.ID(), ping.ID)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stream.Reset() }()

	for _, wait := range []time.Duration{renewTwice, 6 * time.Minute} {
		name := "in time"
		if wait == renewTwice {
			name = "after a failure"
			time.Sleep(20 * time.Second)
			trace(d, &holepunch.EndHolePunchEvt{Success: true})
			trace(d, &holepunch.StartHolePunchEvt{})
			same := opened(d, all)
			time.Sleep(time.Second)
			if now := opened(d, all); now[plain.ID()] != same[plain.ID()] {
				t.Errorf("%s: renewed without one", name)
			}
			brief, err := d.host.NewStream(t.Context(), plain.ID(), ping.ID)
			if err != nil {
				t.Fatal(err)
			}
			trace(d, &holepunch.EndHolePunchEvt{})
			time.Sleep(time.Second) // in use just then
			_ = brief.Reset()
		}
		before, theirs := opened(d, all), opened(pd, kept)
		time.Sleep(wait)
		after := opened(d, all)
		if !after[plain.ID()].After(before[plain.ID()]) {
			t.Errorf("%s: not renewed", name)
		}
		for _, id := range kept {
			if after[id] != before[id] || len(theirs) == 0 || opened(pd, kept)[id] != theirs[id] {
				t.Errorf("%s: renewed, though it is a relay, or used, or not behind a NAT: %v", name, id)
			}
		}
	}
	if d.host.Network().Connectedness(plain.ID()) != network.Connected {
		t.Error("not connected again")
	}
}

// trace gives a DHT an event of a hole punch.
func trace(d *DHT, e any) {
	var tr traversal
	tr.dht.Store(d)
	tr.Trace(&holepunch.Event{Evt: e})
}
