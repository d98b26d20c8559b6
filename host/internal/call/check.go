package call

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

const (
	// checkTimeout bounds a check. The contact may have to be dialled.
	checkTimeout = 10 * time.Second

	// offlineCheckTimeout bounds a check while the node is offline, so that the next
	// contact is checked soon.
	offlineCheckTimeout = 1500 * time.Millisecond
)

// LimitCheck returns a context for a check, which ends after 10 s, or 1.5 s while the node is
// offline, and later on a machine that is late: see [tasks.Pulse].
func (c *Caller) LimitCheck(ctx context.Context) (context.Context, context.CancelFunc) {
	after := checkTimeout
	if now, _ := c.cfg.Table.Offline(); now {
		after = offlineCheckTimeout
	}
	return c.cfg.Pulse.Limit(ctx, after)
}

// Check asks a contact that Table.Due named whether it is there, for as long as LimitCheck
// says, and records the outcome with Table.Checked.
func (c *Caller) Check(ctx context.Context, to routing.Contact) error {
	limited, cancel := c.LimitCheck(ctx)
	defer cancel()
	took, err := c.probe(limited, to)
	if OutcomeOf(err) == table.Late && ctx.Err() == nil {
		err = &outcomeError{table.Silent, err} // the limit of the check has ended it
	}
	c.cfg.Table.Checked(to, OutcomeOf(err), took)
	return err
}

// Introduce asks a peer whether it serves, and records the outcome in the table, which
// takes the peer in if it answers.
func (c *Caller) Introduce(ctx context.Context, id peer.ID) error {
	to := routing.ContactOf(id)
	took, err := c.probe(ctx, to)
	c.cfg.Table.Heard(to, OutcomeOf(err), took)
	return err
}

// probe asks a contact for our own ID, with a dial of its own: the swarm remembers failed
// dials for minutes, and a peer that is back after an outage must not wait for that.
func (c *Caller) probe(ctx context.Context, to routing.Contact) (took time.Duration, err error) {
	c.probes.Add(1)
	c.Redial(to.ID)
	_, took, err = c.ask(ctx, nil, to, &errand{first: protocol.FindNode{Target: []byte(c.cfg.Host.ID())}}, nil)
	return took, err
}
