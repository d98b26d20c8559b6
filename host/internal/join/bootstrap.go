package join

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// resolveTimeout bounds the time in which bootstrap peers are named anew.
const resolveTimeout = 10 * time.Second

// entry returns the bootstrap peers: the ones that are configured, and the ones that
// Config.Resolve has named last.
func (j *Joiner) entry() []peer.AddrInfo {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.bootstrap)
}

// resolve has the bootstrap peers named anew. If that fails, the ones of before remain.
func (j *Joiner) resolve(ctx context.Context) {
	if j.cfg.Resolve == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	peers, err := j.cfg.Resolve(ctx)
	if err != nil {
		err = fmt.Errorf("kad: Config.FindBootstrap: %w", err)
		log.Debugw("bootstrap peers", "error", err)
	}
	j.mu.Lock()
	if err == nil {
		j.bootstrap = peers
	}
	j.mu.Unlock()
	j.cfg.Table.NoteBootstrap(peers, err)
}

// absent returns the bootstrap peers that are not in the table.
func (j *Joiner) absent() []peer.AddrInfo {
	return slices.DeleteFunc(j.entry(), func(info peer.AddrInfo) bool {
		return j.cfg.Table.Has(info.ID)
	})
}
