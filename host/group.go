package host

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/discovery"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"

	"github.com/go-kad/kad/host/internal/rendezvous"
)

const (
	// groupTTL is how long an announcement of a group lasts if the caller does not say.
	groupTTL = time.Hour

	// groupLimit is the number of peers of a group that are connected to if the caller
	// does not say.
	groupLimit = 32
)

// A Group is the membership of the node in a namespace: see [DHT.Join]. Its methods
// are safe for concurrent use.
type Group struct {
	dht    *DHT
	ns     string
	cancel context.CancelFunc
	done   chan struct{} // closed when all has ended
	closed error         // what Close returns; written before done is closed

	rendezvous *rendezvous.Rendezvous

	mu      sync.Mutex
	receipt Receipt // of the last announcement
}

// A GroupEventKind says what happened in a [Group].
type GroupEventKind uint8

const (
	// PeerConnected means that a peer of the group is connected now. For each peer,
	// PeerConnected and PeerGone alternate.
	PeerConnected GroupEventKind = iota + 1

	// PeerGone means that the last connection to a peer of the group has ended.
	PeerGone

	// GroupWorks means that an announcement or a search has succeeded: the first one,
	// or the first one after GroupFails.
	GroupWorks

	// GroupFails means that an announcement or a search has failed, with Err. It is
	// tried again.
	GroupFails
)

// String returns the kind in words.
func (k GroupEventKind) String() string {
	switch k {
	case PeerConnected:
		return "connected"
	case PeerGone:
		return "gone"
	case GroupWorks:
		return "works"
	case GroupFails:
		return "fails"
	default:
		return fmt.Sprintf("GroupEventKind(%d)", uint8(k))
	}
}

// A GroupEvent is something that happened in a [Group].
type GroupEvent struct {
	Kind GroupEventKind
	Peer peer.ID // of PeerConnected and PeerGone
	Err  error   // of GroupFails
}

// String returns the event in words: its kind, and its peer or its error.
func (e GroupEvent) String() string {
	switch {
	case e.Err != nil:
		return e.Kind.String() + ": " + e.Err.Error()
	case e.Peer != "":
		return e.Kind.String() + " " + e.Peer.String()
	default:
		return e.Kind.String()
	}
}

// A GroupState is the state of a [Group].
type GroupState struct {
	Announced time.Time // when the last announcement was stored; zero: none was yet
	Searched  time.Time // when the last search came to its end; zero: none did yet
	Receipt   Receipt   // of the last announcement, also if it failed
	Err       error     // of the last announcement or search; nil if it succeeded
	Found     int       // members that are remembered, 1 000 at most
	Connected int       // of these, the ones that are connected
}

