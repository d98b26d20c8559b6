package find

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// Peer looks for the addresses of a peer. The error is [kaderr.ErrNotFound] if most of the
// closest peers answered, and none knows an address of it; a [*lookup.UnansweredError] if
// fewer answered.
func (f *Finder) Peer(ctx context.Context, id peer.ID) (Location, error) {
	if err := CheckID(id); err != nil {
		return Location{}, err
	}
	l := newLocator(f, id)
	if id == f.self {
		l.connected = located(f.cfg.Host.Addrs(), SourceConnected, f.self, 0)
		return l.location(), nil
	}
	if l.own() {
		return l.location(), nil
	}
	if held, ok := f.cfg.Holder.Presence(ctx, id, l.now); ok {
		l.presence(f.self, held)
	}
	result, err := l.search(ctx)
	found := l.location()
	switch {
	case len(found.Addrs) > 0:
		return found, nil
	case err != nil:
		return Location{}, err
	default:
		return Location{}, result.Empty(fmt.Sprintf("knows an address of %s: it is offline, or it does not serve and has not announced its addresses", id))
	}
}

// CheckID returns nil if a peer ID is the hash of a key, as all peer IDs are, and short
// enough to be asked for.
func CheckID(id peer.ID) error {
	if _, err := peer.IDFromBytes([]byte(id)); err != nil {
		return fmt.Errorf("kad: %q is not a peer ID: %w", string(id), err)
	}
	if len(id) > protocol.MaxProviderKey {
		return fmt.Errorf("kad: a peer ID of %d bytes, the limit is %d", len(id), protocol.MaxProviderKey)
	}
	return nil
}

// enoughWitnesses is how many holders must give the same addresses: one may lag behind,
// and two may have been cut off.
const enoughWitnesses = 3

// A locator collects what peers say of the addresses of one peer. It belongs to the
// goroutine of the caller.
type locator struct {
	finder *Finder
	id     peer.ID
	now    time.Time

	connected []LocatedAddr
	newest    time.Time            // of the certificates
	certified []LocatedAddr        // of the newest
	vouchers  map[peer.ID]struct{} // holders of the newest certificate
	present   witnesses            // holders of a presence without a certificate
	tables    witnesses            // peers that have the peer in their tables
	hearsay   witnesses            // these, and all others
	answered  map[peer.ID]struct{}

	mu    sync.Mutex                // of hints, which requests write
	hints map[peer.ID]protocol.Peer // what a contact's answer to FIND_NODE says of the peer
}

func newLocator(f *Finder, id peer.ID) *locator {
	return &locator{
		finder: f, id: id, now: time.Now(),
		vouchers: make(map[peer.ID]struct{}), answered: make(map[peer.ID]struct{}), hints: make(map[peer.ID]protocol.Peer),
	}
}

// own takes in what this node knows of a peer that it is connected to, and reports
// whether that is where the peer is: a peer that has connected to us has not said it before
// it is identified. Addresses that the host keeps from elsewhere stay hearsay.
func (l *locator) own() bool {
	h := l.finder.cfg.Host
	if !l.finder.cfg.Table.Connected(l.id) {
		return false
	}
	var addrs, inbound []multiaddr.Multiaddr
	s := scope.Public
	for _, conn := range h.Network().ConnsToPeer(l.id) {
		s = min(s, scope.OfConn(conn))
		if conn.Stat().Direction == network.DirInbound {
			inbound = append(inbound, conn.RemoteMultiaddr()) // the source port of a connection; the peer need not listen there
		} else {
			addrs = append(addrs, conn.RemoteMultiaddr())
		}
	}
	addrs = append(addrs, scope.Reaching(l.finder.cfg.Table.Certified(l.id), s)...)
	l.connected = located(append(addrs, inbound...), SourceConnected, l.finder.self, 0)
	l.hearsay.add(l.finder.self, h.Peerstore().Addrs(l.id))
	return len(addrs) > 0
}

// search asks other peers. It returns when enough is known.
func (l *locator) search(ctx context.Context) (lookup.Result, error) {
	req := protocol.GetProviders{Key: []byte(l.id)}
	s, err := l.finder.cfg.Lookup.Prepare(ctx, []byte(l.id), req, lookup.Plan{})
	if err != nil {
		return lookup.Result{}, err
	}
	s.Send = func(ctx context.Context, turn *call.Turn, to routing.Contact, reaches func(call.Stage)) (protocol.Response, error) {
		return l.ask(ctx, turn, to, req, reaches)
	}
	s.Lacks = l.none
	s.Heard = func(from routing.Contact, resp protocol.Response) {
		l.heard(from.ID, resp)
		if l.enough(s.Lookup().Nearest()) {
			found := l.location().Info()
			lookup.PublishEvent(ctx, &lrouting.QueryEvent{
				Type: lrouting.FinalPeer, ID: from.ID, Responses: []*peer.AddrInfo{&found},
			})
			s.Lookup().Stop()
		}
	}
	return s.Run(ctx)
}

