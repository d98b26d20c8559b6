package relay

import (
	"context"
	"slices"
	"time"

	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	relayv2 "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"

	"github.com/go-kad/kad/host/internal/reach"
	"github.com/go-kad/kad/host/internal/tasks"
)

const (
	// offerAge is how long the announcement of a relay is good, and offerInterval how often
	// it is made: a relay that is gone is forgotten soon, and one lost announcement does not
	// matter.
	offerAge      = 30 * time.Minute
	offerInterval = 10 * time.Minute

	// offerRetry is when an announcement that no peer has stored is made again.
	offerRetry = 10 * time.Second
)

// Limits bound what the node gives other peers as their relay: see host.RelayLimits.
type Limits struct {
	Duration          time.Duration
	Bytes             int64
	Reservations      int
	ReservationsPerIP int
	Circuits          int
}

// resources returns the limits as libp2p has them.
func (l Limits) resources() relayv2.Resources {
	r := relayv2.DefaultResources()
	r.Limit = &relayv2.RelayLimit{Duration: l.Duration, Data: l.Bytes}
	r.MaxReservations = l.Reservations
	r.MaxReservationsPerIP = l.ReservationsPerIP
	r.MaxReservationsPerASN = max(r.MaxReservationsPerASN, l.ReservationsPerIP)
	r.MaxCircuits = l.Circuits
	return r
}

// An offer is the relay that the node is itself. It belongs to the background loop.
type offer struct {
	service  *relayv2.Relay // ours, while it runs
	offering bool           // the node relays, by our service or by that of the host
	announce time.Time      // when to announce that again, or to try to relay
}

// offerDue starts or stops to relay for other peers, and returns when to announce it
// again; the zero time means that there is nothing to announce.
func (r *Relays) offerDue(now time.Time, start *tasks.Start) time.Time {
	o := &r.offer
	if !r.cfg.Offer {
		return time.Time{}
	}
	if mode, _ := r.cfg.Reach.Mode(); mode == reach.Client || !r.cfg.Reach.Reachable() {
		r.Close()
		return time.Time{}
	}
	if now.Before(o.announce) {
		return o.announce
	}
	if !o.offering {
		if !slices.Contains(r.cfg.Host.Mux().Protocols(), circuit.ProtoIDv2Hop) {
			carries := &carrying{of: r}
			service, err := relayv2.New(r.cfg.Host, relayv2.WithResources(r.cfg.Limits.resources()), relayv2.WithMetricsTracer(carries))
			if err != nil {
				log.Warnw("not a relay: the host does not let it", "error", err) // as its resource manager says
				o.announce = now.Add(offerRetry)
				return o.announce
			}
			o.service = service
			r.carrying.Store(carries)
		}
		o.offering = true
	}
	if start.Room() == 0 {
		return time.Time{} // the end of the announcement leads here again
	}
	o.announce = now.Add(tasks.Early(offerInterval))
	start.Run(func(ctx context.Context) error { return r.announce(ctx, now) }, func(now time.Time, err error) {
		if err != nil && o.offering {
			o.announce = now.Add(offerRetry)
		}
	})
	return o.announce
}

// announce announces that the node relays.
func (r *Relays) announce(ctx context.Context, now time.Time) error {
	_, err := r.cfg.Publish.Announce(ctx, now, r.key(), offerAge)
	return err
}

// Close ends the relay that the node is. Other peers forget its announcement after
// offerAge. Call it in the background loop, or after it has ended.
func (r *Relays) Close() {
	offering := r.offer.offering
	if r.offer.service != nil {
		_ = r.offer.service.Close()
	}
	r.offer = offer{}
	r.carrying.Store(nil)
	if !offering {
		return
	}
	r.cfg.Tasks.Go(func(ctx context.Context) { // not if the node is closed: then no peer asks it
		_ = r.cfg.Publish.StopProviding(ctx, r.key())
	})
}
