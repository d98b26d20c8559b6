package gossip

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// settleTime is how long after its link was opened a peer has its first hello and messages for
// certain. A peer that may have lost them is given them again. A peer that was there for longer
// may begin anew with the same ID: it is not told old messages.
const settleTime = 10 * time.Second

// A member is how a peer is reached.
type member struct {
	link  uint64    // the number of the link, or 0
	since time.Time // when that was opened
	first uint64    // the first message that it is to have
}

// settled reports whether a peer has its first hello and messages by now: the first link to a peer
// can end within a second, when there is a better one.
func (m member) settled() bool { return time.Since(m.since) >= settleTime }

// unreach notes that a member does not get our messages any more.
func (t *Topic) unreach(id peer.ID) {
	m := t.members[id]
	if m.link == 0 {
		return
	}
	t.members[id] = member{}
	t.count.Add(-1)
	if len(t.away) >= maxOrders {
		clear(t.away)
	}
	t.away[id] = 0
	if !m.settled() {
		t.away[id] = m.first
	}
}

// reach greets members that are reached from now on, or over another link, and repeats the
// messages that they may have missed.
func (t *Topic) reach() {
	fresh, missed := false, false
	for id, m := range t.members {
		link := t.node.links.of(id)
		if link == m.link {
			continue
		}
		t.unreach(id)
		if link == 0 {
			continue
		}
		m = member{link, time.Now(), t.sent + 1}
		if first, ok := t.away[id]; ok {
			missed = true
			if first > 0 {
				m.first = first
			}
			delete(t.away, id)
		}
		t.members[id] = m
		t.count.Add(1)
		fresh = true
	}
	if !fresh {
		return
	}
	if missed {
		t.repeatRecent()
	} else {
		t.greet(t.sent + 1)
	}
	t.publishKept()
}

// greet sends a hello, which says the number of the first message that a newcomer gets.
func (t *Topic) greet(first uint64) {
	if len(t.members) <= maxHello {
		hello := frame{kind: frameHello, session: t.session, number: first, data: t.cfg.Hello}
		_ = t.send(t.ctx, hello.marshal()) // fails only if the node is closing
	}
}

// repeatRecent sends the hello and the last messages again, from the first on that a peer may have
// missed of those that have joined just now. Peers that have received them drop them. If the
// link of such a peer is replaced meanwhile, all is sent again, once: the first messages went over
// the link before, and the receiver waits for them only for gapTimeout.
func (t *Topic) repeatRecent() {
	first, links := t.sent+1, make(map[peer.ID]uint64)
	for id, m := range t.members {
		if m.link != 0 && !m.settled() {
			first = min(first, m.first)
			links[id] = m.link
		}
	}
	if !t.repeatFrom(first, links) {
		t.repeatFrom(first, nil)
	}
}

// repeatFrom sends the hello and the last messages, until one of the links is replaced. It reports
// whether it has sent all.
func (t *Topic) repeatFrom(first uint64, links map[peer.ID]uint64) bool {
	t.greet(first)
	for _, f := range t.recent.messages {
		if t.node.links.replaced(links) {
			return false
		}
		_ = t.send(t.ctx, f) // fails only if the node is closing
	}
	return true
}
