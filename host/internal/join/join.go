package join

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	logging "github.com/ipfs/go-log/v2"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/observe"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/routing"
)

var log = logging.Logger("kad") //nolint:gochecknoglobals // the logger of the package

// A Config has the rooms that a Joiner uses, and its settings.
type Config struct {
	Host      lhost.Host
	Protocol  lprotocol.ID
	Table     *table.Table
	Call      *call.Caller
	Lookup    *lookup.Engine
	Tasks     *tasks.Group
	Bootstrap []peer.AddrInfo // without this node
	// Resolve returns the bootstrap peers as they are now, those of Bootstrap included; nil:
	// they do not change.
	Resolve         func(context.Context) ([]peer.AddrInfo, error)
	RefreshInterval time.Duration // negative: buckets are not refreshed
	Wake            func()        // wakes the background loop; does not block
	Observer        *observe.Observer
}

// A Joiner enters the network, and stays in it. It is safe for concurrent use.
type Joiner struct {
	cfg   Config
	self  peer.ID
	joins atomic.Uint64
	state state // of the background loop

	mu        sync.Mutex
	now       *run // the join under way; nil if there is none
	queue     queue
	bootstrap []peer.AddrInfo // see entry
}

// A run is a join that is under way.
type run struct {
	done chan struct{} // closed at the end
	err  error         // valid after that
}

// bootstrapAtOnce is how many bootstrap peers are dialled at a time.
const bootstrapAtOnce = 64

// New returns a Joiner that has not joined.
func New(cfg Config) *Joiner {
	return &Joiner{cfg: cfg, self: cfg.Host.ID(), bootstrap: cfg.Bootstrap}
}

// Joins returns how many joins were begun.
func (j *Joiner) Joins() uint64 { return j.joins.Load() }

// Running reports whether a join is under way.
func (j *Joiner) Running() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.now != nil
}

// Join joins the network, or waits for the join that is under way.
func (j *Joiner) Join(ctx context.Context) error {
	r := j.share()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// share returns the join that is under way. If there is none, it starts one.
func (j *Joiner) share() *run {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.now != nil {
		return j.now
	}
	r := &run{done: make(chan struct{})}
	started := j.cfg.Tasks.Go(func(ctx context.Context) {
		err := j.once(ctx)
		j.mu.Lock()
		defer j.mu.Unlock()
		j.now = nil
		r.err = err
		close(r.done)
	})
	if !started {
		r.err = kaderr.ErrClosed
		close(r.done)
		return r
	}
	j.now = r
	return r
}

// AwaitJoin returns nil as soon as lookups work, and a [*table.NotReadyError] if the join
// that is under way, or about to begin for the first time, has not led to that. Between
// two attempts it returns at once.
func (j *Joiner) AwaitJoin(ctx context.Context) error {
	if j.Joins() == 0 || j.Running() {
		r := j.share()
		select {
		case <-r.done:
		case <-j.cfg.Table.WhenLive():
		case <-ctx.Done():
		case <-j.cfg.Tasks.Context().Done():
		}
	}
	if j.cfg.Tasks.Closed() {
		return kaderr.ErrClosed
	}
	if !j.cfg.Table.Live() {
		return j.cfg.Table.NotReady(context.Cause(ctx))
	}
	return nil
}

// once joins the network: contacts first, then our own ID, then the other buckets.
//
// Spec: libp2p kad-dht, "Bootstrap process".
func (j *Joiner) once(ctx context.Context) error {
	j.joins.Add(1)
	j.cfg.Table.ForgetFiltered()
	select {
	case <-j.dialAll():
	case <-j.cfg.Table.WhenLive(): // one is enough to go on; the others are dialled meanwhile
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if !j.cfg.Table.Live() {
		return j.cfg.Table.NotReady(nil)
	}
	if err := j.cfg.Lookup.Refresh(ctx, []byte(j.self), lookup.Plan{}); err != nil {
		return err
	}
	for _, cpl := range j.cfg.Table.LoneCPLs() {
		if err := j.refresh(ctx, cpl, lookup.Plan{}); err != nil {
			return err // all contacts have left meanwhile, or ctx has ended
		}
	}
	return j.fill(ctx)
}

const (
	// maxRevived bounds the departed contacts that one attempt to join dials, and
	// reviveLimit how many of them at a time.
	maxRevived  = routing.MaxDeparted
	reviveLimit = 64

	// maxConnected bounds the connected peers that are introduced at a time.
	maxConnected = 1024

	// fallbackAfter is how long connected peers and departed contacts have before the
	// bootstrap peers are dialled.
	fallbackAfter = time.Second
)

// dialAll introduces the connected peers that serve, and departed contacts, all at the
// same time; and if none of them answers, the bootstrap peers. It returns a channel that
// is closed when all that are waited for have answered or failed. That goes on when the
// caller has gone on.
func (j *Joiner) dialAll() <-chan struct{} {
	done, revived := make(chan struct{}), make(chan struct{})
	if !j.cfg.Tasks.Go(func(ctx context.Context) { defer close(revived); j.revive(ctx) }) {
		close(done)
		return done
	}
	near := make(chan struct{})
	if !j.cfg.Tasks.Go(func(ctx context.Context) { defer close(near); j.introduceConnected(ctx) }) {
		close(done)
		return done
	}
	started := j.cfg.Tasks.Go(func(ctx context.Context) {
		defer close(done)
		if j.fallBack(ctx, revived); !j.cfg.Table.Live() {
			j.resolve(ctx)
		}
		absent := func(yield func(peer.AddrInfo) bool) {
			for _, info := range j.absent() {
				if j.cfg.Table.Live() || !yield(info) {
					return
				}
			}
		}
		_ = tasks.Each(ctx, bootstrapAtOnce, absent, func(ctx context.Context, info peer.AddrInfo) error {
			_ = j.dialBootstrap(ctx, info)
			return nil
		})
		<-near
		if len(j.entry()) == 0 {
			<-revived
		}
	})
	if !started {
		close(done)
	}
	return done
}

// introduceConnected introduces the connected peers that serve.
func (j *Joiner) introduceConnected(ctx context.Context) {
	ids := slices.DeleteFunc(j.cfg.Host.Network().Peers(), func(id peer.ID) bool { return !j.cfg.Table.Wants(id) })
	_ = tasks.Each(ctx, maxConnected, slices.Values(ids), func(ctx context.Context, id peer.ID) error {
		_ = j.introduce(ctx, id)
		return nil
	})
}

// fallBack waits until it is time for the bootstrap peers: at once if there are no
// departed contacts, or all have failed.
func (j *Joiner) fallBack(ctx context.Context, revived <-chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, fallbackAfter)
	defer cancel()
	select {
	case <-revived:
	case <-j.cfg.Table.WhenLive():
	case <-ctx.Done():
	}
}

// revive dials departed contacts: all of them in the first join, and a few in each later
// one.
func (j *Joiner) revive(ctx context.Context) {
	n := maxRevived
	if j.Joins() > 1 {
		n = maxRevived / 16
	}
	_ = tasks.Each(ctx, reviveLimit, slices.Values(j.cfg.Table.Departed(n)), func(ctx context.Context, c routing.Contact) error {
		_ = j.dialContact(ctx, c)
		return nil
	})
}

// dialContact connects to a departed contact, and introduces it.
func (j *Joiner) dialContact(ctx context.Context, c routing.Contact) error {
	p, err := announce.Wire(c.Wire).Peer()
	if err != nil {
		return err
	}
	return j.dial(ctx, peer.AddrInfo{ID: c.ID, Addrs: p.Addrs})
}

// dialBootstrap connects to a bootstrap peer, introduces it, and notes what became of
// that.
func (j *Joiner) dialBootstrap(ctx context.Context, info peer.AddrInfo) error {
	err := j.dial(ctx, info)
	if ctx.Err() == nil {
		j.cfg.Table.NoteDial(info.ID, err)
	}
	return err
}

// dial connects to a peer, and introduces it.
func (j *Joiner) dial(ctx context.Context, info peer.AddrInfo) error {
	ctx, cancel := j.cfg.Call.LimitCheck(ctx)
	defer cancel()
	j.cfg.Host.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.TempAddrTTL)
	j.cfg.Call.Redial(info.ID) // the swarm remembers a failed dial for longer than a join waits
	if err := j.cfg.Call.Connect(ctx, info.ID); err != nil {
		return call.DialError(err)
	}
	j.cfg.Call.Identified(ctx, info.ID)
	if known, _ := j.cfg.Host.Peerstore().GetProtocols(info.ID); len(known) > 0 && !j.cfg.Table.Speaks(info.ID) {
		return fmt.Errorf("kad: connected, but it does not speak %s; it %s", j.cfg.Protocol, kaderr.Speaks(known))
	}
	return j.cfg.Call.Introduce(ctx, info.ID)
}

