package join

import (
	"context"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// fill finds contacts for the buckets that have room, after our own ID was looked up.
func (j *Joiner) fill(ctx context.Context) error {
	filling, cancel := context.WithTimeout(ctx, routing.MaxFillTime)
	defer cancel()
	type ended struct {
		req   routing.FillRequest
		named []routing.Contact
	}
	answers := make(chan ended)
	f := j.cfg.Table.Fill()
	for running := 0; ; running-- {
		for running < routing.FillLimit && filling.Err() == nil {
			req, ok := f.Next()
			if !ok || !j.cfg.Tasks.Go(func(context.Context) { answers <- ended{req, j.fillRequest(filling, req)} }) {
				break
			}
			running++
		}
		if running == 0 {
			return context.Cause(ctx)
		}
		a := <-answers // each request ends with filling
		f.Ended(a.req, a.named)
	}
}

// fillRequest asks a peer for contacts close to a random key of a bucket, and returns
// those that may be asked.
func (j *Joiner) fillRequest(ctx context.Context, req routing.FillRequest) (named []routing.Contact) {
	ctx, cancel := context.WithTimeout(ctx, routing.FillTimeout)
	defer cancel()
	target := routing.Preimage(j.cfg.Table.Self(), req.CPL, tasks.NewRNG())
	resp, err := j.cfg.Call.Request(ctx, nil, req.To, protocol.FindNode{Target: target}, nil)
	if err != nil {
		return nil
	}
	for _, p := range resp.Closer {
		c := routing.ContactOf(p.ID)
		c.Group, c.Network = scope.NetworksOf(p.Addrs)
		c.Wire = announce.Encode(protocol.Peer{ID: p.ID, Addrs: p.Addrs})
		if j.cfg.Table.MayAsk(c, p.Addrs) {
			named = append(named, c)
		}
	}
	return named
}
