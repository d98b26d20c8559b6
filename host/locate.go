package host

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A Source says who vouches for an address of a peer, the best first.
type Source uint8

const (
	// SourceConnected is the peer itself: we are connected to it.
	SourceConnected Source = iota

	// SourceCertified is its signature: the newest that anybody holds.
	SourceCertified

	// SourcePresence is a holder that the peer told it to, as that one says.
	SourcePresence

	// SourceHearsay is anybody who knows it from somewhere.
	SourceHearsay
)

// String returns connected, certified, presence or hearsay.
func (s Source) String() string {
	switch s {
	case SourceConnected:
		return "connected"
	case SourceCertified:
		return "certified"
	case SourcePresence:
		return "presence"
	default:
		return "hearsay"
	}
}

// A LocatedAddr is an address of a peer, and where it comes from.
type LocatedAddr struct {
	Addr   multiaddr.Multiaddr
	Source Source

	// From is who told it first: we ourselves, or a peer that was asked.
	From peer.ID

	// Age is how long ago the peer said so itself: 0 if we are connected to it, and
	// negative if nobody knows, as with SourcePresence and SourceHearsay.
	Age time.Duration
}

// A Location is where a peer is said to be.
type Location struct {
	ID    peer.ID
	Addrs []LocatedAddr // the best first: by Source, and as their source orders them; each once
}

// info returns the location without its story.
func (l Location) info() peer.AddrInfo {
	info := peer.AddrInfo{ID: l.ID}
	for _, a := range l.Addrs {
		info.Addrs = append(info.Addrs, a.Addr)
	}
	return info
}

// FindPeer returns the addresses of [DHT.Locate].
//
// Spec: libp2p kad-dht, "Peer routing".
func (d *DHT) FindPeer(ctx context.Context, id peer.ID) (peer.AddrInfo, error) {
	found, err := d.Locate(ctx, id)
	if err != nil {
		return peer.AddrInfo{}, err
	}
	return found.info(), nil
}

// Locate looks for a peer, and returns its addresses with the story of each. One
// lookup asks for both the peer and its presence, which a peer that does not serve
// keeps with those closest to it. It ends when
//
//   - we are connected to the peer, or it answers itself;
//   - somebody has the peer in its routing table, for then it serves, and has no
//     presence;
//   - three have told the same presence, and nobody a newer one;
//   - those closest to the peer have answered. Only then does hearsay count.
//
// Of the addresses that the peer has certified, those of the newest signature are
// returned. Those that are private are not believed across the public network.
//
// The error is [ErrNotFound] if all that are closest to it have answered, and none
// knows it.
func (d *DHT) Locate(ctx context.Context, id peer.ID) (Location, error) {
	ctx, end := d.begin(ctx)
	defer end()
	if err := id.Validate(); err != nil {
		return Location{}, fmt.Errorf("kad: %q is not a peer ID: %w", string(id), err)
	}
	l := newLocator(d, id)
	if id == d.self {
		l.own(d.host.Addrs())
		return l.location(), nil
	}
	if l.own(d.connectedAddrs(id)) {
		return l.location(), nil
	}
	l.held(ctx)
	result, err := l.search(ctx)
	found := l.location()
	switch {
	case len(found.Addrs) > 0:
		return found, nil
	case err != nil:
		return Location{}, err
	default:
		return Location{}, fmt.Errorf(
			"%w: none of the %d closest peers that answered knows an address of %s: it is not online, or does not serve and has not told them where it is",
			ErrNotFound, len(result.Closest), id)
	}
}

// enoughWitnesses is how many must have told the same presence: one may be behind,
// and two may have been cut off.
const enoughWitnesses = 3

// A locator collects what is told of a peer. It belongs to the goroutine of the
// caller.
type locator struct {
	dht *DHT
	id  peer.ID
	now time.Time

	newest    time.Time             // of the certificates
	certified []LocatedAddr         // of the newest
	present   []LocatedAddr         // of those that hold a presence which is not certified
	last      []multiaddr.Multiaddr // of the presence that is counted, if nothing is certified
	witnesses map[peer.ID]struct{}  // of the newest certificate, or of last
	connected []LocatedAddr
	hearsay   []LocatedAddr

	mu    sync.Mutex                // of hints, which requests write
	hints map[peer.ID]protocol.Peer // what a peer says of the one that is looked for, if it was asked for that
}

func newLocator(d *DHT, id peer.ID) *locator {
	return &locator{
		dht: d, id: id, now: time.Now(),
		witnesses: make(map[peer.ID]struct{}), hints: make(map[peer.ID]protocol.Peer),
	}
}

// own takes in the addresses of a peer that we are connected to. It reports whether
// there are any.
func (l *locator) own(addrs []multiaddr.Multiaddr) bool {
	l.connected = located(addrs, SourceConnected, l.dht.self, 0)
	return len(addrs) > 0
}

// held takes in what we hold of the peer ourselves.
func (l *locator) held(ctx context.Context) {
	p, err := l.dht.store.Provider(ctx, []byte(l.id), string(l.id), l.now)
	if err != nil {
		return
	}
	if provider, ok := parseKept(p.Addrs).peer(l.now); ok {
		l.presence(l.dht.self, provider)
	}
}

