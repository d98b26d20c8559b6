package gossip

import (
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
)

// links has the peers to which pubsub has a stream to write to, and the messages that
// it has not written yet. It is a tracer of pubsub, which does not report either (see
// Decisions).
//
// Its methods are called by the goroutines of pubsub, and do not block.
type links struct {
	ignored
	changed func() // called after a link was opened or closed

	self peer.ID

	mu      sync.Mutex
	count   uint64             // of links, and of greetings of their peers
	open    map[peer.ID]uint64 // the count when the link was opened, or the peer greeted
	told    map[peer.ID]bool   // peers whose topics pubsub has not forgotten since they told them
	handing int                // messages that pubsub has accepted, and not looked at
	unsent  map[sending]bool
	idle    chan struct{} // closed while handing is 0, and unsent is empty
}

// A sending is a message on its way to one peer.
type sending struct {
	rpc *pubsub.RPC
	to  peer.ID
}

func newLinks(self peer.ID, changed func()) *links {
	l := &links{
		self:    self,
		changed: changed,
		open:    make(map[peer.ID]uint64),
		told:    make(map[peer.ID]bool),
		unsent:  make(map[sending]bool),
		idle:    make(chan struct{}),
	}
	close(l.idle)
	return l
}

// of returns the number of the link to a peer; 0 if there is none. When it changes, pubsub
// may have dropped messages for the peer: it had closed the link, or forgotten that the
// peer takes part.
func (l *links) of(id peer.ID) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open[id]
}

// replaced reports whether a peer has another link than it had. A link that has ended, without
// another one, is not replaced.
func (l *links) replaced(had map[peer.ID]uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, link := range had {
		if now := l.open[id]; now != link && now != 0 {
			return true
		}
	}
	return false
}

// publish calls publish, which hands a message to pubsub.
func (l *links) publish(publish func() error) error {
	l.hand(1)
	err := publish()
	if err != nil {
		l.hand(-1)
	}
	return err
}

// hand changes the number of messages that pubsub has not looked at.
func (l *links) hand(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.update(func() { l.handing += n })
}

// looked notes that pubsub has looked at a message of ours, and passed it to the
// subscription. It goes on to send the message, before it does anything else.
func (l *links) looked() { l.hand(-1) }

// UndeliverableMessage notes that pubsub has looked at a message, and that the
// subscription has no room for it.
func (l *links) UndeliverableMessage(msg *pubsub.Message) {
	if msg.ReceivedFrom == l.self {
		l.looked()
	}
}

// drained returns a channel that is closed when all published messages have been
// written, but for the one that pubsub is sending.
func (l *links) drained() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.idle
}

// OnNewOutboundStream notes that there is a stream to a peer.
func (l *links) OnNewOutboundStream(id peer.ID, _ lprotocol.ID) {
	l.mu.Lock()
	l.renew(id)
	l.mu.Unlock()
	l.changed()
}

// renew gives the link to a peer another number. The lock is held.
func (l *links) renew(id peer.ID) {
	l.count++
	l.open[id] = l.count
}

// begun notes that a peer begins a stream: pubsub forgets its topics until it tells them.
func (l *links) begun(id peer.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.told, id)
}

// RecvRPC notes that a peer tells its topics, which pubsub is about to take in.
func (l *links) RecvRPC(rpc *pubsub.RPC) {
	if len(rpc.GetSubscriptions()) == 0 {
		return
	}
	id := rpc.From()
	l.mu.Lock()
	known := l.told[id]
	if len(l.told) >= maxOrders && !known {
		clear(l.told)
	}
	l.told[id] = true
	if !known && l.open[id] != 0 {
		l.renew(id)
	}
	l.mu.Unlock()
	if !known {
		l.changed()
	}
}

// OnClosedOutboundStream notes that there is none.
func (l *links) OnClosedOutboundStream(id peer.ID) {
	l.mu.Lock()
	delete(l.open, id)
	delete(l.told, id)
	l.update(func() {
		for s := range l.unsent {
			if s.to == id {
				delete(l.unsent, s)
			}
		}
	})
	l.mu.Unlock()
	l.changed()
}

// SendRPC notes that messages were queued for a peer.
func (l *links) SendRPC(rpc *pubsub.RPC, to peer.ID) { l.toggle(rpc, to) }

// SendRPCCompleted notes that they were written.
func (l *links) SendRPCCompleted(rpc *pubsub.RPC, to peer.ID, _ time.Duration) { l.toggle(rpc, to) }

// toggle notes one of the two events that each RPC has. Their order is not known: they
// come from different goroutines.
func (l *links) toggle(rpc *pubsub.RPC, to peer.ID) {
	if len(rpc.GetPublish()) == 0 {
		return // control messages of pubsub
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open[to] == 0 {
		return
	}
	l.update(func() {
		if s := (sending{rpc, to}); l.unsent[s] {
			delete(l.unsent, s)
		} else {
			l.unsent[s] = true
		}
	})
}

// update changes handing or unsent, and idle with it. The lock is held.
func (l *links) update(change func()) {
	before := l.handing + len(l.unsent)
	change()
	switch after := l.handing + len(l.unsent); {
	case before == 0 && after > 0:
		l.idle = make(chan struct{})
	case before > 0 && after == 0:
		close(l.idle)
	}
}

// ignored has the events of a tracer that do not matter here.
type ignored struct{}

func (ignored) Join(string)                           {}
func (ignored) Leave(string)                          {}
func (ignored) Graft(peer.ID, string)                 {}
func (ignored) Prune(peer.ID, string)                 {}
func (ignored) ValidateMessage(*pubsub.Message)       {}
func (ignored) RejectMessage(*pubsub.Message, string) {}
func (ignored) DuplicateMessage(*pubsub.Message)      {}
func (ignored) ThrottlePeer(peer.ID)                  {}
func (ignored) DeliverMessage(*pubsub.Message)        {}
func (ignored) DropRPC(*pubsub.RPC, peer.ID)          {}