// Join makes the node a member of a namespace, and connects it to the other members. It
// returns at once, and goes on until ctx ends, the group is closed, or the DHT is:
//
//   - It announces the node under the namespace, as [DHT.Advertise] does, and again
//     every 10 s to 5 min; after a failure it tries again within 10 s.
//   - It searches for the other members: while none is connected, twice a second, and after
//     ten seconds up to every 5 s; later every 5 s to 30 s, and at once when a connection to
//     a member has ended.
//   - It connects to each as [DHT.Connect] does, and protects the connection from the
//     connection manager. A member that cannot be reached is tried ever less often, down to
//     every 10 min.
//
// [Group.Events] yields the members as they come and go. Options: Limit is the most members
// to connect to, 32 by default; TTL is how long an announcement lasts, 1 h by default, at
// most Config.RecordAge. A node that vanishes is found for that long.
//
// A program with another DHT implementation finds the members, and is found by them, if it
// uses the routing discovery of go-libp2p with the same namespace.
func (d *DHT) Join(ctx context.Context, ns string, opts ...discovery.Option) (*Group, error) {
	o := discovery.Options{Limit: groupLimit, Ttl: groupTTL}
	if err := o.Apply(opts...); err != nil {
		return nil, err
	}
	if o.Limit <= 0 || o.Ttl <= 0 {
		return nil, fmt.Errorf("kad: joining %q: the limit %d and the TTL %v must be positive", ns, o.Limit, o.Ttl)
	}
	if _, err := NamespaceCID(ns); err != nil {
		return nil, err
	}
	sub, err := d.Host().EventBus().Subscribe(new(event.EvtPeerConnectednessChanged), eventbus.Name("kad group"), eventbus.BufSize(64))
	if err != nil {
		return nil, fmt.Errorf("kad: subscribing to the connections of the host: %w", err)
	}
	ctx, end, err := d.tasks.Begin(ctx)
	if err != nil {
		_ = sub.Close()
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	g := &Group{dht: d, ns: ns, cancel: cancel, done: make(chan struct{})}
	g.rendezvous = rendezvous.New(rendezvous.Config{
		Announce: func(ctx context.Context) (time.Duration, error) { return g.announce(ctx, o.Ttl) },
		Search:   func(ctx context.Context) iter.Seq2[peer.AddrInfo, error] { return d.Discover(ctx, ns, 0) },
		Connect:  g.connect,
		Connected: func(id peer.ID) bool {
			return d.Host().Network().Connectedness(id) != network.NotConnected
		},
		Protect: g.protect,
		Run:     d.tasks.Go,
		Limit:   o.Limit,
	})
	if !d.tasks.Go(func(context.Context) {
		defer end()
		g.run(ctx, sub)
	}) {
		cancel()
		end()
		_ = sub.Close()
		return nil, ErrClosed
	}
	return g, nil
}

// run is the life of the group.
func (g *Group) run(ctx context.Context, sub event.Subscription) {
	defer close(g.done)
	defer g.cancel()
	g.rendezvous.Start(ctx)
	g.follow(ctx, sub)
	_ = sub.Close()
	g.rendezvous.Wait()
	if errors.Is(context.Cause(ctx), ErrClosed) {
		return
	}
	if c, err := NamespaceCID(g.ns); err == nil {
		g.closed = g.dht.StopProviding(context.WithoutCancel(ctx), c)
	}
}

// announce announces the node once, and returns how long that lasts.
func (g *Group) announce(ctx context.Context, ttl time.Duration) (time.Duration, error) {
	receipt, ttl, err := g.dht.advertise(ctx, g.ns, discovery.TTL(ttl))
	g.mu.Lock()
	defer g.mu.Unlock()
	g.receipt = receipt
	return ttl, err
}

// connect connects to a member, and waits for a direct connection as long as ctx. If
// none comes, a relayed one will do: the peer goes on to punch.
func (g *Group) connect(ctx context.Context, member peer.AddrInfo) error {
	g.dht.Host().Peerstore().AddAddrs(member.ID, member.Addrs, peerstore.TempAddrTTL)
	_, err := g.dht.Connect(ctx, member.ID)
	return err
}

// protect keeps the connection manager from closing connections to a member, or lets it.
func (g *Group) protect(id peer.ID, on bool) {
	manager, tag := g.dht.Host().ConnManager(), "kad group "+g.ns
	if on {
		manager.Protect(id, tag)
	} else {
		manager.Unprotect(id, tag)
	}
}

// follow notes which members are connected, until ctx ends.
func (g *Group) follow(ctx context.Context, sub event.Subscription) {
	for {
		select {
		case e, ok := <-sub.Out():
			if !ok {
				<-ctx.Done()
				return
			}
			if e, ok := e.(event.EvtPeerConnectednessChanged); ok {
				g.rendezvous.Update(e.Peer, e.Connectedness != network.NotConnected)
			}
		case <-ctx.Done():
			return
		}
	}
}

// Events yields what happens from now on, beginning with the members that are connected
// already, until the group is closed. A slow reader gets the newest state only: of several
// errors the last one, and nothing of a member that has come and gone in between. If there are
// several readers, each event goes to one of them.
func (g *Group) Events() iter.Seq[GroupEvent] {
	return func(yield func(GroupEvent) bool) {
		for {
			c, ok := g.rendezvous.Next(g.done)
			if !ok || !yield(groupEventOf(c)) {
				return
			}
		}
	}
}

func groupEventOf(c rendezvous.Change) GroupEvent {
	switch {
	case c.ID != "" && c.Here:
		return GroupEvent{Kind: PeerConnected, Peer: c.ID}
	case c.ID != "":
		return GroupEvent{Kind: PeerGone, Peer: c.ID}
	case c.Err != nil:
		return GroupEvent{Kind: GroupFails, Err: c.Err}
	default:
		return GroupEvent{Kind: GroupWorks}
	}
}

// State returns the state of the group.
func (g *Group) State() GroupState {
	report, found, here := g.rendezvous.State()
	g.mu.Lock()
	defer g.mu.Unlock()
	return GroupState{
		Announced: report.Announced, Searched: report.Searched, Err: report.Err,
		Receipt: g.receipt, Found: found, Connected: here,
	}
}

// Close ends the membership, and waits until its goroutines have ended. The node does
// not name itself as a member any more; other holders forget the announcement after its
// TTL. Connections stay open. Closing twice is fine.
func (g *Group) Close() error {
	g.cancel()
	<-g.done
	return g.closed
}
