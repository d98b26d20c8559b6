package call

import (
	"context"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/routing"
)

// Also has the request to a contact that is under way dial it at the addresses of its Wire, too.
func (c *Caller) Also(to routing.Contact) { c.learn(to)() }

// learn has a dial of a contact know its addresses, one that is under way too, until the
// function is called that it returns. The ones of a contact of the table are proved, unless
// another peer names it there.
func (c *Caller) learn(to routing.Contact) (forget func()) {
	if c.cfg.Table.Connected(to.ID) {
		return func() {}
	}
	n, forget := c.unproved.use(to.ID)
	if p, err := announce.Wire(to.Wire).Peer(); err == nil {
		c.unproved.add(n, word{
			by: to.Namer, wire: to.Wire, addrs: p.Addrs, proved: to.Namer == "" && c.cfg.Table.Has(to.ID),
		})
	}
	return forget
}

// dial dials a peer: at the addresses that the host knows, and at the ones that others have
// named, as far as these may be dialled. Addresses that are named while it waits are dialled beside:
// the first ones may be those of a liar.
func (c *Caller) dial(ctx context.Context, to peer.ID) error {
	n, forget := c.unproved.use(to)
	defer forget()
	dialling, cancel := context.WithCancel(ctx)
	defer cancel()
	known := len(c.cfg.Host.Peerstore().Addrs(to)) > 0
	ended := make(chan error, maxWords+1)
	var all []word
	for underWay := 0; ; {
		words, more := c.unproved.admit(n, len(all))
		first, some := underWay == 0, false
		for _, w := range words {
			c.cfg.Table.Learn(to, w.addrs)
			known, some = known || w.proved, some || len(w.addrs) > 0
		}
		all = append(all, words...)
		switch {
		case first && len(words) > 0 && !some && !known:
			return errUnproved
		case first && c.cfg.Dialled != nil:
			c.cfg.Dialled(to)
		}
		if first || some {
			if !c.cfg.Tasks.Go(func(context.Context) { ended <- c.cfg.Transport.Dial(dialling, to) }) {
				return kaderr.ErrClosed
			}
			underWay++
		}
		select {
		case err := <-ended:
			if err == nil {
				c.unproved.proved(all, c.cfg.Table.Proved(to), known)
				return nil
			}
			if underWay--; underWay == 0 {
				return err
			}
		case <-more:
		}
	}
}
