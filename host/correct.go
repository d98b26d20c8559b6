package host

import (
	"context"
	"slices"
	"time"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// maxCorrections bounds the gets whose holders are being corrected. Beyond it,
// they are left to the next get.
const maxCorrections = 8

// corrections has a place for each get whose holders are being corrected.
type corrections chan struct{}

// try runs f in the background if there is a place.
func (c corrections) try(t *tasks, f func(ctx context.Context)) {
	select {
	case c <- struct{}{}:
	default:
		return
	}
	started := t.run(func(ctx context.Context) {
		defer func() { <-c }()
		f(ctx)
	})
	if !started {
		<-c
	}
}

// correct sends the best value to those who should have it: to us and all
// others who gave a worse one, and, if the lookup went to its end, to those of
// the k closest who have none. That goes on in the background.
//
// Spec: libp2p kad-dht, "Value storage and retrieval", step 4.
func (d *DHT) correct(g *getter, result routing.Result) {
	ended := result.End == routing.Converged || result.End == routing.Exhausted
	var to []routing.Contact
	for _, c := range result.Answered {
		if slices.Contains(g.agree, c.ID) {
			continue
		}
		among := ended && slices.ContainsFunc(result.Closest, func(x routing.Contact) bool { return x.ID == c.ID })
		if among || slices.Contains(g.worse, c.ID) {
			to = append(to, c)
		}
	}
	ourself := slices.Contains(g.worse, d.self)
	if len(to) == 0 && !ourself {
		return
	}
	d.corrections.try(d.tasks, func(ctx context.Context) {
		rec := protocol.Record{Key: g.key, Value: g.best, TimeReceived: time.Now()}
		if ourself {
			if err := d.storeRecord(ctx, rec); err != nil {
				log.Debugw("correcting our own value", "error", err)
			}
		}
		receipt := d.send(ctx, to, protocol.PutValue{Record: rec}, 0)
		d.stats.corrections.Add(uint64(len(receipt.Stored)))
	})
}
