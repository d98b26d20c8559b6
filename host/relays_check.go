package host

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/protocol"
)

// relayCheckInterval is how often those that have a reservation for us are asked
// whether they are still there. The transport would notice after half a minute.
const relayCheckInterval = 5 * time.Second

// checkRelaysIfDue checks the relays of a host that cannot be reached otherwise.
func (k *keeper) checkRelaysIfDue(now time.Time) time.Time {
	d := k.dht
	held := d.relays.holds()
	if len(held) == 0 || !d.needsRelay() || k.room(checkRelaysJob) == 0 {
		return time.Time{} // an event, or its end, calls us again
	}
	if now.Before(k.checkRelays) {
		return k.checkRelays
	}
	k.checkRelays = now.Add(relayCheckInterval)
	k.start(checkRelaysJob, func(ctx context.Context) error {
		d.askRelays(ctx, held)
		return nil
	}, func(error) {})
	return time.Time{}
}

// askRelays closes the connections to relays that are silent twice, one time after
// the other, while somebody else answers. If nobody does, it is rather we who are
// offline: then the transport decides, whose connections live through short outages.
func (d *DHT) askRelays(ctx context.Context, held []peer.ID) {
	dead := make([][]network.Conn, len(held))
	var answers atomic.Bool
	var asked sync.WaitGroup
	for i, id := range held {
		asked.Go(func() {
			conns, wait := d.relayConns(id)
			if len(conns) == 0 {
				return
			}
			for _, conn := range conns[:min(len(conns), maxConnsAsked)] {
				if answersOnce(ctx, conn, wait) {
					answers.Store(true)
					return
				}
			}
			dead[i] = conns
		})
	}
	asked.Wait()
	lost := slices.Concat(dead...)
	if len(lost) == 0 || ctx.Err() != nil || !answers.Load() && !d.hears(ctx, held) {
		return
	}
	for _, conn := range lost {
		_ = conn.Close()
	}
}

// relayConns returns the connections to a relay that go through no other, and how long
// it may take to answer: longer where the way is, 4 round trips at least.
func (d *DHT) relayConns(relay peer.ID) (conns []network.Conn, wait time.Duration) {
	conns = slices.DeleteFunc(d.host.Network().ConnsToPeer(relay), relayed)
	return conns, max(silence, 4*d.host.Peerstore().LatencyEWMA(relay))
}

// answersOnce reports whether the other end of a connection answers one of two times:
// one loss is no proof.
func answersOnce(ctx context.Context, conn network.Conn, wait time.Duration) bool {
	for range 2 {
		if !isSilent(ctx, conn, wait) {
			return true
		}
	}
	return false
}

// maxHeard is how many contacts are asked whether we are online.
const maxHeard = 3

// hears reports whether one of some contacts answers, others than those that are silent.
func (d *DHT) hears(ctx context.Context, silentOnes []peer.ID) bool {
	ctx, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	var answers atomic.Bool
	var asked sync.WaitGroup
	n := 0
	for _, c := range d.peers.sound(d.peers.self, d.cfg.K) {
		if slices.Contains(silentOnes, c.ID) || n == maxHeard {
			continue
		}
		n++
		asked.Go(func() {
			if _, err := d.request(ctx, nil, c.ID, protocol.Ping{}, nil); err == nil {
				answers.Store(true)
				cancel() // one is enough
			}
		})
	}
	asked.Wait()
	return answers.Load()
}
