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

// A search is one lookup: the request that each contact is asked, and the state
// machine that says whom to ask. The goroutine that calls run is its owner; ask
// alone runs in others.
type search struct {
	dht    *DHT
	req    protocol.Request
	lookup *routing.Lookup

	// named are the peers of the answers so far: most are named many times.
	named map[peer.ID]named

	// heard, if not nil, is called with every answer, by the owner. It may stop
	// the lookup.
	heard func(from routing.Contact, resp protocol.Response)
}

// A named peer is one of an answer, and the contact that was made of it.
type named struct {
	protocol.Peer
	contact routing.Contact
}

// seedFactor is how many times k contacts a lookup starts from. It asks the k
// closest; the others are a reserve for when many of those are gone, and the
// answers of the rest name the same ones.
const seedFactor = 4

// search prepares a lookup of the key of a preimage. It waits until the table
// has contacts to start from, as long as [DHT.Ready] would, and at most
// readyTimeout.
func (d *DHT) search(ctx context.Context, preimage []byte, req protocol.Request) (*search, error) {
	if err := d.readyWithin(ctx); err != nil {
		return nil, err
	}
	key := routing.KeyOf(preimage)
	seeds := d.peers.closest(key, seedFactor*d.cfg.K)
	if len(seeds) == 0 {
		return nil, d.notReady(nil) // the table was emptied just now
	}
	d.peers.judge(seeds)
	s := &search{dht: d, req: req, named: make(map[peer.ID]named), lookup: routing.NewLookup(d.self, key, seeds, routing.LookupConfig{
		K:         d.cfg.K,
		Alpha:     d.cfg.Alpha,
		Beta:      d.cfg.Beta,
		Paths:     d.cfg.Paths,
		SlowAfter: d.cfg.SlowAfter,
	})}
	d.peers.refreshed(time.Now(), d.peers.self.CPL(key))
	return s, nil
}

// lookup looks up the k peers closest to a preimage.
func (d *DHT) lookup(ctx context.Context, preimage []byte) (routing.Result, error) {
	s, err := d.search(ctx, preimage, protocol.FindNode{Target: preimage})
	if err != nil {
		return routing.Result{}, err
	}
	return s.run(ctx)
}

// run drives the lookup to its end. If ctx ends first, run returns the result
// so far and the cause.
func (s *search) run(ctx context.Context) (routing.Result, error) {
	s.dht.stats.lookups.Add(1)
	err := drive(ctx, s.lookup, s.ask, s.answered)
	result := s.lookup.Result()
	traceOf(ctx).add(result)
	return result, err
}

// An answer is what became of one request of a lookup.
type answer struct {
	from routing.Contact
	resp protocol.Response
	err  error
}

// drive runs l to completion: it is the only goroutine that touches l. It
// starts one goroutine per request that l wants, which calls ask, and returns
// only when all have ended. What they return is handed to answered.
//
// If ctx ends first, drive returns its cause.
func drive(
	ctx context.Context,
	l *routing.Lookup,
	ask func(context.Context, routing.Contact) (protocol.Response, error),
	answered func(context.Context, answer),
) error {
	var requests sync.WaitGroup
	defer requests.Wait()
	asking, cancel := context.WithCancel(ctx)
	defer cancel()
	answers := make(chan answer)

	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		action := l.Next(time.Now())
		switch action.Kind {
		case routing.Ask:
			lrouting.PublishQueryEvent(ctx, &lrouting.QueryEvent{Type: lrouting.SendingQuery, ID: action.Contact.ID})
			requests.Go(func() {
				resp, err := ask(asking, action.Contact)
				select {
				case answers <- answer{action.Contact, resp, err}:
				case <-asking.Done():
				}
			})
		case routing.Done:
			return nil
		case routing.Wait:
			timer.Reset(time.Until(action.Until))
			select {
			case a := <-answers:
				answered(ctx, a)
			case <-timer.C:
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	}
}

// ask sends the request to one contact.
func (s *search) ask(ctx context.Context, c routing.Contact) (protocol.Response, error) {
	d := s.dht
	d.locate(c)
	d.stats.requests.Add(1)
	start := time.Now()
	resp, err := d.rpc.Request(ctx, c.ID, s.req)
	switch {
	case err == nil:
		d.answered(c.ID)
	case ctx.Err() == nil:
		d.unanswered(c, err)
	case time.Since(start) >= d.cfg.SlowAfter:
		d.peers.doubt(c, true)
	}
	return resp, err
}

// answered feeds an answer to the lookup.
func (s *search) answered(ctx context.Context, a answer) {
	if a.err != nil {
		s.lookup.Failed(a.from.ID)
		lrouting.PublishQueryEvent(ctx, &lrouting.QueryEvent{Type: lrouting.QueryError, ID: a.from.ID, Extra: a.err.Error()})
		return
	}
	closer := make([]routing.Contact, 0, len(a.resp.Closer))
	for _, p := range a.resp.Closer {
		c := s.contact(p)
		if c.Wire == nil && len(s.dht.host.Peerstore().Addrs(p.ID)) == 0 {
			continue // nobody could dial it
		}
		closer = append(closer, c)
	}
	s.dht.peers.judge(closer)
	s.lookup.Answered(a.from.ID, closer)
	if lrouting.SubscribesToQueryEvents(ctx) {
		infos := make([]*peer.AddrInfo, len(closer))
		for i, c := range closer {
			infos[i] = &peer.AddrInfo{ID: c.ID, Addrs: s.named[c.ID].Addrs}
		}
		lrouting.PublishQueryEvent(ctx, &lrouting.QueryEvent{Type: lrouting.PeerResponse, ID: a.from.ID, Responses: infos})
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
