package host

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A search is one lookup: the request that each contact is asked, and the state
// machine that says whom to ask. The goroutine that calls run is its owner; ask
// alone runs in others.
type search struct {
	dht    *DHT
	key    routing.Key
	req    protocol.Request
	caller *caller
	lookup *routing.Lookup

	// send asks one contact, in place of the request, if it is not nil.
	send func(ctx context.Context, who *caller, to peer.ID, reaches func(stage)) (protocol.Response, error)

	// named are the peers of the answers so far: most are named many times.
	named map[peer.ID]named

	// recalled is when those answered with whom it began, if a lookup before it had
	// found them; else zero.
	recalled time.Time

	// trace, if not nil, is called with the result so far, after every answer.
	trace func(routing.Result)

	// heard, if not nil, is called with every answer, by the owner. It may stop
	// the lookup.
	heard func(from routing.Contact, resp protocol.Response)
}

// A named peer is one of an answer, and the contact that was made of it.
type named struct {
	protocol.Peer
	contact routing.Contact
}

// A plan says how a lookup differs from others.
type plan struct {
	paths  int  // disjoint paths; 0: as configured
	recall bool // who was found lately, and is confirmed, need not be asked
}

// search prepares a lookup of the key of a preimage. It waits until the table
// has contacts to start from, as long as [DHT.Ready] would, and at most
// readyTimeout.
//
// It begins with whom a lookup of a key near to it has found lately, if there was
// one, so that it goes no way; what all of them are to be asked for, they are.
func (d *DHT) search(ctx context.Context, preimage []byte, req protocol.Request, p plan) (*search, error) {
	if err := d.readyWithin(ctx); err != nil {
		return nil, err
	}
	key := routing.KeyOf(preimage)
	seeds := d.peers.seeds(key, routing.SeedFactor*d.cfg.K)
	if len(seeds) == 0 {
		return nil, d.notReady(nil) // the table was emptied just now
	}
	recalled, since := d.recall.near(time.Now(), key)
	seeds = append(recalled, seeds...)
	d.judge(seeds)
	if p.recall {
		routing.MarkRecent(seeds[:len(recalled)])
	}
	s := &search{
		dht: d, key: key, req: req, caller: newCaller(), named: make(map[peer.ID]named),
		lookup:   routing.NewLookup(d.self, key, seeds, d.lookupConfig(p)),
		recalled: since,
	}
	d.peers.refreshed(time.Now(), d.peers.self.CPL(key))
	return s, nil
}

// lookupConfig returns the configuration of a lookup that begins now.
func (d *DHT) lookupConfig(p plan) routing.LookupConfig {
	cfg := routing.LookupConfig{
		K:         d.cfg.K,
		Alpha:     d.cfg.Alpha,
		Beta:      d.cfg.Beta,
		Paths:     d.cfg.Paths,
		SlowAfter: d.cfg.SlowAfter,
	}
	if p.paths > 0 {
		cfg.Paths = p.paths
	}
	if !d.cfg.DisableConfidence {
		cfg = d.knowledge.tune(cfg, d.peers.self, d.peers.neighbours(d.cfg.K))
	}
	return cfg
}

// lookup looks up the k peers closest to a preimage.
func (d *DHT) lookup(ctx context.Context, preimage []byte, p plan) (routing.Result, error) {
	s, err := d.search(ctx, preimage, protocol.FindNode{Target: preimage}, p)
	if err != nil {
		return routing.Result{}, err
	}
	return s.run(ctx)
}

// run drives the lookup to its end. If ctx ends first, run returns the result
// so far and the cause.
func (s *search) run(ctx context.Context) (routing.Result, error) {
	s.dht.stats.lookups.Add(1)
	if t := traceOf(ctx); t != nil {
		s.trace = t.begin()
	}
	err := drive(ctx, s.dht.tasks, s.lookup, s.ask, s.answered)
	s.caller.leave()
	if err == nil && s.dht.tasks.closed() {
		err = ErrClosed // those who failed just now may have been told of it first
	}
	result := s.lookup.Result()
	s.learn(result)
	if s.trace != nil {
		s.trace(result)
	}
	return result, err
}

