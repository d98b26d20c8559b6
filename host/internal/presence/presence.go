package presence

import (
	"context"
	"slices"
	"sync"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/deliver"
	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/observe"
	"github.com/go-kad/kad/host/internal/reach"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

const (
	// interval is how often a presence is renewed: twice within its lifetime, and before
	// go-libp2p-kad-dht forgets old addresses, after 30m.
	interval = 25 * time.Minute

	// minPause is the least time from one announcement to the next: addresses change
	// several at a time. It doubles with each change, up to maxPause, so that the last
	// address is announced no later than the changes went on. It is minPause again after
	// calm without a change, or twice the pause, if that is longer.
	minPause = time.Second
	maxPause = time.Minute
	calm     = 10 * time.Second

	// newcomerPause is how long a contact that entered the table waits for the presence:
	// several enter at a time.
	newcomerPause = 10 * time.Second

	// maxRetry bounds the wait after an announcement that no peer has stored; it begins
	// with minPause, and doubles.
	maxRetry = 5 * time.Minute

	// withdrawTimeout bounds the withdrawal of a presence, for which a node that closes
	// waits: to connected holders, it takes a round trip.
	withdrawTimeout = 400 * time.Millisecond
)

// maxHolders bounds the peers that may hold the presence: k at a time, and peers from
// before the k closest were others.
const maxHolders = 256

// A Config has the rooms that a Presence uses, and its settings.
type Config struct {
	Host     lhost.Host
	Table    *table.Table
	Lookup   *lookup.Engine
	Deliver  *deliver.Sender
	Holder   *holder.Holder
	Reach    *reach.Reach
	Observer *observe.Observer
	K        int
	Disabled bool
}

// A Presence keeps the addresses of a node that does not serve with the k peers closest
// to its ID. It is safe for concurrent use.
type Presence struct {
	cfg      Config
	self     peer.ID
	schedule schedule // of the background loop

	mu      sync.Mutex
	holders map[peer.ID]holding // peers that may hold the presence
	cancel  context.CancelFunc  // ends the announcement under way; nil if there is none
	ended   chan struct{}       // closed when nothing of it is sent any more
	closed  bool
}

// A holding is a peer that may hold the presence.
type holding struct {
	routing.Contact
	sent  time.Time             // when it was sent for the last time
	addrs []multiaddr.Multiaddr // that were sent then
}

// New returns a Presence that no peer holds yet.
func New(cfg Config) *Presence {
	return &Presence{cfg: cfg, self: cfg.Host.ID(), holders: make(map[peer.ID]holding)}
}

// addrs returns the addresses that the presence is to have: none if the node serves, or
// has no address that other peers of the network could use.
func (p *Presence) addrs() []multiaddr.Multiaddr {
	if p.cfg.Disabled {
		return nil
	}
	if mode, _ := p.cfg.Reach.Mode(); mode == reach.Server {
		return nil
	}
	addrs := p.cfg.Host.Addrs()
	if p.cfg.Reach.Public() {
		return scope.Reaching(addrs, scope.Public)
	}
	return addrs
}

// announce announces addrs to the k peers that are closest to this node, to its
// neighbours, which a lookup may have missed since they were late, and to all peers that
// may hold other addresses. It returns when nothing of that is sent any more, with how many
// peers have stored it.
func (p *Presence) announce(ctx context.Context, now time.Time, addrs []multiaddr.Multiaddr) (holders int, err error) {
	closest := p.cfg.Lookup.Closest(0)
	return p.send(ctx, now, addrs, func(ctx context.Context, sink *lookup.Sink) error {
		if _, err := closest(ctx, []byte(p.self), sink); err != nil {
			return err
		}
		sink.Add(ctx, p.cfg.Table.Neighbours(p.cfg.K)...)
		sink.Add(ctx, p.outdated(now, addrs)...)
		return nil
	})
}

// send delivers a presence with addrs to the peers that find adds. It returns when
// nothing of that is sent any more, with how many peers have stored it.
func (p *Presence) send(ctx context.Context, now time.Time, addrs []multiaddr.Multiaddr, find func(context.Context, *lookup.Sink) error) (holders int, err error) {
	ctx, end := p.begin(ctx)
	defer end()
	req := p.cfg.Holder.Announcement([]byte(p.self), announce.PresenceLifetime, now)
	ranked := p.cfg.Table.RankOwn(addrs)
	req.Providers = []protocol.Peer{{
		ID: p.self, Addrs: ranked,
		Certified: announce.Certify(p.cfg.Host.Peerstore().PrivKey(p.self), p.self, announce.Widest(ranked), now),
	}}
	receipt, err := p.cfg.Deliver.To(ctx, req, 0, nil, func(sending context.Context, sink *lookup.Sink) error {
		sending, cancel := context.WithCancelCause(sending)
		context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) }) // also what is sent when To has returned
		add := func(to func(context.Context, ...routing.Contact)) func(context.Context, ...routing.Contact) {
			return func(ctx context.Context, holders ...routing.Contact) {
				p.hold(now, holders, addrs)
				to(ctx, holders...)
			}
		}
		return find(sending, &lookup.Sink{Add: add(sink.Add), Late: add(sink.Late), Taken: sink.Taken, Crowded: sink.Crowded})
	})
	if err != nil {
		return 0, err
	}
	receipt, _ = receipt.Wait(context.WithoutCancel(ctx)) // soon, once ctx has ended
	return len(receipt.Stored), receipt.Check(ctx, 0)
}

