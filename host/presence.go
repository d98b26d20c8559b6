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
	// change several at a time. It doubles with each change, up to maxPresencePause, so
	// that who waits for the last one waits no longer than the changes went on. It is
	// presencePause again after presenceCalm without a change, or twice the pause, if
	// that is longer.
	presencePause    = time.Second
	maxPresencePause = time.Minute
	presenceCalm     = 10 * time.Second

	// newcomerPause is how long those wait who came into the table until they are told:
	// several come at a time.
	newcomerPause = 10 * time.Second

	// maxPresenceRetry bounds the wait after an announcement that nobody has stored;
	// it begins with presencePause, and doubles.
	maxPresenceRetry = 5 * time.Minute

	// withdrawTimeout bounds the withdrawal of a presence, which [DHT.Close] waits
	// for: to those who are connected, it takes a round trip.
	withdrawTimeout = 400 * time.Millisecond
)

// maxPresenceHolders bounds those who may hold our presence: k at a time, and those
// from before the k closest were others.
const maxPresenceHolders = 256

// presence is what others hold of where we are: a provider record under our own ID,
// with our addresses. A node that serves needs none, for it is in their tables.
type presence struct {
	mu      sync.Mutex
	holders map[peer.ID]presenceHolder // who may hold it
	cancel  context.CancelFunc         // ends the announcement under way; nil if there is none
	ended   chan struct{}              // closed when nothing of it is sent any more
	closed  bool
}

// A presenceHolder is a peer that may hold our presence.
type presenceHolder struct {
	routing.Contact
	told  time.Time             // when it was sent for the last time
	addrs []multiaddr.Multiaddr // that were sent then
}

// begin returns the context of an announcement, and what is to be called when nothing
// of it is sent any more. There is one at a time. The context has ended already if the
// node is closing.
func (p *presence) begin(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancel(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		cancel()
	}
	ended := make(chan struct{})
	p.cancel, p.ended = cancel, ended
	return ctx, func() {
		cancel()
		p.mu.Lock()
		defer p.mu.Unlock()
		p.cancel = nil
		close(ended)
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

// hold notes who is about to be sent our presence. If there are too many of them, the
// one is forgotten that was not for longest.
func (p *presence) hold(now time.Time, c routing.Contact, addrs []multiaddr.Multiaddr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.holders == nil {
		p.holders = make(map[peer.ID]presenceHolder)
	}
	p.holders[c.ID] = presenceHolder{c, now, addrs}
	if len(p.holders) <= maxPresenceHolders {
		return
	}
	oldest := c.ID
	for id, h := range p.holders {
		if h.told.Before(p.holders[oldest].told) {
			oldest = id
		}
	}
	delete(p.holders, oldest)
}

// outdated returns who may hold our presence with other addresses than these. Those
// that were not sent it for so long that they have forgotten it are forgotten too.
func (p *presence) outdated(now time.Time, addrs []multiaddr.Multiaddr) (holders []routing.Contact) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, h := range p.holders {
		if now.Sub(h.told) >= presenceLifetime {
			delete(p.holders, id)
		} else if !sameAddrs(h.addrs, addrs) {
			holders = append(holders, h.Contact)
		}
	}
	return holders
}

// untold returns those of some contacts that were not sent our presence.
func (p *presence) untold(contacts []routing.Contact) []routing.Contact {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(contacts, func(c routing.Contact) bool {
		_, told := p.holders[c.ID]
		return told
	})
}

// release returns who may hold our presence, and forgets them, when the announcement
// that is under way has ended, or ctx. After the last time, there are no more
// announcements.
func (p *presence) release(ctx context.Context, last bool) (holders []routing.Contact) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = p.closed || last
	if p.cancel != nil {
		p.cancel()
		ended := p.ended
		p.mu.Unlock()
		select {
		case <-ended:
		case <-ctx.Done():
		}
		p.mu.Lock()
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

// announcePresence tells the k peers that are closest to us where we are, those that we
// know and a lookup has not found, since they were late, and all that may hold other
// addresses of us. It returns when nothing of that is sent any more.
func (d *DHT) announcePresence(ctx context.Context, addrs []multiaddr.Multiaddr) error {
	find := d.addTo(d.closestBy(0), []byte(d.self))
	return d.sendPresence(ctx, addrs, func(ctx context.Context, v *delivery) error {
		if err := find(ctx, v); err != nil {
			return err
		}
		v.add(ctx, d.peers.neighbours(d.cfg.K)...)
		v.add(ctx, d.presence.outdated(time.Now(), addrs)...)
		return nil
	})
}

// sendPresence tells the peers that find adds where we are. It returns when nothing of
// that is sent any more.
func (d *DHT) sendPresence(ctx context.Context, addrs []multiaddr.Multiaddr, find func(ctx context.Context, v *delivery) error) error {
	ctx, end := d.presence.begin(ctx)
	defer end()
	req := d.announceRequest([]byte(d.self), presenceLifetime)
	req.Providers = []protocol.Peer{{
		ID: d.self, Addrs: addrs,
		Certified: certify(d.host.Peerstore().PrivKey(d.self), d.self, widest(addrs), time.Now()),
	}}
	receipt, err := d.deliver(ctx, req, 0, nil, func(sending context.Context, v *delivery) error {
		sending, cancel := context.WithCancelCause(sending)
		context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) }) // also what is sent when deliver has returned
		send := v.send
		v.send = func(ctx context.Context, c routing.Contact) error {
			d.presence.hold(time.Now(), c, addrs)
			return send(ctx, c)
		}
		return find(sending, v)
	})
	if err != nil {
		return err
	}
	if rest := receipt.rest; rest != nil {
		receipt, _ = receipt.Wait(ctx)
		<-rest.done // at once after ctx has ended
	}
	return receipt.check(ctx, 0)
}

// withdrawPresence takes back what others hold of where we are. Those of other
// implementations, which know of no withdrawal, keep it until it expires.
func (d *DHT) withdrawPresence(ctx context.Context, last bool) error {
	ctx, cancel := context.WithTimeout(ctx, withdrawTimeout)
	defer cancel()
	holders := d.presence.release(ctx, last)
	if len(holders) == 0 {
		return nil
	}
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

// sameAddrs reports whether two lists have the same addresses.
func sameAddrs(a, b []multiaddr.Multiaddr) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(x multiaddr.Multiaddr) bool {
		return !slices.ContainsFunc(b, x.Equal)
	})
}