// learn keeps what the lookup has shown of the network, for later ones.
func (s *search) learn(result routing.Result) {
	s.dht.knowledge.learn(s.recalled, s.key, result)
	s.dht.recall.learn(time.Now(), s.recalled, s.key, s.dht.cfg.K, result)
}

// ask sends the request to one contact.
func (s *search) ask(ctx context.Context, c routing.Contact, reaches func(stage)) (protocol.Response, error) {
	d := s.dht
	d.locate(c)
	d.stats.requests.Add(1)
	start := time.Now()
	send := s.send
	if send == nil {
		send = func(ctx context.Context, who *caller, to peer.ID, reaches func(stage)) (protocol.Response, error) {
			return d.request(ctx, who, to, s.req, reaches)
		}
	}
	resp, err := send(ctx, s.caller, c.ID, func(at stage) {
		if at == dialled {
			start = time.Now()
		}
		reaches(at)
	})
	switch {
	case err == nil:
		d.answered(c.ID)
	case errors.Is(err, errNotSent):
	case ctx.Err() == nil:
		d.unanswered(c, err)
	case time.Since(start) >= d.lateAfter():
		d.knowledge.failed()
		d.peers.doubt(c, true)
	}
	return resp, err
}

// lateAfter is how long a request must have been under way for its contact to be in
// doubt when it is given up.
func (d *DHT) lateAfter() time.Duration {
	return routing.LateAfter(min(d.cfg.SlowAfter, stragglerTime))
}

// answered feeds an answer to the lookup.
func (s *search) answered(ctx context.Context, a answer) {
	if a.err != nil {
		s.lookup.Failed(a.from.ID)
		publishEvent(ctx, &lrouting.QueryEvent{Type: lrouting.QueryError, ID: a.from.ID, Extra: a.err.Error()})
		return
	}
	closer := make([]routing.Contact, 0, len(a.resp.Closer))
	for _, p := range a.resp.Closer {
		c := s.contact(p)
		c.Doubtful = p.Connection == protocol.CannotConnect // who could connect to it says no more than who names it
		if c.Wire == nil && len(s.dht.host.Peerstore().Addrs(p.ID)) == 0 {
			continue // nobody could dial it
		}
		closer = append(closer, c)
	}
	s.dht.judge(closer)
	s.lookup.Answered(a.from.ID, closer)
	if s.trace != nil {
		s.trace(s.lookup.Result())
	}
	if lrouting.SubscribesToQueryEvents(ctx) {
		infos := make([]*peer.AddrInfo, len(closer))
		for i, c := range closer {
			infos[i] = &peer.AddrInfo{ID: c.ID, Addrs: s.named[c.ID].Addrs}
		}
		publishEvent(ctx, &lrouting.QueryEvent{Type: lrouting.PeerResponse, ID: a.from.ID, Responses: infos})
	}
	if s.heard != nil {
		s.heard(a.from, a.resp)
	}
}

// contact returns a peer of an answer as a contact. One that was named before, at
// the same addresses, is not hashed and encoded again.
func (s *search) contact(p protocol.Peer) routing.Contact {
	n, ok := s.named[p.ID]
	if !ok {
		n.contact = routing.ContactOf(p.ID)
	}
	if !ok || !slices.EqualFunc(n.Addrs, p.Addrs, multiaddr.Multiaddr.Equal) {
		n.Peer = p
		n.contact.Wire = announce(p.ID, p.Addrs)
		s.named[p.ID] = n
	}
	return n.contact
}

// locate tells the host the addresses that came with a contact, for as long as
// it takes to connect: what proves good is kept by identify and the table.
func (d *DHT) locate(c routing.Contact) {
	if d.host.Network().Connectedness(c.ID) == network.Connected {
		return
	}
	if p, err := announcement(c.Wire).peer(); err == nil {
		d.host.Peerstore().AddAddrs(c.ID, p.Addrs, peerstore.TempAddrTTL)
	}
}
