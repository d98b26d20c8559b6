package gossip

import (
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// gapTimeout is how long messages wait for an earlier one.
	gapTimeout = 2 * time.Second

	// maxOrders bounds the peers of which the last number is known.
	maxOrders = 1024

	// maxGaps bounds the peers whose messages wait, of each as many as it repeats: see crowded.
	maxGaps = 16
)

// A gap is a message of a peer that is missing, while later ones wait for it.
type gap struct {
	from    peer.ID
	missing uint64
	until   time.Time
}

// received handles a frame. Its sender is certain, since it is signed.
func (t *Topic) received(msg *pubsub.Message) {
	from := msg.GetFrom()
	if msg.ReceivedFrom == t.node.host.ID() {
		t.node.links.looked()
	}
	f, ok := msg.ValidatorData.(frame)
	if from == t.node.host.ID() || !ok {
		return
	}
	o := t.orderOf(from, f.session)
	if o == nil {
		return
	}
	if f.kind == frameHello {
		o.expect(f.number)
		if len(f.data) > 0 {
			t.notify(Event{Kind: Hello, Peer: from, Data: f.data})
		}
		return
	}
	t.deliver(from, o.take(f.number, f.data))
	if len(o.early) > 0 && o.awaited != o.next {
		o.awaited = o.next
		t.gaps = append(t.gaps, gap{from, o.next, time.Now().Add(gapTimeout)})
		t.closeGaps(time.Now())
	}
}

// deliver notifies of messages.
func (t *Topic) deliver(from peer.ID, messages [][]byte) {
	for _, data := range messages {
		t.notify(Event{Kind: Message, Peer: from, Data: data})
	}
}

// closeGaps delivers the messages that have waited for too long, and the oldest ones if
// there are too many.
func (t *Topic) closeGaps(now time.Time) {
	for len(t.gaps) > maxGaps || len(t.gaps) > 0 && !now.Before(t.gaps[0].until) {
		g := t.gaps[0]
		t.gaps = t.gaps[1:]
		if o := t.orders[g.from]; o != nil && o.next == g.missing {
			t.deliver(g.from, o.skip())
		}
	}
}

// orderOf returns the order of a peer in a session; nil if the session is over. A peer
// that joins again begins another one.
func (t *Topic) orderOf(from peer.ID, session uint64) *order {
	o := t.orders[from]
	switch {
	case o != nil && o.session == session:
		return o
	case o != nil && o.previous == session:
		return nil
	case o != nil:
		t.deliver(from, o.skip())
		o = &order{session: session, previous: o.session}
	default:
		for id, other := range t.orders {
			if len(t.orders) < maxOrders {
				break
			}
			t.deliver(id, other.skip())
			delete(t.orders, id)
		}
		o = &order{session: session}
	}
	t.orders[from] = o
	return o
}