// ask asks one contact for the presence of the peer, and for the peer itself, at the
// same time. What only the second answer says of the peer is kept as a hint: the peer
// may be a client, which a lookup must not dial. Once the contact has given the first
// answer, the second has SlowAfter.
func (l *locator) ask(
	ctx context.Context, turn *call.Turn, to routing.Contact, req protocol.Request, reaches func(call.Stage),
) (protocol.Response, error) {
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	var node protocol.Response
	var nodeErr error
	done := make(chan struct{})
	if !l.finder.cfg.Tasks.Go(func(context.Context) {
		defer close(done)
		node, nodeErr = l.finder.cfg.Call.Beside(asking, turn, to, protocol.FindNode{Target: []byte(l.id)})
	}) {
		return protocol.Response{}, kaderr.ErrClosed
	}
	resp, err := l.finder.cfg.Call.Request(ctx, turn, to, req, reaches)
	if err == nil && tasks.Pause(asking, l.finder.cfg.SlowAfter, done) {
		cancel()
	}
	<-done
	switch {
	case nodeErr != nil:
		return resp, err
	case err != nil && ctx.Err() != nil:
		return resp, err
	case err != nil: // it serves: a contact that keeps no provider records refuses the first
		l.finder.cfg.Table.Heard(to, table.Answered, 0)
	}
	return l.join(to.ID, resp, node.Closer), nil
}

// join returns the answer of a contact, with the peers of closer that it lacks. What
// closer says of the peer that is looked for becomes a hint.
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

// heard takes in the answer of one contact.
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

// none reports whether no address is known.
func (l *locator) none() bool {
	return len(l.connected)+len(l.certified)+len(l.present.addrs)+len(l.hearsay.addrs) == 0
}

// enough reports whether enough is known to end the search. near are the k closest
// contacts that are known; enough may change the slice.
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
	isVoucher := func(id peer.ID) bool { _, ok := l.vouchers[id]; return ok }
	if count(isVoucher) >= enoughWitnesses {
		return true
	}
	hasAnswered := func(id peer.ID) bool { _, ok := l.answered[id]; return ok }
	if len(l.certified) > 0 || len(l.present.addrs) > 0 || 2*count(hasAnswered) < len(near) {
		return false
	}
	return slices.ContainsFunc(l.tables.addrs, func(t witnessed) bool {
		return len(t.peers) >= enoughWitnesses && count(func(id peer.ID) bool { return slices.Contains(t.peers, id) }) >= enoughWitnesses
	})
}

// presence takes in a presence of the peer.
func (l *locator) presence(from peer.ID, p protocol.Peer) {
	cert, err := announce.VerifyCertificate(p.Certified, l.id, l.now)
	switch {
	case err != nil:
		l.present.add(from, p.Addrs) // none if the holder has no address of it
		return
	case cert.Made.Before(l.newest):
		return
	case cert.Made.After(l.newest):
		l.newest = cert.Made
		l.certified = located(cert.Addrs, SourceCertified, from, max(0, l.now.Sub(cert.Made)))
		clear(l.vouchers)
	}
	l.vouchers[from] = struct{}{}
}

// located returns addresses with their origin.
func located(addrs []multiaddr.Multiaddr, source Source, from peer.ID, age time.Duration) []LocatedAddr {
	list := make([]LocatedAddr, len(addrs))
	for i, a := range addrs {
		list[i] = LocatedAddr{Addr: a, Source: source, From: from, Age: age}
	}
	return list
}

// maxLocated bounds the addresses of a location: many peers may name many.
const maxLocated = 2 * scope.MaxTold

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

// A Source says where an address comes from: see host.Source.
type Source uint8

// The sources, the best first.
const (
	SourceConnected Source = iota
	SourceCertified
	SourcePresence
	SourceHearsay
)

// A LocatedAddr is an address of a peer and its origin: see host.LocatedAddr.
type LocatedAddr struct {
	Addr   multiaddr.Multiaddr
	Source Source
	From   peer.ID
	Age    time.Duration
}

// A Location has the addresses of a peer: see host.Location.
type Location struct {
	ID    peer.ID
	Addrs []LocatedAddr // the best first: by Source, and as their source orders them; each once
}

// Info returns the addresses alone.
func (l Location) Info() peer.AddrInfo {
	info := peer.AddrInfo{ID: l.ID}
	for _, a := range l.Addrs {
		info.Addrs = append(info.Addrs, a.Addr)
	}
	return info
}
