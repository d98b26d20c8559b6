package host

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

const (
	// fillLimit is how many requests fill buckets at a time while joining.
	fillLimit = 32

	// fillTimeout bounds such a request: who takes longer is not worth a place.
	fillTimeout = 2 * time.Second
)

// fill finds contacts for the buckets that have room, after our own ID was looked
// up.
func (d *DHT) fill(ctx context.Context) error {
	type ended struct {
		req   routing.FillRequest
		named []routing.Contact
	}
	answers := make(chan ended)
	var requests sync.WaitGroup
	defer requests.Wait()
	f := d.peers.fill()
	for running := 0; ; running-- {
		for running < fillLimit && ctx.Err() == nil {
			req, ok := d.peers.nextFill(f)
			if !ok {
				break
			}
			running++
			requests.Go(func() { answers <- ended{req, d.fillRequest(ctx, req)} })
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
	ctx, cancel := context.WithTimeout(ctx, fillTimeout)
	defer cancel()
	d.locate(req.To)
	d.stats.requests.Add(1)
	rng := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	target := routing.Preimage(d.peers.self, req.CPL, rng)
	resp, err := d.request(ctx, nil, req.To.ID, protocol.FindNode{Target: target}, nil)
	if err != nil {
		if !d.tasks.closed() && !errors.Is(err, errNotSent) {
			d.unanswered(req.To, err)
		}
		return nil
	}
	d.answered(req.To.ID)
	for _, p := range resp.Closer {
		c := routing.ContactOf(p.ID)
		if c.Wire = announce(p.ID, p.Addrs); c.Wire != nil || len(d.host.Peerstore().Addrs(p.ID)) > 0 {
			named = append(named, c)
		}
	}
	return named
}
