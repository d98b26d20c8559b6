package simnat

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"

	kad "github.com/go-kad/kad/host"
)

// soon is how long after a peer can notice that its addresses are others it is found
// at addresses that work.
const soon = 5 * time.Second

// addressLifetime is for how long a peer that has gone without a word may be found.
const addressLifetime = time.Hour

// reaches says whether a finds b at an address at which it answers. It leaves nothing
// behind that would help, or hinder, the next time.
func reaches(t *testing.T, a *node, b peer.ID) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	found, err := a.dht.FindPeer(ctx, b)
	if err != nil {
		return err
	}
	err = a.host.Connect(ctx, found)
	_ = a.host.Network().ClosePeer(b) // gone before, if at all
	a.host.Peerstore().ClearAddrs(b)
	a.host.Network().(*swarm.Swarm).Backoff().Clear(b)
	return err
}

// reachesAgain waits until a reaches b, and returns how long that took.
func reachesAgain(t *testing.T, a *node, b peer.ID) time.Duration {
	t.Helper()
	start := time.Now()
	for {
		err := reaches(t, a, b)
		took := time.Since(start)
		if err == nil {
			return took
		}
		if took > patience {
			t.Fatalf("not reached after %v: %v", took, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// waitFor waits until something holds, and returns how long that took.
func waitFor(t *testing.T, what string, holds func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !holds() {
		if time.Since(start) > patience {
			t.Fatalf("not after %v: %s", patience, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
	return time.Since(start)
}

// relaysOf returns the servers through which n announces to be reached.
func (w *world) relaysOf(n *node) (held []*node) {
	for _, r := range w.relays {
		if slices.ContainsFunc(n.host.Addrs(), func(a multiaddr.Multiaddr) bool {
			relay, err := a.ValueForProtocol(multiaddr.P_P2P) // the first one
			return err == nil && throughRelay(a) && relay == r.host.ID().String()
		}) {
			held = append(held, r)
		}
	}
	return held
}

// two returns who looks, and who is looked for and has just been reached, some time
// after they have started.
func (w *world) two() (a, b *node) {
	w.t.Helper()
	a, b = w.behind(PortRestricted()), w.behind(PortRestricted())
	w.reachable(a)
	w.reachable(b)
	reachesAgain(w.t, a, b.host.ID())
	time.Sleep(time.Minute)
	return a, b
}

// checkSoon fails if it took too long.
func checkSoon(t *testing.T, noticed, again time.Duration) {
	t.Helper()
	t.Logf("it could notice after %v, and was reached again %v later", noticed, again)
	if again > soon {
		t.Errorf("that is more than %v", soon)
	}
}

// When the NAT gets another address, connections over QUIC live on: they are not
// bound to addresses. The first packet from there mends the way through the relay.
func TestNATGetsAnotherAddress(t *testing.T) {
	inWorld(t, 1, 3, func(t *testing.T, w *world) {
		a, b := w.two()
		id := b.host.ID()
		b.nat.Renumber(netip.MustParseAddr("99.1.0.1"))
		noticed := waitFor(t, "it sends something", func() bool {
			b.nat.mu.Lock()
			defer b.nat.mu.Unlock()
			return len(b.nat.mappings) > 0
		})
		checkSoon(t, noticed, reachesAgain(t, a, id))

		// Nobody tells it the new address before there is a new connection: those that
		// were there have that of the time when they were opened. So the first attempts
		// to punch a hole fail, which makes it renew some.
		if m := meet(t.Context(), a, id); m.verdict != direct {
			t.Errorf("%s: %v", m.verdict, m.err)
		} else {
			t.Logf("direct after %v", m.direct)
		}
	})
}

// When all relays that a peer holds die without a word, it gets another one.
func TestRelaysDie(t *testing.T) {
	inWorld(t, 1, 3, func(t *testing.T, w *world) {
		a, b := w.two()
		held := w.relaysOf(b)
		if n := len(held); n == 0 || n == len(w.relays) {
			t.Fatalf("it holds %d of %d relays", n, len(w.relays))
		}
		for _, r := range held {
			r.link.Unplug()
		}
		noticed := waitFor(t, "it misses them", func() bool {
			return !slices.ContainsFunc(held, func(r *node) bool {
				return b.host.Network().Connectedness(r.host.ID()) == network.Connected
			})
		})
		checkSoon(t, noticed, reachesAgain(t, a, b.host.ID()))
		for _, r := range w.relaysOf(b) {
			if slices.Contains(held, r) {
				t.Error("it announces a relay that is dead")
			}
		}
	})
}

func TestRestart(t *testing.T) {
	for name, killed := range map[string]bool{"closed": false, "killed": true} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 1, 3, func(t *testing.T, w *world) {
				a, b := w.two()
				id := b.host.ID()
				if killed {
					b.link.Unplug()
				}
				w.stop(b)
				b.link.Plug()
				time.Sleep(2 * time.Second)
				w.start(b, w.privateOptions(b)...)
				checkSoon(t, 0, reachesAgain(t, a, id))
			})
		})
	}
}

// A peer that goes without a word is found no more when the lifetime of its addresses
// is over.
func TestVanishes(t *testing.T) {
	inWorld(t, 1, 3, func(t *testing.T, w *world) {
		a, b := w.two()
		id := b.host.ID()
		b.link.Unplug()
		start := time.Now()
		for {
			_, err := a.dht.FindPeer(t.Context(), id)
			if errors.Is(err, kad.ErrNotFound) {
				break
			}
			if err != nil || time.Since(start) > addressLifetime {
				t.Fatalf("after %v: %v", time.Since(start), err)
			}
			time.Sleep(10 * time.Second)
		}
		t.Logf("found for %v", time.Since(start))
		if m := meet(t.Context(), a, id); m.verdict != nothing {
			t.Errorf("then, %s", m.verdict)
		}
	})
}

// Two peers that could not punch a hole stay relayed; when the router of one of them is replaced
// by one that permits it, a hole is punched without anything being asked for.
func TestPunchedAgain(t *testing.T) {
	for name, dialler := range map[string]bool{"the router of the dialler": true, "the other router": false} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, 1, 3, func(t *testing.T, w *world) {
				flavours := []Flavour{PortRestricted(), Symmetric()}
				if dialler {
					slices.Reverse(flavours)
				}
				a, b := w.behind(flavours[0]), w.behind(flavours[1])
				w.reachable(a)
				w.reachable(b)
				if m := meet(t.Context(), a, b.host.ID()); m.verdict != relayed {
					t.Fatalf("%s at first: %v", m.verdict, m.err)
				}
				time.Sleep(5 * time.Minute)
				replaced := b.nat
				if dialler {
					replaced = a.nat
				}
				replaced.mu.Lock()
				replaced.flavour = PortRestricted()
				replaced.mu.Unlock()
				replaced.Renumber(netip.MustParseAddr("99.1.0.1"))
				start := time.Now()
				for a.host.Network().Connectedness(b.host.ID()) != network.Connected {
					if time.Since(start) > 20*time.Minute {
						t.Fatalf("still relayed: %v", a.host.Network().ConnsToPeer(b.host.ID()))
					}
					time.Sleep(time.Second)
				}
				t.Logf("direct after %v", time.Since(start))
			})
		})
	}
}
