package host

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
)

// addrTimeout is how long an announcement waits for an address that others can use. A
// relay is found within 2s, as a rule.
const addrTimeout = 5 * time.Second

// awaitAddr waits, as long as ctx and addrTimeout, until the host has an address that
// others on the internet can use, if it cannot be reached without a relay, and seeks
// one: those who are to hold an announcement refuse one that is of no use to others. The
// error is that of a node that does not get ready.
func (d *DHT) awaitAddr(ctx context.Context) error {
	// AutoRelay asks as soon as the host runs: by then, it has.
	if err := d.readyWithin(ctx); err != nil {
		return err
	}
	if !d.relays.sought() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, addrTimeout)
	defer cancel()
	sub, err := d.host.EventBus().Subscribe(new(event.EvtLocalAddressesUpdated), eventbus.Name("kad-announce"))
	if err != nil {
		return nil // the host is closed
	}
	defer sub.Close() //nolint:errcheck // it is open
	for d.needsRelay() && len(fit(d.host.Addrs(), scopePublic)) == 0 {
		select {
		case <-sub.Out():
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// sought reports whether somebody asks for relays.
func (r *relays) sought() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.asked
}
