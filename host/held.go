package host

import (
	"context"
	"iter"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/store"
)

// A Held is a value or an announcement that a node holds, for the network or of its own.
type Held struct {
	Kind     store.Kind // KindValue or KindProvider
	Key      []byte     // of an announcement: the multihash of the content, or the ID of a peer whose presence it is
	Peer     peer.ID    // of a value: its publisher, as the record says, empty if unknown; of an announcement: the provider
	Size     int        // bytes: of the value, or of the addresses and the signature of the announcement
	Received time.Time
	Expires  time.Time // zero if never
}

// Held yields what this node holds now: values, then announcements, each in the order of the
// key space. A key that holds several values is yielded once for each of them. The store is
// read in parts, so an entry that arrives or leaves meanwhile may be missing. An error comes
// last: the cause of ctx, [ErrClosed], or an error of the store.
func (d *DHT) Held(ctx context.Context) iter.Seq2[Held, error] {
	return func(yield func(Held, error) bool) {
		ctx, end, err := d.tasks.Begin(ctx)
		if err != nil {
			yield(Held{}, err)
			return
		}
		defer end()
		for e, err := range d.holder.List(ctx, time.Now()) {
			if !yield(Held(e), public(err)) {
				return
			}
		}
	}
}
