package relay

// Two workarounds of AutoRelay in go-libp2p v0.52.0.
//
// It begins with the first event on reachability, which is that of AutoNAT: 17 s after the
// start behind a NAT. StartAutoRelay emits an earlier one, which is true: reachability is
// not known yet. It can go when AutoRelay begins with the host. The price: a host behind a
// forwarded port holds relays for the 2 s until AutoNAT finds it public.
//
// While the host is publicly reachable, AutoRelay does not listen to lost connections.
// Afterwards it would announce relayed addresses without a reservation until that would
// have ended. remindAutoRelay repeats the events that it has missed. It can go when
// AutoRelay checks its relays when it begins again.

import (
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
)

// StartAutoRelay has AutoRelay begin when the host starts.
func StartAutoRelay(h lhost.Host) error {
	emitter, err := h.EventBus().Emitter(new(event.EvtLocalReachabilityChanged), eventbus.Stateful)
	if err != nil {
		return err
	}
	err = emitter.Emit(event.EvtLocalReachabilityChanged{Reachability: network.ReachabilityUnknown})
	return errors.Join(err, emitter.Close())
}

// remindAutoRelay has AutoRelay notice the relays that it has lost. A relay that is
// connected again is disconnected, so that no other listener of the host hears of an end
// that there was not.
func (r *Relays) remindAutoRelay(now time.Time) {
	lost := r.forgotten(now)
	if len(lost) == 0 {
		return
	}
	emitter, err := r.cfg.Host.EventBus().Emitter(new(event.EvtPeerConnectednessChanged))
	if err != nil {
		return // the host is closed
	}
	for _, id := range lost {
		if r.cfg.Host.Network().Connectedness(id) == network.NotConnected {
			_ = emitter.Emit(event.EvtPeerConnectednessChanged{Peer: id, Connectedness: network.NotConnected})
		} else {
			_ = r.cfg.Host.Network().ClosePeer(id) // the host tells of it
		}
	}
	_ = emitter.Close()
}
