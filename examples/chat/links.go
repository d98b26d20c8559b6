package main

import (
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
)

// links knows to whom there is an open stream to write to, and what has not
// been written yet. PubSub does not tell, and drops a message for a peer that
// it has heard from but has no stream to yet; its tracer sees all of it.
//
// Its methods are called by the goroutines of PubSub, which must not block.
type links struct {
	ignored
	changed chan struct{} // buffered, length 1: a link was opened or closed

	mu     sync.Mutex
	open   map[peer.ID]bool
	unsent map[sending]bool
	idle   chan struct{} // closed while unsent is empty
}

// A sending is a message on its way to one peer.
type sending struct {
	rpc *pubsub.RPC
	to  peer.ID
}

func newLinks() *links {
	l := &links{
		changed: make(chan struct{}, 1),
		open:    make(map[peer.ID]bool),
		unsent:  make(map[sending]bool),
		idle:    make(chan struct{}),
	}
	close(l.idle)
	return l
}

// to reports whether what is published now will be written to a peer.
func (l *links) to(id peer.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open[id]
}

// drained returns a channel that is closed when all that was published has been
// written.
func (l *links) drained() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.idle
}

// OnNewOutboundStream notes that we can write to a peer.
func (l *links) OnNewOutboundStream(id peer.ID, _ lprotocol.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[id] = true
	poke(l.changed)
}

// OnClosedOutboundStream notes that we can not.
func (l *links) OnClosedOutboundStream(id peer.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.open, id)
	l.update(func() {
		for s := range l.unsent {
			if s.to == id {
				delete(l.unsent, s)
			}
		}
	})
	poke(l.changed)
}

// SendRPC notes that something was queued for a peer.
func (l *links) SendRPC(rpc *pubsub.RPC, to peer.ID) { l.toggle(rpc, to) }

// SendRPCCompleted notes that it was written.
func (l *links) SendRPCCompleted(rpc *pubsub.RPC, to peer.ID, _ time.Duration) { l.toggle(rpc, to) }

// toggle notes one of the two events that each message has, in whichever order
// they come: they are those of different goroutines.
func (l *links) toggle(rpc *pubsub.RPC, to peer.ID) {
	if len(rpc.GetPublish()) == 0 {
		return // not a message, but a word of PubSub with its kind
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.open[to] {
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

// update changes unsent, and idle with it. The lock is held.
func (l *links) update(change func()) {
	before := len(l.unsent)
	change()
	switch after := len(l.unsent); {
	case before == 0 && after > 0:
		l.idle = make(chan struct{})
	case before > 0 && after == 0:
		close(l.idle)
	}
}

// poke sends on a channel of length 1, whose reader needs to be told but once.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// ignored are the events of a tracer that do not matter here.
type ignored struct{}

func (ignored) Join(string)                           {}
func (ignored) Leave(string)                          {}
func (ignored) Graft(peer.ID, string)                 {}
func (ignored) Prune(peer.ID, string)                 {}
func (ignored) ValidateMessage(*pubsub.Message)       {}
func (ignored) DeliverMessage(*pubsub.Message)        {}
func (ignored) RejectMessage(*pubsub.Message, string) {}
func (ignored) DuplicateMessage(*pubsub.Message)      {}
func (ignored) ThrottlePeer(peer.ID)                  {}
func (ignored) RecvRPC(*pubsub.RPC)                   {}
func (ignored) DropRPC(*pubsub.RPC, peer.ID)          {}
func (ignored) UndeliverableMessage(*pubsub.Message)  {}
