package host

import (
	"context"
	"slices"
	"time"

	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	relayv2 "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
)

const (
	// relayAge is for how long the announcement of a relay is good, and
	// relayInterval how often it is made: a relay that is gone is forgotten soon, and
	// one lost announcement is no loss.
	relayAge      = 30 * time.Minute
	relayInterval = 10 * time.Minute

	// relayRetry is when an announcement that nobody has stored is made again.
	relayRetry = 10 * time.Second
)

// RelayLimits bound what a node gives others as their relay; see Config.OfferRelay.
// The zero value of a field means its default, which is fit for a chat: hours of
// text, some pictures, no films.
//
// They multiply: at a time there are at most Reservations × Circuits relayed
// connections, by default 512, which carry at most Bytes each way each, 8 GiB each way
// together; the node receives, and sends, both ways: 16 GiB. Nothing bounds the rate:
// who has used up a connection may open the next one. If everybody uses up everything
// once in each Duration, that is 40 Mbit/s in, and as much out; those who talk, and
// become direct, use some kB.
type RelayLimits struct {
	// Duration is how long one relayed connection lasts, in full seconds. If zero, 1h.
	Duration time.Duration

	// Bytes is how much one relayed connection carries in each direction. If zero,
	// 16 MiB.
	Bytes int64

	// Reservations is how many peers can be reached through the node at a time. If
	// zero, 128.
	Reservations int

	// ReservationsPerIP is how many of them may have the same address: those behind
	// one NAT. If zero, 16.
	ReservationsPerIP int

	// Circuits is how many relayed connections each peer has at a time, from and to it
	// together. If zero, 4, which is 8 with the two relays that a peer has; those that
	// become direct make room for others.
	Circuits int
}

// withDefaults returns l with every zero field set to its default.
func (l RelayLimits) withDefaults() RelayLimits {
	setDefault(&l.Duration, time.Hour)
	setDefault(&l.Bytes, 16<<20)
	setDefault(&l.Reservations, 128)
	setDefault(&l.ReservationsPerIP, 16)
	setDefault(&l.Circuits, 4)
	return l
}

// valid reports whether a relay can have such limits. Those of the time and of the
// data are told to the peers in 32 and 63 bits.
func (l RelayLimits) valid() bool {
	const maxDuration = 1 << 31 * time.Second
	return l.Duration >= time.Second && l.Duration < maxDuration && l.Bytes > 0 &&
		l.Reservations > 0 && l.ReservationsPerIP > 0 && l.Circuits > 0
}

// resources returns the limits as libp2p has them.
func (l RelayLimits) resources() relayv2.Resources {
	r := relayv2.DefaultResources()
	r.Limit = &relayv2.RelayLimit{Duration: l.Duration, Data: l.Bytes}
	r.MaxReservations = l.Reservations
	r.MaxReservationsPerIP = l.ReservationsPerIP
	r.MaxReservationsPerASN = max(r.MaxReservationsPerASN, l.ReservationsPerIP)
	r.MaxCircuits = l.Circuits
	return r
}

// A relayOffer is the relay that a node is to others. It belongs to the goroutine
// maintain.
type relayOffer struct {
	service  *relayv2.Relay // ours, while it runs
	offering bool           // we relay, by our service or by that of the host
	announce time.Time      // when to announce that again, or to try to relay
}

// offerRelay starts or stops to relay for others when it is time to, and returns when
// to announce it again; the zero time means that there is nothing to announce.
func (k *keeper) offerRelay(now time.Time) time.Time {
	d, o := k.dht, &k.relay
	if !d.cfg.OfferRelay {
		return time.Time{}
	}
	reachable, _ := d.mode.reachable()
	if now, _ := d.mode.current(); now == ModeClient || !reachable {
		k.stopRelay()
		return time.Time{}
	}
	if now.Before(o.announce) {
		return o.announce
	}
	if !o.offering {
		if !slices.Contains(d.host.Mux().Protocols(), circuit.ProtoIDv2Hop) {
			service, err := relayv2.New(d.host, relayv2.WithResources(d.cfg.Relay.resources()))
			if err != nil {
				log.Warnw("not a relay: the host does not let it", "error", err) // as its resource manager says
				o.announce = now.Add(relayRetry)
				return o.announce
			}
			o.service = service
		}
		o.offering = true
	}
	if k.room(relayJob) == 0 {
		return time.Time{} // its end calls upkeep
	}
	o.announce = now.Add(early(relayInterval))
	k.start(relayJob, d.announceRelay, func(err error) {
		if err != nil && o.offering {
			log.Debugw("announcing the relay", "error", err)
			o.announce = time.Now().Add(relayRetry)
		}
	})
	return o.announce
}

// stopRelay ends the relay, and takes back its announcement as far as that can be
// done: others forget it after relayAge.
func (k *keeper) stopRelay() {
	d, o := k.dht, &k.relay
	offering := o.offering
	if o.service != nil {
		_ = o.service.Close()
	}
	*o = relayOffer{}
	if !offering {
		return
	}
	d.tasks.run(func(ctx context.Context) { // not if the DHT is closed: then nobody asks us
		if c, err := NamespaceCID(d.relayNamespace()); err == nil {
			_ = d.store.RemoveProvider(ctx, c.Hash(), string(d.self))
		}
	})
}

// announceRelay announces that we relay.
func (d *DHT) announceRelay(ctx context.Context) error {
	c, err := NamespaceCID(d.relayNamespace())
	if err != nil {
		return err
	}
	_, err = d.announce(ctx, d.closestBy(0), c.Hash(), relayAge)
	return err
}
