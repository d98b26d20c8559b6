package host

import (
	"context"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// RelaySource proposes relays: give it to libp2p.EnableAutoRelayWithPeerSource, as
// [Traversal] does, which has the options that it goes well with. They are servers of
// this network: first those that the host is connected to, then those that announce
// themselves (Config.OfferRelay). All were reached at a public address and speak the
// relay protocol; a low round trip comes first, and a network (IPv4 /16, IPv6 /32)
// that no other relay of ours is in before one that is.
//
// It proposes no more than are missing to two reservations, and at most num, for
// AutoRelay takes any of what it is given. While none is missing, or the host can
// be reached without, it proposes none, and waits. Then it closes the channel, at the
// latest when ctx ends or the DHT is closed.
func (d *DHT) RelaySource(ctx context.Context, num int) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo)
	started := d.tasks.run(func(context.Context) {
		defer close(out)
		ctx, end := d.begin(ctx)
		defer end()
		d.relays.mu.Lock()
		d.relays.asked = true
		d.relays.mu.Unlock()
		for _, info := range d.missingRelays(ctx, num) {
			select {
			case out <- info:
			case <-ctx.Done():
				return
			}
		}
	})
	if !started {
		close(out)
	}
	return out
}

// missingRelays returns the relays to propose, as soon as there are any; none if ctx
// ends before that.
func (d *DHT) missingRelays(ctx context.Context, num int) []peer.AddrInfo {
	for ctx.Err() == nil {
		wait := maxRelayPause
		held := d.relays.holds()
		if n := min(num, relaysHeld-len(held)); n > 0 && d.needsRelay() {
			d.remindAutoRelay()
			found := d.proposable(d.connectedRelays(), held, n)
			if len(found) == 0 {
				due, next := d.relays.due(time.Now())
				if due {
					found = d.proposable(d.announcedRelays(ctx), held, n)
				}
				wait = min(max(time.Until(next), 0), overlookedAfter)
			}
			if len(found) > 0 {
				return found
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-d.relays.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return nil
}

// remindAutoRelay lets AutoRelay know of relays that it has lost. While the host is
// publicly reachable, it does not listen, and afterwards it would announce addresses
// of relays that have no reservation any more, until that would have ended. Such a
// relay that is connected again is disconnected: nobody on the host is told of an end
// that there was not.
func (d *DHT) remindAutoRelay() {
	overlooked := d.relays.overlooked(time.Now())
	if len(overlooked) == 0 {
		return
	}
	emitter, err := d.host.EventBus().Emitter(new(event.EvtPeerConnectednessChanged))
	if err != nil {
		return // the host is closed
	}
	for _, id := range overlooked {
		if d.host.Network().Connectedness(id) == network.NotConnected {
			_ = emitter.Emit(event.EvtPeerConnectednessChanged{Peer: id, Connectedness: network.NotConnected})
		} else {
			_ = d.host.Network().ClosePeer(id) // the host tells of it
		}
	}
	_ = emitter.Close()
}

// needsRelay reports whether there are peers that cannot reach us otherwise.
func (d *DHT) needsRelay() bool {
	reachable, public := d.mode.reachable()
	return public && !reachable
}

// proposable returns the n best of candidates that are not used or were proposed
// already, and takes note of that.
func (d *DHT) proposable(candidates []relayCandidate, held []peer.ID, n int) []peer.AddrInfo {
	now := time.Now()
	candidates = slices.DeleteFunc(candidates, func(c relayCandidate) bool {
		return d.relays.standingOf(now, c.ID) > relayRefused
	})
	var groups []string
	for _, id := range held {
		if c, ok := d.relayCandidate(id); ok {
			groups = append(groups, c.group)
		}
	}
	var found []peer.AddrInfo
	for _, c := range bestRelays(candidates, groups, n) {
		if d.relays.propose(now, c.ID) {
			found = append(found, c.AddrInfo)
		}
	}
	return found
}
