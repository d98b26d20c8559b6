package connect

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/routing"
)

const (
	// keptPerBucket is how many contacts of a bucket are kept connected besides the k closest:
	// enough that a lookup begins with a connected peer of each part of the key space.
	keptPerBucket = 3

	// keepPause is how often the contacts to keep are chosen at most.
	keepPause = time.Second
)

// kept are the contacts that the connection manager is kept from disconnecting. It belongs to
// the goroutine of the background loop.
type kept struct {
	ids   map[peer.ID]bool
	next  time.Time
	table uint64 // the state of the table that they were chosen from
}

// Keep returns the job that protects contacts from the connection manager. Config.Tag is not
// empty then.
func (c *Connector) Keep() tasks.Job { return tasks.Job{Name: "keep connected", Due: c.keepDue} }

func (c *Connector) keepDue(now time.Time, _ *tasks.Start) time.Time {
	k := &c.kept
	state := c.cfg.Table.Changed()
	if state == k.table {
		return time.Time{}
	}
	if now.Before(k.next) {
		return k.next
	}
	k.table, k.next = state, now.Add(keepPause)
	chosen := make(map[peer.ID]bool)
	for _, contact := range c.cfg.Table.Neighbours(c.cfg.K) {
		chosen[contact.ID] = true
	}
	for _, b := range c.cfg.Table.Buckets() {
		alive := slices.DeleteFunc(b.Contacts, func(h routing.Held) bool { return h.Suspect })
		for _, contact := range alive[:min(len(alive), keptPerBucket)] {
			chosen[contact.ID] = true
		}
	}
	manager := c.cfg.Host.ConnManager()
	for id := range k.ids {
		if !chosen[id] {
			manager.Unprotect(id, c.cfg.Tag)
		}
	}
	for id := range chosen {
		if !k.ids[id] {
			manager.Protect(id, c.cfg.Tag)
		}
	}
	k.ids = chosen
	return time.Time{}
}

// Release gives all contacts back to the connection manager. Call it when the background loop
// has ended.
func (c *Connector) Release() {
	for id := range c.kept.ids {
		c.cfg.Host.ConnManager().Unprotect(id, c.cfg.Tag)
	}
	c.kept.ids = nil
}

// protected reports whether a service of the host protects a peer, besides this room.
func (c *Connector) protected(id peer.ID) bool {
	manager := c.cfg.Host.ConnManager()
	if c.cfg.Tag == "" || !manager.IsProtected(id, c.cfg.Tag) {
		return manager.IsProtected(id, "")
	}
	others := manager.Unprotect(id, c.cfg.Tag)
	manager.Protect(id, c.cfg.Tag)
	return others
}
