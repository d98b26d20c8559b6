package host

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/errgroup"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

const (
	// presenceLifetime is for how long holders keep a presence that is not renewed:
	// a peer that goes without a word is not found after that. Other implementations
	// keep the record for up to 48h and its addresses for 24h, or, if they are old,
	// for 30m.
	presenceLifetime = time.Hour

	// presenceInterval is how often it is renewed: before those forget it that keep
	// addresses for the shortest time, and twice within its lifetime.
	presenceInterval = 25 * time.Minute

	// presencePause is the least time from one announcement to the next: addresses
	// change several at a time.
	presencePause = time.Second

	// maxPresenceRetry bounds the wait after an announcement that nobody has stored;
	// it begins with presencePause, and doubles.
	maxPresenceRetry = 5 * time.Minute

	// withdrawTimeout bounds the withdrawal of a presence, which [DHT.Close] waits
	// for: to those who are connected, it takes a round trip.
	withdrawTimeout = 400 * time.Millisecond
)

// presence is what others hold of where we are: a provider record under our own ID,
// with our addresses. A node that serves needs none, for it is in their tables.
type presence struct {
	mu      sync.Mutex
	holders map[peer.ID]presenceHolder // who may hold it
	cancel  context.CancelFunc         // ends the announcement under way; nil if there is none
	closed  bool
}

// A presenceHolder is a peer that may hold our presence.
type presenceHolder struct {
	routing.Contact
	told time.Time // when it was sent for the last time
}

// begin returns the context of an announcement, and what ends it. There is one at a
// time. The context has ended already if the node is closing.
func (p *presence) begin(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		cancel()
	}
	p.cancel = cancel
	return ctx, func() {
		cancel()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.cancel = nil
	}
}

// interrupt ends the announcement that is under way, if there is one.
func (p *presence) interrupt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cancel != nil {
		p.cancel()
	}
}

// hold notes who is about to be sent our presence. Those that were not for so long
// that they have forgotten it are forgotten too.
func (p *presence) hold(now time.Time, contacts []routing.Contact) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.holders == nil {
		p.holders = make(map[peer.ID]presenceHolder)
	}
	for id, h := range p.holders {
		if now.Sub(h.told) >= presenceLifetime {
			delete(p.holders, id)
		}
	}
	for _, c := range contacts {
		p.holders[c.ID] = presenceHolder{c, now}
	}
}

// release returns who may hold our presence, and forgets them. After the last time,
// there are no more announcements.
func (p *presence) release(last bool) (holders []routing.Contact) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = p.closed || last
	if p.closed && p.cancel != nil {
		p.cancel()
	}
	for _, h := range p.holders {
		holders = append(holders, h.Contact)
	}
	p.holders = nil
	return holders
}

// presenceAddrs returns the addresses that our presence is to have: none if we serve,
// or if there is nothing that others on the network could use.
func (d *DHT) presenceAddrs() []multiaddr.Multiaddr {
	if d.cfg.DisablePresence {
		return nil
	}
	if mode, _ := d.mode.current(); mode == ModeServer {
		return nil
	}
	addrs := d.host.Addrs()
	if d.mode.public() {
		return fit(addrs, scopePublic)
	}
	return addrs
}

// public reports whether a peer of the network is on the public internet.
func (m *mode) public() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.around.publicPeer
}

// announcePresence tells the k peers that are closest to us where we are.
func (d *DHT) announcePresence(ctx context.Context, addrs []multiaddr.Multiaddr) error {
	ctx, end := d.presence.begin(ctx)
	defer end()
	key := []byte(d.self)
	req := d.announceRequest(key, presenceLifetime)
	req.Providers = []protocol.Peer{{
		ID: d.self, Addrs: addrs,
		Certified: certify(d.host.Peerstore().PrivKey(d.self), d.self, widest(addrs), time.Now()),
	}}
	receipt, err := d.deliver(ctx, req, 0, func(ctx context.Context, add func(...routing.Contact)) error {
		tell := func(to ...routing.Contact) {
			d.presence.hold(time.Now(), to)
			add(to...)
		}
		to, err := d.closestBy(0)(ctx, key, tell)
		tell(to...)
		return err
	})
	if err != nil {
		return err
	}
	return receipt.check(ctx, 0)
}

// withdrawPresence takes back what others hold of where we are. Those of other
// implementations, which know of no withdrawal, keep it until it expires.
func (d *DHT) withdrawPresence(ctx context.Context, last bool) error {
	holders := d.presence.release(last)
	if len(holders) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, withdrawTimeout)
	defer cancel()
	req := d.announceRequest([]byte(d.self), withdrawn)
	if req.Proof == nil {
		return nil // nobody would believe it
	}
	req.Providers = []protocol.Peer{{ID: d.self}}
	var sends errgroup.Group
	for _, c := range holders {
		sends.Go(func() error { return d.store1(ctx, nil, c, req) })
	}
	return sends.Wait()
}

// telling is how far our presence is told. It belongs to the goroutine maintain.
type telling struct {
	addrs []multiaddr.Multiaddr // of the last announcement, whatever became of it
	last  time.Time             // when it was begun
	next  time.Time             // when it is due again, with the same addresses
	pause time.Duration         // how long to wait after the next failure
}

// tellPresence announces where we are: at once if that has changed, but for
// presencePause, and before it is forgotten. What was under way with addresses that are
// not ours any more ends.
func (k *keeper) tellPresence(now time.Time) time.Time {
	t := &k.telling
	addrs := k.dht.presenceAddrs()
	changed := !sameAddrs(addrs, t.addrs)
	if !changed && len(addrs) == 0 || !k.join.done {
		return time.Time{}
	}
	due := t.next
	if changed {
		due = t.last.Add(presencePause)
	}
	if now.Before(due) {
		return due
	}
	if k.room(presenceJob) == 0 {
		if changed {
			k.dht.presence.interrupt()
		}
		return time.Time{} // its end calls us again
	}
	t.addrs, t.last = addrs, now
	if len(addrs) == 0 {
		k.start(presenceJob,
			func(ctx context.Context) error { return k.dht.withdrawPresence(ctx, false) },
			func(err error) {
				if err != nil {
					log.Debugw("presence not withdrawn", "error", err)
				}
			})
		return time.Time{}
	}
	k.start(presenceJob,
		func(ctx context.Context) error { return k.dht.announcePresence(ctx, addrs) },
		func(err error) {
			wait := early(presenceInterval)
			if err == nil {
				t.pause = 0
			} else {
				log.Debugw("presence", "error", err)
				t.pause = min(max(2*t.pause, presencePause), maxPresenceRetry)
				wait = jittered(t.pause)
			}
			t.next = time.Now().Add(wait)
		})
	return time.Time{}
}

// sameAddrs reports whether two lists have the same addresses.
func sameAddrs(a, b []multiaddr.Multiaddr) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(x multiaddr.Multiaddr) bool {
		return !slices.ContainsFunc(b, x.Equal)
	})
}
