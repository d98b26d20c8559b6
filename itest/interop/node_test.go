package interop_test

import (
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/discovery"
	"github.com/libp2p/go-libp2p/core/event"
	lhost "github.com/libp2p/go-libp2p/core/host"
	lnetwork "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	drouting "github.com/libp2p/go-libp2p/p2p/discovery/routing"
	"github.com/multiformats/go-multiaddr"

	kad "github.com/go-kad/kad/host"
)

// A node is what the two Go implementations have in common.
type node interface {
	lrouting.Routing
	discovery.Discovery

	Host() lhost.Host

	// contacts returns who is in the routing table.
	contacts() []peer.ID

	// admitted waits until a peer, which was the first to be met, is in the
	// routing table.
	admitted(ctx context.Context, id peer.ID) error

	// refresh looks for neighbours.
	refresh(ctx context.Context) error

	// closest looks up the peers closest to a key.
	closest(ctx context.Context, key []byte) ([]peer.ID, error)

	// announce provides, and waits until the holders have dealt with that.
	announce(ctx context.Context, c cid.Cid) error
}

// A kind is one of the implementations.
type kind string

const (
	ours   kind = "ours"
	theirs kind = "theirs"
)

// other returns the other kind.
func (k kind) other() kind {
	if k == ours {
		return theirs
	}
	return ours
}

const (
	tcp  = "/ip4/127.0.0.1/tcp/0"
	quic = "/ip4/127.0.0.1/udp/0/quic-v1"
)

// A setup says how to start a node. The zero value is a server on TCP, with a
// random identity and the validators that all nodes have.
type setup struct {
	listen     string
	client     bool
	identity   uint64                      // a number that stands for a private key; 0 is a random one
	validators map[string]record.Validator // beyond those that all have
	bootstrap  []peer.AddrInfo             // ours only
	quiet      bool                        // ours only: it hands nothing over to newcomers
}

// start starts a node, which ends with the test.
func start(t *testing.T, k kind, s setup) node {
	t.Helper()
	if s.listen == "" {
		s.listen = tcp
	}
	h := newHost(t, s.listen, s.identity)
	validators := record.NamespacedValidator{
		"v":    greatest{refuse: "bad"},
		"pk":   record.PublicKeyValidator{},
		"ipns": ipns.Validator{},
	}
	maps.Copy(validators, s.validators)
	if k == theirs {
		return newTheirs(t, h, s, validators)
	}
	return newOurs(t, h, s, validators)
}

