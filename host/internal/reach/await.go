package reach

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"

	"github.com/go-kad/kad/host/internal/scope"
)

// addrTimeout is how long an announcement waits for an address that other peers can use.
// A relay is found within 2s, as a rule.
const addrTimeout = 5 * time.Second

// AwaitAddr waits, as long as ctx and at most 5s, until the host has an address that peers
// on the internet can use, if it can be reached only through a relay, and seeks one: a
// holder refuses an announcement without such an address. The error is that of a node
// that does not get ready.
func (r *Reach) AwaitAddr(ctx context.Context) error {
	// AutoRelay asks as soon as the host runs: by the time the node is ready, it has.
	if err := r.cfg.Table.ReadyWithin(ctx); err != nil {
		return err
	}
	if !r.SeeksRelay() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, addrTimeout)
	defer cancel()
	sub, err := r.cfg.Host.EventBus().Subscribe(new(event.EvtLocalAddressesUpdated), eventbus.Name("kad-announce"))
	if err != nil {
		return nil // the host is closed
	}
	defer sub.Close() //nolint:errcheck // it is open
	for r.NeedsRelay() && len(scope.Reaching(r.cfg.Host.Addrs(), scope.Public)) == 0 {
		select {
		case <-sub.Out():
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}
