package call

import (
	"context"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/routing"
)

// dialHangs is when a dial makes way for one of other addresses of the same peer, if there is no
// room for both. A dial that is answered takes a few round trips.
const dialHangs = time.Second

// Also has the request to a contact that is under way dial it at the addresses of its Wire, too:
// where it is dialled now, it is taken not to be.
func (c *Caller) Also(to routing.Contact) { c.learn(to, true)() }

// learn has a dial of a contact know its addresses, one that is under way too, until the
// function is called that it returns. The ones of a contact of the table are proved, unless
// another peer names it there.
func (c *Caller) learn(to routing.Contact, urgent bool) (forget func()) {
	if c.cfg.Table.Connected(to.ID) {
		return func() {}
	}
	n, forget := c.unproved.use(to.ID)
	if p, err := announce.Wire(to.Wire).Peer(); err == nil {
		c.unproved.add(n, word{
			by: to.Namer, wire: to.Wire, addrs: p.Addrs, urgent: urgent, proved: to.Namer == "" && c.cfg.Table.Has(to.ID),
		})
	}
	return forget
}

// dial dials a peer: at the addresses that the host knows, and at the ones that others have
// named, as far as these may be dialled. Addresses that are named while it waits are dialled beside,
// as far as the swarm has room: the first ones may be of a liar.
func (c *Caller) dial(ctx context.Context, to peer.ID) error {
	n, forget := c.unproved.use(to)
	defer forget()
	known := c.cfg.Host.Peerstore().Addrs(to)
	d := &dials{caller: c, to: to, known: known, cancel: func() {}, ended: make(chan error, maxWords+1)}
	defer d.end()
	var all, next []word
	for first := true; ; first = false {
		dialled := slices.Concat(known, d.named)
		for _, w := range next {
			dialled = append(dialled, w.addrs...)
		}
		words, more := c.unproved.admit(n, len(all), dialled)
		all = append(all, words...)
		next = append(next, slices.DeleteFunc(words, func(w word) bool { return len(w.addrs) == 0 })...)
		slices.SortStableFunc(next, word.compare)
		if first && len(all) > 0 && len(next) == 0 && len(known) == 0 {
			return errUnproved
		}
		if first && c.cfg.Dialled != nil {
			c.cfg.Dialled(to)
		}
		if first && len(next) == 0 {
			d.begin(ctx, nil)
		}
		for len(next) > 0 && d.room(next[0]) {
			d.begin(ctx, next[0].addrs)
			next = next[1:]
		}
		var hung <-chan struct{}
		if len(next) > 0 && d.underWay > 0 && !next[0].waits() {
			hung = d.hung
		}
		select {
		case err := <-d.ended:
			d.underWay--
			switch {
			case err == nil:
				wasKnown := len(known) > 0 || slices.ContainsFunc(all, func(w word) bool { return w.proved })
				c.unproved.proved(all, c.cfg.Table.Proved(to), wasKnown)
				return nil
			case d.underWay == 0 && len(next) == 0:
				return err
			}
		case <-more:
		case <-hung:
		}
	}
}

// dials are the dials of one peer at a time: the swarm joins them, and dials at most
// swarm.DefaultPerPeerRateLimit addresses of it at once. They belong to one goroutine.
type dials struct {
	caller   *Caller
	to       peer.ID
	known    []multiaddr.Multiaddr // to the host, before
	cancel   func()                // the dials under way
	ended    chan error
	underWay int
	named    []multiaddr.Multiaddr // of the dials under way
	hung     <-chan struct{}       // closed when the last one hangs
}

// room reports whether a further word may be dialled now. If there is no room for it beside the
// others, and these hang, they end; unless it says the same in part, as words about a peer that is
// slow do.
func (d *dials) room(w word) bool {
	switch {
	case d.underWay == 0, len(d.known)+len(d.named)+len(w.addrs) <= swarm.DefaultPerPeerRateLimit:
		return true
	case w.waits(), !w.urgent && tasks.Pending(d.hung):
		return false
	}
	d.cancel() // and end, when all have
	for ; d.underWay > 0; d.underWay-- {
		if err := <-d.ended; err == nil {
			d.ended <- nil // it was found just now
			return false
		}
	}
	d.end()
	return true
}

// end ends the dials. The host forgets where the peer was named and not found: it would dial it
// there for minutes, whoever names it.
func (d *dials) end() {
	d.cancel()
	if !d.caller.cfg.Table.Connected(d.to) {
		isKnown := func(a multiaddr.Multiaddr) bool { return slices.ContainsFunc(d.known, a.Equal) }
		d.caller.cfg.Host.Peerstore().SetAddrs(d.to, slices.DeleteFunc(d.named, isKnown), 0)
	}
	d.named, d.cancel = nil, func() {}
}

// begin dials the peer at some addresses, and at the ones that the host knows.
func (d *dials) begin(ctx context.Context, addrs []multiaddr.Multiaddr) {
	ctx, cancel := context.WithCancel(ctx)
	hung, forget := context.WithTimeout(ctx, dialHangs)
	before := d.cancel
	d.cancel = func() { before(); forget(); cancel() }
	c := d.caller
	c.cfg.Table.Learn(d.to, addrs)
	d.named = append(d.named, addrs...)
	d.hung = hung.Done()
	d.underWay++
	if !c.cfg.Tasks.Go(func(context.Context) { d.ended <- c.cfg.Transport.Dial(ctx, d.to) }) {
		d.ended <- kaderr.ErrClosed
	}
}