// Withdraw takes the presence back from its holders, within 400ms. Holders of other
// implementations, which have no such request, keep it until it expires. After the last
// time, there are no more announcements.
func (p *Presence) Withdraw(ctx context.Context, now time.Time, last bool) error {
	ctx, cancel := context.WithTimeout(ctx, withdrawTimeout)
	defer cancel()
	holders := p.release(ctx, last)
	if len(holders) == 0 {
		return nil
	}
	req := p.cfg.Holder.Announcement([]byte(p.self), announce.Withdrawn, now)
	if req.Proof == nil {
		return nil // no holder would believe it
	}
	req.Providers = []protocol.Peer{{ID: p.self}}
	return tasks.Each(ctx, maxHolders, slices.Values(holders), func(ctx context.Context, c routing.Contact) error {
		return p.cfg.Deliver.One(ctx, nil, c, req)
	})
}

// begin returns the context of an announcement, and what is to be called when nothing of
// it is sent any more. There is one at a time. The context has ended already if the node
// is closing.
func (p *Presence) begin(ctx context.Context) (context.Context, func()) {
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
func (p *Presence) interrupt() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cancel != nil {
		p.cancel()
	}
}

// hold notes the peers that are about to be sent the presence. Beyond maxHolders, the
// one that was sent it first is forgotten.
func (p *Presence) hold(now time.Time, to []routing.Contact, addrs []multiaddr.Multiaddr) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range to {
		if h, ok := p.holders[c.ID]; ok && h.sent.Equal(now) {
			continue
		}
		p.holders[c.ID] = holding{c, now, addrs}
		if len(p.holders) <= maxHolders {
			continue
		}
		oldest := c.ID
		for id, h := range p.holders {
			if h.sent.Before(p.holders[oldest].sent) {
				oldest = id
			}
		}
		delete(p.holders, oldest)
	}
}

// outdated returns the peers that may hold a presence with other addresses than addrs. A
// peer that was sent it so long ago that it has expired is dropped.
func (p *Presence) outdated(now time.Time, addrs []multiaddr.Multiaddr) (holders []routing.Contact) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, h := range p.holders {
		if now.Sub(h.sent) >= announce.PresenceLifetime {
			delete(p.holders, id)
		} else if !scope.Same(h.addrs, addrs) {
			holders = append(holders, h.Contact)
		}
	}
	return holders
}

// without returns the contacts that were not sent the presence.
func (p *Presence) without(contacts []routing.Contact) []routing.Contact {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.DeleteFunc(contacts, func(c routing.Contact) bool {
		_, sent := p.holders[c.ID]
		return sent
	})
}

// release returns the peers that may hold the presence, and forgets them, when the
// announcement that is under way has ended, or ctx.
func (p *Presence) release(ctx context.Context, last bool) (holders []routing.Contact) {
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
	clear(p.holders)
	return holders
}
