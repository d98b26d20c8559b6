package host

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// fill finds contacts for the buckets that have room, after our own ID was looked
// up.
func (d *DHT) fill(ctx context.Context) error {
	filling, cancel := context.WithTimeout(ctx, routing.MaxFillTime)
	defer cancel()
	type ended struct {
		req   routing.FillRequest
		named []routing.Contact
	}
	answers := make(chan ended)
	var requests sync.WaitGroup
	defer requests.Wait()
	f := d.peers.fill()
	for running := 0; ; running-- {
		for running < routing.FillLimit && filling.Err() == nil {
			req, ok := d.peers.nextFill(f)
			if !ok {
				break
			}
			running++
			requests.Go(func() { answers <- ended{req, d.fillRequest(filling, req)} })
		}
		if running == 0 {
			return context.Cause(ctx)
		}
		a := <-answers
		f.Ended(a.req, a.named)
	}
}

// fillRequest asks a peer for contacts close to a random key of a bucket, and
// returns those that can be dialled.
func (d *DHT) fillRequest(ctx context.Context, req routing.FillRequest) (named []routing.Contact) {
	asking, cancel := context.WithTimeout(ctx, routing.FillTimeout)
	defer cancel()
	d.locate(req.To)
	d.stats.requests.Add(1)
	rng := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	target := routing.Preimage(d.peers.self, req.CPL, rng)
	resp, err := d.request(asking, nil, req.To.ID, protocol.FindNode{Target: target}, nil)
	switch {
	case err == nil:
	case asking.Err() != nil: // it is slow, if it was asked at all
		if !errors.Is(err, errNotSent) {
			d.peers.doubt(req.To, true)
		}
		return nil
	default:
		d.unanswered(req.To, err)
		return nil
	}
	d.answered(req.To.ID)
	for _, p := range resp.Closer {
		c := routing.ContactOf(p.ID)
		if len(p.Addrs) > 0 {
			c.Group = groupOf(p.Addrs[0])
		}
		if c.Wire = announce(p.ID, p.Addrs); c.Wire != nil || len(d.host.Peerstore().Addrs(p.ID)) > 0 {
			named = append(named, c)
		}
	}
	return named
}
