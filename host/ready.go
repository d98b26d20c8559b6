package host

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
)

// readyTimeout bounds the wait for contacts where a context does not.
const readyTimeout = 10 * time.Second

// Ready waits until lookups will work: until there is a peer in the routing
// table that has answered, and we are not offline. It waits as long as ctx, at most 10s if ctx has no
// deadline. Then it returns a [*NotReadyError], which says why they will not,
// as far as that is known: no bootstrap peers, or why they could not be dialled,
// or what else they speak, or by what they were filtered; or that we are offline,
// since nobody answers any more. Meanwhile the DHT
// goes on trying.
//
// All operations call Ready first, so there is no need to.
func (d *DHT) Ready(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, readyTimeout)
		defer cancel()
	}
	if d.tasks.closed() {
		return ErrClosed
	}
	select {
	case <-d.peers.becomesLive(): // also if ctx has ended: that is another error
		return nil
	default:
	}
	select {
	case <-d.peers.becomesLive():
		return nil
	case <-ctx.Done():
		return d.notReady(context.Cause(ctx))
	case <-d.tasks.ctx.Done():
		return ErrClosed
	}
}

// readyWithin is [DHT.Ready] for an operation: it waits as long as ctx, but not
// longer than readyTimeout.
func (d *DHT) readyWithin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	return d.Ready(ctx)
}

// notReady says why nobody can be asked.
func (d *DHT) notReady(cause error) error {
	e := d.diagnosis.report()
	e.Protocol = d.protocol
	e.Bootstrap = len(d.cfg.Bootstrap)
	e.Cause = cause
	e.Offline = d.peers.stats().Offline
	e.Others = make(map[peer.ID][]lprotocol.ID)
	for _, id := range d.host.Network().Peers() {
		if d.host.Network().Connectedness(id) != network.Connected || d.speaks(id) || e.Dials[id] != nil {
			continue
		}
		if len(e.Others) == maxDiagnosed {
			break
		}
		known, _ := d.host.Peerstore().GetProtocols(id)
		e.Others[id] = known
	}
	return e
}

// maxDiagnosed bounds what is kept to explain an empty table.
const maxDiagnosed = 64

// A diagnosis collects why peers did not get into the table.
type diagnosis struct {
	mu    sync.Mutex
	dials map[peer.ID]error  // bootstrap peers that failed, and why
	kept  map[peer.ID]string // filtered peers, and by what
}

// dialled notes what became of a bootstrap peer: nil if it answered.
func (g *diagnosis) dialled(id peer.ID, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil {
		delete(g.dials, id)
		return
	}
	if g.dials == nil {
		g.dials = make(map[peer.ID]error)
	}
	g.dials[id] = err
}

// filtered notes that a peer was not admitted, and why.
func (g *diagnosis) filtered(id peer.ID, by string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.kept == nil {
		g.kept = make(map[peer.ID]string)
	}
	if len(g.kept) < maxDiagnosed {
		g.kept[id] = by
	}
}

// forget drops what is known of filtered peers: they are about to be met again.
func (g *diagnosis) forget() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.kept)
}

// report returns a copy of what is known.
func (g *diagnosis) report() *NotReadyError {
	g.mu.Lock()
	defer g.mu.Unlock()
	return &NotReadyError{Dials: maps.Clone(g.dials), Filtered: maps.Clone(g.kept)}
}
