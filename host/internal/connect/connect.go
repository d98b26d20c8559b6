package connect

import (
	"context"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	logging "github.com/ipfs/go-log/v2"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/find"
	"github.com/go-kad/kad/host/internal/reach"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/routing"
)

var log = logging.Logger("kad") //nolint:gochecknoglobals // the logger of the package

// A Config has the rooms that a Connector uses, and its settings.
type Config struct {
	Host     lhost.Host
	Protocol lprotocol.ID
	Table    *table.Table
	Call     *call.Caller
	Find     *find.Finder
	Reach    *reach.Reach
	Held     func() []peer.ID // the relays that have a reservation for this node
	Tasks    *tasks.Group
	Wake     func() // wakes the background loop; does not block
	K        int
	Tag      string // under which contacts are protected from the connection manager; "": they are not

	// Interfaces returns the addresses of the machine: net.InterfaceAddrs.
	Interfaces func() ([]net.Addr, error)
}

// A Connector connects to peers. It is safe for concurrent use.
type Connector struct {
	cfg       Config
	renewal   renewal                     // of the background loop
	kept      kept                        // likewise
	machine   machine                     // likewise
	relayedIn map[network.Conn]*relayedIn // likewise
	renewSoon atomic.Bool                 // connections are renewed before it is time, as after a hole could not be punched
	lan       tasks.Slots                 // of the exchanges of local addresses
}

// A relayedIn is a relayed connection that has come in. It belongs to the goroutine of the
// background loop.
type relayedIn struct {
	next  time.Time     // when its peer is punched, if no address changes before
	soon  time.Time     // when it is punched at the earliest
	pause time.Duration // the last one
	known []string      // the addresses of both at the last attempt
	runs  bool
}

// lanAtOnce bounds the exchanges of local addresses at a time; what is beyond is refused.
const lanAtOnce = 16

// New returns a Connector.
func New(cfg Config) *Connector {
	return &Connector{cfg: cfg, relayedIn: make(map[network.Conn]*relayedIn), lan: make(tasks.Slots, lanAtOnce)}
}

// Via is the kind of a connection. It has the values of host.Via.
type Via uint8

// The kinds of a connection, as in package host.
const (
	Direct Via = iota + 1
	Punched
	Relayed
)

// A Connection says how a peer was reached.
type Connection struct {
	Via   Via                 // 0 if it was not
	Addr  multiaddr.Multiaddr // of the peer, as the connection has it
	Steps []Step              // in the order in which they began
}

// A Step is one part of an attempt. It has the fields of host.Step.
type Step struct {
	Name  string
	Addrs []multiaddr.Multiaddr
	Took  time.Duration
	Err   error
}

// An Error says that a peer was not reached. Package host turns it into a
// *host.ConnectError, which has the words.
type Error struct {
	ID    peer.ID
	Steps []Step
	Cause error // of the context, if that has ended; else nil
}

func (e *Error) Error() string { return "kad: not connected to " + e.ID.String() }

// To connects to a peer: see host.DHT.Connect. After a relayed connection, it waits for a
// direct one as long as wait says. The error is an [*Error], unless id makes no sense.
func (c *Connector) To(ctx context.Context, id peer.ID, wait time.Duration) (Connection, error) {
	if err := find.CheckID(id); err != nil {
		return Connection{}, err
	}
	if id == c.cfg.Host.ID() {
		return Connection{}, errors.New("kad: the peer to connect to is this node itself")
	}
	dialling, giveUp := context.WithCancel(ctx)
	defer giveUp() // what is under way then is not needed any more
	a := &attempt{
		Connector: c, id: id, dialling: dialling,
		ended: make(chan func()), moved: make(chan struct{}, 1),
	}
	defer a.watch()()
	if conn := a.direct(); conn != nil {
		return Connection{Via: Direct, Addr: conn.RemoteMultiaddr()}, nil
	}
	a.tryKnown() //nolint:contextcheck // what it dials may be of use after reach
	if err := a.reach(ctx); err != nil {
		return Connection{Steps: a.story()}, err
	}
	if a.wasRelayed {
		a.awaitDirect(ctx, wait)
	}
	via, conn := Direct, a.direct()
	switch {
	case conn == nil:
		via, conn = Relayed, a.relayed()
	case a.wasRelayed && !a.dialled(stepDirect) && scope.OfConn(conn) == scope.Public: // to a local address, no hole is needed
		via = Punched
	}
	if conn == nil {
		return Connection{Steps: a.story()}, a.failure(ctx)
	}
	return Connection{Via: via, Addr: conn.RemoteMultiaddr(), Steps: a.story()}, nil
}

// directTo returns a connection to a peer that goes through no relay; nil if there is none.
func (c *Connector) directTo(id peer.ID) network.Conn {
	return c.connTo(id, func(conn network.Conn) bool { return !scope.Relayed(conn) })
}

// connTo returns an open connection to a peer that suits; nil if there is none.
func (c *Connector) connTo(id peer.ID, suits func(network.Conn) bool) network.Conn {
	for _, conn := range c.cfg.Host.Network().ConnsToPeer(id) {
		if !conn.IsClosed() && suits(conn) {
			return conn
		}
	}
	return nil
}

const (
	// keptPerBucket is how many contacts of a bucket are kept connected besides the k closest:
	// enough that a lookup begins with a connected peer of each part of the key space.
	keptPerBucket = 3

	// keepPause is how often the contacts to keep are chosen at most.
	keepPause = time.Second
)

// kept are the contacts that the connection manager is kept from disconnecting. What mu does not
// guard belongs to the goroutine of the background loop.
type kept struct {
	mu       sync.Mutex
	ids      map[peer.ID]bool // guarded by mu
	released bool             // guarded by mu

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
	c.protect(chosen)
	return time.Time{}
}

// protect has the connection manager keep the chosen contacts, and no others; with nil none, for
// good.
func (c *Connector) protect(chosen map[peer.ID]bool) {
	k, manager := &c.kept, c.cfg.Host.ConnManager()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.released {
		return
	}
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
	k.ids, k.released = chosen, chosen == nil
}

// Release gives all contacts back to the connection manager, for good. On a busy machine the
// background loop may still run.
func (c *Connector) Release() { c.protect(nil) }

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
