package host

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// enoughWitnesses is how many must have told the same: one may be behind, and two may
// have been cut off.
const enoughWitnesses = 3

// A locator collects what is told of a peer. It belongs to the goroutine of the
// caller.
type locator struct {
	dht *DHT
	id  peer.ID
	now time.Time

	connected []LocatedAddr
	newest    time.Time     // of the certificates
	certified []LocatedAddr // of the newest
	witnesses []peer.ID     // of the newest certificate
	present   tally         // of those that hold a presence which is not certified
	tables    tally         // of those that have the peer in their tables
	hearsay   tally         // of these, and of all others
	answered  map[peer.ID]struct{}

	mu    sync.Mutex                // of hints, which requests write
	hints map[peer.ID]protocol.Peer // what a peer says of the one that is looked for, if it was asked for that
}

func newLocator(d *DHT, id peer.ID) *locator {
	return &locator{
		dht: d, id: id, now: time.Now(),
		answered: make(map[peer.ID]struct{}), hints: make(map[peer.ID]protocol.Peer),
	}
}

// own takes in what we know of a peer that we are connected to, and reports whether we
// are. What came from elsewhere, and the host has kept to dial it, stays hearsay.
func (l *locator) own() bool {
	h := l.dht.host
	if !l.dht.connected(l.id) {
		return false
	}
	var addrs, inbound []multiaddr.Multiaddr
	s := scopePublic
	for _, conn := range h.Network().ConnsToPeer(l.id) {
		s = min(s, scopeTo(conn))
		if conn.Stat().Direction == network.DirInbound {
			inbound = append(inbound, conn.RemoteMultiaddr()) // nobody may listen there
		} else {
			addrs = append(addrs, conn.RemoteMultiaddr())
		}
	}
	if book, ok := peerstore.GetCertifiedAddrBook(h.Peerstore()); ok {
		if envelope := book.GetPeerRecord(l.id); envelope != nil {
			if rec, err := envelope.Record(); err == nil {
				if rec, ok := rec.(*peer.PeerRecord); ok {
					addrs = append(addrs, fit(certifiedAddrs(rec), s)...)
				}
			}
		}
	}
	l.connected = located(append(addrs, inbound...), SourceConnected, l.dht.self, 0)
	l.hearsay.add(l.dht.self, h.Peerstore().Addrs(l.id))
	return len(l.connected) > 0
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
		l.heard(from.ID, resp)
		if l.enough(s.lookup.Nearest()) {
			found := l.location().info()
			publishEvent(ctx, &lrouting.QueryEvent{
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

// heard takes in what one peer has answered.
func (l *locator) heard(from peer.ID, resp protocol.Response) {
	l.answered[from] = struct{}{}
	for _, p := range resp.Providers {
		if p.ID == l.id {
			l.presence(from, p)
		}
	}
	for _, p := range resp.Closer {
		if p.ID == l.id {
			l.tables.add(from, p.Addrs)
			l.hearsay.add(from, p.Addrs)
		}
	}
	l.mu.Lock()
	hint := l.hints[from]
	l.mu.Unlock()
	l.hearsay.add(from, hint.Addrs)
}

// enough reports whether what was heard will do, when near are the k closest that are
// known, which enough may change.
func (l *locator) enough(near []routing.Contact) bool {
	if l.own() {
		return true
	}
	near = slices.DeleteFunc(near, func(c routing.Contact) bool { return c.ID == l.id })
	count := func(of func(id peer.ID) bool) (n int) {
		for _, c := range near {
			if of(c.ID) {
				n++
			}
		}
		return n
	}
	isWitness := func(id peer.ID) bool { return slices.Contains(l.witnesses, id) }
	if count(isWitness) >= enoughWitnesses {
		return true
	}
	hasAnswered := func(id peer.ID) bool { _, ok := l.answered[id]; return ok }
	if len(l.certified) > 0 || len(l.present.told) > 0 || 2*count(hasAnswered) < len(near) {
		return false
	}
	return slices.ContainsFunc(l.tables.told, func(t toldAddr) bool {
		return len(t.tellers) >= enoughWitnesses && count(func(id peer.ID) bool { return slices.Contains(t.tellers, id) }) >= enoughWitnesses
	})
}

// presence takes in a presence of the peer.
func (l *locator) presence(from peer.ID, p protocol.Peer) {
	cert, err := verifyCertified(p.Certified, l.id, l.now)
	switch {
	case err != nil:
		l.present.add(from, p.Addrs) // none if it knows of the peer, but not where it is
		return
	case cert.made.Before(l.newest):
		return
	case cert.made.After(l.newest):
		l.newest = cert.made
		l.certified = located(cert.addrs, SourceCertified, from, max(0, l.now.Sub(cert.made)))
		l.witnesses = nil
	}
	if !slices.Contains(l.witnesses, from) {
		l.witnesses = append(l.witnesses, from)
	}
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
	for _, list := range [][]LocatedAddr{
		l.connected, l.certified, l.present.located(SourcePresence), l.hearsay.located(SourceHearsay),
	} {
		for _, a := range list {
			known := slices.ContainsFunc(found.Addrs, func(have LocatedAddr) bool { return have.Addr.Equal(a.Addr) })
			if !known && len(found.Addrs) < maxLocated {
				found.Addrs = append(found.Addrs, a)
			}
		}
	}
	return found
}
