package host

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

const (
	// relaysHeld is how many relays a peer behind a NAT is reserved a slot by: while
	// one is lost and replaced, it can be reached through the other.
	relaysHeld = 2

	// offerAgain is when a relay that was proposed, and took no reservation, is
	// proposed again.
	offerAgain = 10 * time.Second

	// refusedAge is for how long a peer that announces to relay, and was found not to,
	// is not checked again; maxRefused bounds those that are remembered.
	refusedAge = 5 * time.Minute
	maxRefused = 1024

	// minRelayPause and maxRelayPause bound the time between two lookups of relays,
	// which doubles while there are too few. A lost relay ends it.
	minRelayPause = time.Second
	maxRelayPause = time.Minute

	// overlookedAfter is in what time AutoRelay notices that a relay is lost, unless it
	// was stopped then.
	overlookedAfter = time.Second
)

// A standing is how a peer stands with us as a relay.
type standing uint8

const (
	relayUnknown    standing = iota // there is nothing to say
	relayRefused                    // a check of it has failed
	relayOffered                    // it was proposed to AutoRelay
	relayHeld                       // it has a reservation for us, by what AutoRelay says
	relayLost                       // so it says, though the connection has ended: it will notice
	relayOverlooked                 // likewise, and it was stopped then: it will not
)

// using reports whether AutoRelay believes to have a reservation.
func (s standing) using() bool { return s >= relayHeld }

// A knownRelay is what is known of one.
type knownRelay struct {
	standing standing
	since    time.Time
}

// relays is what a node knows of the relays that it may be reached through.
type relays struct {
	wake chan struct{} // buffered, length 1: there may be something to propose

	mu    sync.Mutex             // held for what is in memory only
	known map[peer.ID]knownRelay // the others are relayUnknown
	asked bool                   // somebody reads RelaySource
	pause time.Duration          // after the next lookup of relays
	next  time.Time              // when it is
}

// hold takes in which relay addresses the host has now.
func (r *relays) hold(addrs []multiaddr.Multiaddr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var held []peer.ID
	for _, a := range addrs {
		if id, ok := relayOf(a); ok {
			held = append(held, id)
			if !r.known[id].standing.using() {
				r.note(id, relayHeld, time.Time{})
			}
		}
	}
	for id, k := range r.known {
		if k.standing.using() && !slices.Contains(held, id) {
			delete(r.known, id)
			r.pause, r.next = 0, time.Time{} // look for another at once
		}
	}
	poke(r.wake)
}

// holds returns who has a reservation for us. A relay drops it with the connection.
func (r *relays) holds() []peer.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	var held []peer.ID
	for id, k := range r.known {
		if k.standing == relayHeld {
			held = append(held, id)
		}
	}
	slices.Sort(held)
	return held
}

// lose takes note that the connection to a peer ended; notices is whether AutoRelay
// runs.
func (r *relays) lose(now time.Time, id peer.ID, notices bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[id].standing != relayHeld {
		return
	}
	if notices {
		r.note(id, relayLost, now)
	} else {
		r.note(id, relayOverlooked, now)
	}
	poke(r.wake)
}

// regain takes note that a peer is connected. If AutoRelay has noticed that it was
// gone, what it says of it now holds again.
func (r *relays) regain(id peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[id].standing == relayLost {
		r.note(id, relayHeld, time.Time{})
	}
}

// overlooked returns the relays that AutoRelay believes to hold, though their
// connection ended a while ago.
func (r *relays) overlooked(now time.Time) []peer.ID {
	r.mu.Lock()
	defer r.mu.Unlock()
	var ids []peer.ID
	for id, k := range r.known {
		if k.standing > relayHeld && now.Sub(k.since) >= overlookedAfter {
			r.note(id, k.standing, now)
			ids = append(ids, id)
		}
	}
	return ids
}

// propose takes note of a proposal; false if the peer has a reservation for us, or
// was proposed lately.
func (r *relays) propose(now time.Time, id peer.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now)
	if r.known[id].standing > relayRefused { // that one may relay by now
		return false
	}
	r.note(id, relayOffered, now)
	return true
}

// refuse takes note that the check of a peer has failed.
func (r *relays) refuse(now time.Time, id peer.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now)
	if r.known[id].standing > relayRefused {
		return
	}
	var refused []peer.ID // few but under attack
	for id, k := range r.known {
		if k.standing == relayRefused {
			refused = append(refused, id)
		}
	}
	if len(refused) >= maxRefused {
		delete(r.known, slices.MinFunc(refused, func(a, b peer.ID) int { return r.known[a].since.Compare(r.known[b].since) }))
	}
	r.note(id, relayRefused, now)
}

// pardon forgets who was refused: that was for our being offline.
func (r *relays) pardon() {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.known, func(_ peer.ID, k knownRelay) bool { return k.standing == relayRefused })
}

// standingOf returns how a peer stands.
func (r *relays) standingOf(now time.Time, id peer.ID) standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(now)
	return r.known[id].standing
}

// note sets how a peer stands.
func (r *relays) note(id peer.ID, s standing, since time.Time) {
	if r.known == nil {
		r.known = make(map[peer.ID]knownRelay)
	}
	r.known[id] = knownRelay{s, since}
}

// forget removes what is long ago.
func (r *relays) forget(now time.Time) {
	for id, k := range r.known {
		age := now.Sub(k.since)
		if k.standing == relayRefused && age >= refusedAge || k.standing == relayOffered && age >= offerAgain {
			delete(r.known, id)
		}
	}
}

// due reports whether it is time for a lookup of relays, which then is under way, and
// when the next one is.
func (r *relays) due(now time.Time) (bool, time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.Before(r.next) {
		return false, r.next
	}
	r.pause = min(max(2*r.pause, minRelayPause), maxRelayPause)
	r.next = now.Add(r.pause)
	return true, r.next
}

// relayOf returns the relay of a relay address.
func relayOf(a multiaddr.Multiaddr) (peer.ID, bool) {
	if !has(a, multiaddr.P_CIRCUIT) {
		return "", false
	}
	text, err := a.ValueForProtocol(multiaddr.P_P2P)
	if err != nil {
		return "", false
	}
	id, err := peer.Decode(text)
	return id, err == nil
}