// newHost makes a host that listens on one address, and can dial all kinds.
func newHost(t *testing.T, listen string, identity uint64) lhost.Host {
	t.Helper()
	opts := []libp2p.Option{
		libp2p.ListenAddrStrings(listen),
		libp2p.ResourceManager(&lnetwork.NullResourceManager{}), // many nodes share one address here
	}
	if identity != 0 {
		seed := make([]byte, ed25519.SeedSize)
		binary.BigEndian.PutUint64(seed, identity)
		key := ed25519.NewKeyFromSeed(seed)
		private, _, err := crypto.KeyPairFromStdKey(&key)
		if err != nil {
			t.Fatal(err)
		}
		opts = append(opts, libp2p.Identity(private))
	}
	h, err := libp2p.New(opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// ourNode is a node of this module.
type ourNode struct{ *kad.DHT }

func newOurs(t *testing.T, h lhost.Host, s setup, validators record.NamespacedValidator) *ourNode {
	t.Helper()
	cfg := kad.Config{
		Network: network, Mode: kad.ModeServer, Validators: validators, Bootstrap: s.bootstrap, PublisherOnly: s.quiet,
		SlowAfter: 10 * time.Second, // who is right is the question here, not who is quick, on a machine that may be busy
	}
	if s.client {
		cfg.Mode = kad.ModeClient
	}
	d, err := kad.New(h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	return &ourNode{d}
}

func (n *ourNode) contacts() []peer.ID {
	var ids []peer.ID
	for _, bucket := range n.Table() {
		for _, c := range bucket.Contacts {
			ids = append(ids, c.ID)
		}
	}
	return ids
}

// admitted relies on the peer being the first: Ready tells of no other.
func (n *ourNode) admitted(ctx context.Context, id peer.ID) error {
	if err := n.Ready(ctx); err != nil {
		return err
	}
	if !slices.Contains(n.contacts(), id) {
		return kad.ErrNoContacts
	}
	return nil
}

func (n *ourNode) refresh(ctx context.Context) error { return n.Bootstrap(ctx) }

// closest looks the peers up again while one of them was late: on a busy machine, others may
// be, and a lookup leaves them out.
func (n *ourNode) closest(ctx context.Context, key []byte) ([]peer.ID, error) {
	for {
		traced, trace := kad.WithTrace(ctx)
		infos, err := n.ClosestPeers(traced, key)
		if trace.Stats().Late == 0 || ctx.Err() != nil {
			return idsOf(infos), err
		}
	}
}

func (n *ourNode) announce(ctx context.Context, c cid.Cid) error { return n.Provide(ctx, c, true) }

// theirNode is a node of go-libp2p-kad-dht.
type theirNode struct {
	*dht.IpfsDHT
	discovery.Discovery

	changed chan struct{} // buffered, length 1: the routing table has a new contact
}

func newTheirs(t *testing.T, h lhost.Host, s setup, validators record.NamespacedValidator) *theirNode {
	t.Helper()
	mode := dht.ModeServer
	if s.client {
		mode = dht.ModeClient
	}
	d, err := dht.New(
		h,
		dht.Mode(mode),
		dht.ProtocolPrefix(network),
		dht.Validator(validators),
		dht.DisableAutoRefresh(),
		dht.AddressFilter(func(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr { return addrs }), // loopback too
		dht.RoutingTableFilter(func(any, peer.ID) bool { return true }),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	n := &theirNode{d, drouting.NewRoutingDiscovery(d), make(chan struct{}, 1)}
	// Nobody knows the host's address yet: there is nothing to add meanwhile.
	table := d.RoutingTable()
	added := table.PeerAdded
	table.PeerAdded = func(id peer.ID) {
		added(id)
		select {
		case n.changed <- struct{}{}:
		default:
		}
	}
	return n
}

func (n *theirNode) contacts() []peer.ID { return n.RoutingTable().ListPeers() }

func (n *theirNode) admitted(ctx context.Context, id peer.ID) error {
	for n.RoutingTable().Find(id) == "" {
		select {
		case <-n.changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

func (n *theirNode) refresh(ctx context.Context) error {
	select {
	case err := <-n.ForceRefresh():
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (n *theirNode) closest(ctx context.Context, key []byte) ([]peer.ID, error) {
	return n.GetClosestPeers(ctx, string(key))
}

func (n *theirNode) announce(ctx context.Context, c cid.Cid) error {
	if err := n.Provide(ctx, c, true); err != nil {
		return err
	}
	return n.flush(ctx, c)
}

// flush waits until the holders of c have dealt with what they were sent. An
// announcement has no answer, but goes over the stream that all requests to a
// peer share, one after the other: the answer to the next says that it has been
// read and handled.
func (n *theirNode) flush(ctx context.Context, c cid.Cid) error {
	holders, err := n.closest(ctx, c.Hash())
	if err != nil {
		return err
	}
	for _, id := range holders {
		if err := n.Ping(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

func (n *theirNode) Advertise(ctx context.Context, ns string, opts ...discovery.Option) (ttl time.Duration, err error) {
	ttl, err = n.Discovery.Advertise(ctx, ns, opts...)
	if err != nil {
		return 0, err
	}
	c, err := kad.NamespaceCID(ns)
	if err != nil {
		return 0, err
	}
	return ttl, n.flush(ctx, c)
}

// infoOf returns where a node is.
func infoOf(n node) peer.AddrInfo {
	return peer.AddrInfo{ID: n.Host().ID(), Addrs: n.Host().Addrs()}
}

// connect connects a node to another, and waits until both know what the other
// speaks and where it listens.
func connect(t *testing.T, from, to node) {
	t.Helper()
	met := meeting(t, to, from.Host().ID())
	if err := from.Host().Connect(patient(t), infoOf(to)); err != nil { // which waits for the other direction
		t.Fatal(err)
	}
	met()
}

// meeting returns a function that waits until a node knows what a peer, which
// is about to connect to it, speaks and where it listens.
func meeting(t *testing.T, n node, id peer.ID) (wait func()) {
	t.Helper()
	sub, err := n.Host().EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		defer sub.Close()
		ctx := patient(t)
		for {
			if known, _ := n.Host().Peerstore().GetProtocols(id); len(known) > 0 {
				return // they had met before, or the event is only just coming
			}
			select {
			case e := <-sub.Out():
				if e.(event.EvtPeerIdentificationCompleted).Peer == id {
					return
				}
			case <-ctx.Done():
				t.Fatalf("%v was not identified", id)
			}
		}
	}
}

// introduce connects a node to its first peer, and waits until that is in its
// table.
func introduce(t *testing.T, from, to node) {
	t.Helper()
	connect(t, from, to)
	if err := from.admitted(patient(t), to.Host().ID()); err != nil {
		t.Fatal(err)
	}
}