// maxReunited bounds the departed contacts that are dialled at a time while the table is
// small.
const maxReunited = 4

// reunite dials one of the bootstrap peers that are not in the table, and some departed
// contacts. If one of them answers and enters the table, this node may have been apart
// from its part of the network, and looks itself up: a bootstrap peer that has restarted
// knows no peer, and nodes that were cut off together know only each other.
func (j *Joiner) reunite(ctx context.Context) error {
	j.resolve(ctx)
	dials := make(map[peer.ID]func(context.Context) error)
	if absent := j.absent(); len(absent) > 0 {
		info := absent[rand.IntN(len(absent))]
		dials[info.ID] = func(ctx context.Context) error { return j.dialBootstrap(ctx, info) }
	}
	n := 1
	if j.cfg.Table.Small() {
		n = maxReunited
	}
	for _, c := range j.cfg.Table.Departed(n) {
		if dials[c.ID] == nil {
			dials[c.ID] = func(ctx context.Context) error { return j.dialContact(ctx, c) }
		}
	}
	return tasks.Each(ctx, maxReunited+1, maps.Keys(dials), func(ctx context.Context, id peer.ID) error {
		if err := dials[id](ctx); err != nil {
			return err
		}
		if !j.cfg.Table.Has(id) {
			return nil // it answers, and there is no room for it: the node is not apart
		}
		return j.cfg.Lookup.Refresh(ctx, []byte(j.self), lookup.Plan{})
	})
}

// introduceTimeout bounds the introduction of a peer that is connected already.
const introduceTimeout = 2 * time.Second

// introduce asks a connected peer whether it serves.
func (j *Joiner) introduce(ctx context.Context, id peer.ID) error {
	ctx, cancel := context.WithTimeout(ctx, introduceTimeout)
	defer cancel()
	return j.cfg.Call.Introduce(ctx, id)
}

// refresh looks up a random key of a CPL.
func (j *Joiner) refresh(ctx context.Context, cpl int, p lookup.Plan) error {
	return j.cfg.Lookup.Refresh(ctx, routing.Preimage(j.cfg.Table.Self(), cpl, tasks.NewRNG()), p)
}