// search asks others. It returns when enough is known.
func (l *locator) search(ctx context.Context) (routing.Result, error) {
	d := l.dht
	s, err := d.search(ctx, []byte(l.id), protocol.GetProviders{Key: []byte(l.id)}, plan{})
	if err != nil {
		return routing.Result{}, err
	}
	s.send = l.ask
	s.heard = func(from routing.Contact, resp protocol.Response) {
		if l.heard(from.ID, resp) {
			found := l.location().info()
			lrouting.PublishQueryEvent(ctx, &lrouting.QueryEvent{
				Type: lrouting.FinalPeer, ID: from.ID, Responses: []*peer.AddrInfo{&found},
			})
			s.lookup.Stop()
		}
	}
	return s.run(ctx)
}

// ask asks one peer for the presence of the one that is looked for, and for that one
// itself, at the same time. What only the second answer says of it is kept as a hint,
// not followed: it may be a peer that does not serve, which is not to be dialled for
// an answer. Once the peer has given the first, the second has SlowAfter.
func (l *locator) ask(ctx context.Context, who *caller, to peer.ID, reaches func(stage)) (protocol.Response, error) {
	d := l.dht
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	var find protocol.Response
	var findErr error
	done := make(chan struct{})
	if !d.tasks.run(func(context.Context) {
		defer close(done)
		d.stats.requests.Add(1)
		find, findErr = d.request(asking, who, to, protocol.FindNode{Target: []byte(l.id)}, nil)
	}) {
		return protocol.Response{}, ErrClosed
	}
	resp, err := d.request(ctx, who, to, protocol.GetProviders{Key: []byte(l.id)}, reaches)
	if err == nil {
		defer time.AfterFunc(d.cfg.SlowAfter, cancel).Stop()
	}
	<-done
	switch {
	case findErr != nil:
		return resp, err
	case err != nil && ctx.Err() != nil:
		return resp, err
	}
	return l.join(to, resp, find.Closer), nil
}

// join returns the answer of a peer with those of closer that are not in it, but for
// the one that is looked for.
func (l *locator) join(from peer.ID, resp protocol.Response, closer []protocol.Peer) protocol.Response {
	known := make(map[peer.ID]struct{}, len(resp.Closer))
	for _, p := range resp.Closer {
		known[p.ID] = struct{}{}
	}
	resp.Closer = slices.Clip(resp.Closer)
	for _, p := range closer {
		if p.ID == l.id {
			l.mu.Lock()
			l.hints[from] = p
			l.mu.Unlock()
		} else if _, ok := known[p.ID]; !ok {
			resp.Closer = append(resp.Closer, p)
		}
	}
	return resp
}

// heard takes in what one peer has answered, and reports whether that is enough.
func (l *locator) heard(from peer.ID, resp protocol.Response) (enough bool) {
	if l.own(l.dht.connectedAddrs(l.id)) {
		return true
	}
	for _, p := range resp.Providers {
		if p.ID == l.id {
			l.presence(from, p)
		}
	}
	serves := l.mentioned(from, resp.Closer...)
	l.mu.Lock()
	hint := l.hints[from]
	l.mu.Unlock()
	l.mentioned(from, hint)
	return serves || len(l.witnesses) >= enoughWitnesses
}

// presence takes in a presence of the peer.
func (l *locator) presence(from peer.ID, p protocol.Peer) {
	cert, err := verifyCertified(p.Certified, l.id, l.now)
	switch {
	case err != nil:
		if len(p.Addrs) == 0 {
			return // it knows of the peer, but not where it is
		}
		l.present = append(l.present, located(p.Addrs, SourcePresence, from, -1)...)
		if !l.newest.IsZero() {
			return // there is better
		}
		if !sameAddrs(l.last, p.Addrs) {
			l.last = p.Addrs
			clear(l.witnesses)
		}
	case cert.made.Before(l.newest):
		return
	case cert.made.After(l.newest):
		l.newest = cert.made
		l.certified = located(cert.addrs, SourceCertified, from, max(0, l.now.Sub(cert.made)))
		clear(l.witnesses)
	}
	l.witnesses[from] = struct{}{}
}

// mentioned takes in the addresses with which the peer is among those of an answer,
// and reports whether there are any.
func (l *locator) mentioned(from peer.ID, peers ...protocol.Peer) bool {
	for _, p := range peers {
		if p.ID == l.id && len(p.Addrs) > 0 {
			l.hearsay = append(l.hearsay, located(p.Addrs, SourceHearsay, from, -1)...)
			return true
		}
	}
	return false
}

// located returns addresses with their story.
func located(addrs []multiaddr.Multiaddr, source Source, from peer.ID, age time.Duration) []LocatedAddr {
	list := make([]LocatedAddr, len(addrs))
	for i, a := range addrs {
		list[i] = LocatedAddr{Addr: a, Source: source, From: from, Age: age}
	}
	return list
}

// maxLocated bounds the addresses of a location: many peers may tell many.
const maxLocated = 2 * protocol.MaxAddrs

// location returns what is known by now: each address once, with its best source.
func (l *locator) location() Location {
	found := Location{ID: l.id}
	for _, list := range [][]LocatedAddr{l.connected, l.certified, l.present, l.hearsay} {
		for _, a := range list {
			known := slices.ContainsFunc(found.Addrs, func(have LocatedAddr) bool { return have.Addr.Equal(a.Addr) })
			if !known && len(found.Addrs) < maxLocated {
				found.Addrs = append(found.Addrs, a)
			}
		}
	}
	return found
}
