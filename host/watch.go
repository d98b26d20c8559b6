package host

import (
	"context"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/routing"
)

// A TableChange says what became of a contact of the routing table: it entered,
// left, is suspected since it did not answer, or is cleared of that. A contact that
// is replaced left, and right after it another one entered.
type TableChange struct {
	Kind routing.ChangeKind
	Peer peer.ID
}

// watchBuffer is how many changes wait for who watches the table.
const watchBuffer = 256

// WatchTable returns a channel of the changes of the routing table from now on. It
// is closed when ctx ends or the DHT is closed. Nobody waits for a slow reader: of
// changes that it has not read, 256 are kept, and those beyond are dropped.
// [DHT.Table] has the state.
func (d *DHT) WatchTable(ctx context.Context) <-chan TableChange {
	ctx, end := d.begin(ctx)
	changes := make(chan TableChange, watchBuffer)
	d.peers.watch(changes)
	context.AfterFunc(ctx, func() {
		d.peers.unwatch(changes)
		end()
	})
	return changes
}

// watch sends the changes of the table to a channel, as far as it has room.
func (p *peers) watch(changes chan TableChange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.watchers == nil {
		p.watchers = make(map[chan TableChange]struct{})
	}
	p.watchers[changes] = struct{}{}
}

// unwatch ends what watch began, and closes the channel.
func (p *peers) unwatch(changes chan TableChange) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.watchers, changes)
	close(changes)
}

// tell sends a change to those who watch. The caller holds the lock.
func (p *peers) tell(c routing.Change) {
	for changes := range p.watchers {
		select {
		case changes <- TableChange{c.Kind, c.Contact.ID}:
		default:
		}
	}
}
