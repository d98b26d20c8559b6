// Package dht has the names of go-libp2p-kad-dht for a DHT of this module: a program that
// uses that library the common ways works with this one when its import is
//
//	dht "github.com/go-kad/kad/host/compat"
//
// An option that has no counterpart is either without effect, where it tunes what is done
// otherwise here, or has [New] fail and say so. MIGRATING.md says what differs, option by
// option. New programs use package host, which [IpfsDHT] embeds.
//
// # Decisions
//
// What is not done is an error.
// A filter that is accepted and not applied would let in what a program means to keep out.
// An option is without effect only where the program does the same without it.
package dht

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/ipfs/go-cid"
	ds "github.com/ipfs/go-datastore"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/multiformats/go-multiaddr"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/amino"
	"github.com/go-kad/kad/routing"
)

// An IpfsDHT is a DHT of this module, with the methods of go-libp2p-kad-dht besides.
type IpfsDHT struct {
	*kad.DHT

	host    lhost.Host
	config  *config
	closing context.Context // it ends with Close
	close   context.CancelFunc
}

// New attaches a DHT to a host. Without options, it is one of the public IPFS network,
// without bootstrap peers.
func New(h lhost.Host, opts ...Option) (*IpfsDHT, error) {
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	c.Accept = c.accept(h)
	d, err := kad.New(c.filtered(h), c.Config)
	if err != nil {
		if c.wrapped != nil {
			_ = c.wrapped.Close()
		}
		return nil, err
	}
	closing, end := context.WithCancel(context.Background())
	return &IpfsDHT{d, h, c, closing, end}, nil
}

// NewDHT returns a DHT that serves, with a datastore.
func NewDHT(h lhost.Host, dstore ds.Batching) *IpfsDHT { return must(h, ModeServer, dstore) }

// NewDHTClient returns a DHT that does not serve, with a datastore.
func NewDHTClient(h lhost.Host, dstore ds.Batching) *IpfsDHT { return must(h, ModeClient, dstore) }

// must panics if there is an error, as NewDHT of go-libp2p-kad-dht does.
func must(h lhost.Host, m ModeOpt, dstore ds.Batching) *IpfsDHT {
	d, err := New(h, Mode(m), Datastore(dstore))
	if err != nil {
		panic(err)
	}
	return d
}

// GetDefaultBootstrapPeerAddrInfos returns the bootstrap peers of the public IPFS network.
func GetDefaultBootstrapPeerAddrInfos() []peer.AddrInfo { return amino.Config().Bootstrap }

// DefaultBootstrapPeers are the addresses of the bootstrap peers of the public IPFS network.
var DefaultBootstrapPeers = defaultBootstrapPeers() //nolint:gochecknoglobals // the name that programs range over

func defaultBootstrapPeers() (addrs []multiaddr.Multiaddr) {
	for _, p := range GetDefaultBootstrapPeerAddrInfos() {
		of, err := peer.AddrInfoToP2pAddrs(&p)
		if err != nil {
			panic(err) // the list is a constant
		}
		addrs = append(addrs, of...)
	}
	return addrs
}

// Quorum is the option of gets and puts: see [kad.Quorum].
func Quorum(n int) lrouting.Option { return kad.Quorum(n) }

// Close ends the DHT, and leaves the host open.
func (d *IpfsDHT) Close() error {
	d.close()
	err := d.DHT.Close()
	if d.config.wrapped != nil {
		err = errors.Join(err, d.config.wrapped.Close())
	}
	return err
}

// Bootstrap returns nil at once, as that of go-libp2p-kad-dht does: the DHT joins its network
// by itself. DHT.Bootstrap waits until it has, or says why it cannot. After Close, it returns
// [kad.ErrClosed].
func (d *IpfsDHT) Bootstrap(context.Context) error {
	if d.closing.Err() != nil {
		return kad.ErrClosed
	}
	return nil
}

// Mode returns the mode that was asked for, as go-libp2p-kad-dht does: DHT.Mode says whether
// the node serves now.
func (d *IpfsDHT) Mode() ModeOpt {
	switch d.config.Mode {
	case kad.ModeClient:
		return ModeClient
	case kad.ModeServer:
		return ModeServer
	default:
		return ModeAuto
	}
}

// BucketSize returns k.
func (d *IpfsDHT) BucketSize() int {
	if d.config.K == 0 {
		return 20
	}
	return d.config.K
}

// Host returns the host that the DHT was attached to.
func (d *IpfsDHT) Host() lhost.Host { return d.host }

// PeerID returns the ID of the node.
func (d *IpfsDHT) PeerID() peer.ID { return d.ID() }

// PeerKey returns the key of the node.
func (d *IpfsDHT) PeerKey() []byte {
	key := routing.KeyOf([]byte(d.ID()))
	return key[:]
}

// GetClosestPeers returns the IDs of the k peers closest to a key, closest first.
func (d *IpfsDHT) GetClosestPeers(ctx context.Context, key string) ([]peer.ID, error) {
	found, err := d.ClosestPeers(ctx, []byte(key))
	ids := make([]peer.ID, len(found))
	for i, p := range found {
		ids[i] = p.ID
	}
	return ids, err
}

// FindProviders returns all providers of a content.
func (d *IpfsDHT) FindProviders(ctx context.Context, c cid.Cid) ([]peer.AddrInfo, error) {
	if err := d.supports("FindProviders", d.config.noProviders); err != nil {
		return nil, err
	}
	var found []peer.AddrInfo
	for p, err := range d.Providers(ctx, c, 0) {
		if err != nil {
			return found, err
		}
		found = append(found, p)
	}
	return found, nil
}

// FindLocal returns what the host knows of a peer that it is connected to; an empty
// AddrInfo if it is not.
func (d *IpfsDHT) FindLocal(_ context.Context, id peer.ID) peer.AddrInfo {
	switch d.Host().Network().Connectedness(id) {
	case network.Connected, network.Limited:
		return d.Host().Peerstore().PeerInfo(id)
	default:
		return peer.AddrInfo{}
	}
}

// Ping connects to a peer, and waits for an answer of libp2p's ping, for 10s at most.
func (d *IpfsDHT) Ping(ctx context.Context, id peer.ID) error {
	if _, err := d.Connect(ctx, id, kad.WaitDirect(0)); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(network.WithAllowLimitedConn(ctx, "ping"), pingTimeout, errNoPong)
	defer cancel()
	defer context.AfterFunc(d.closing, cancel)() //nolint:contextcheck // it ends with Close, too
	got, ok := <-ping.Ping(ctx, d.Host(), id)
	switch {
	case d.closing.Err() != nil:
		return kad.ErrClosed
	case !ok || ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return got.Error
}

// pingTimeout bounds the wait for the answer to a ping, as that for the answer to a request.
const pingTimeout = 10 * time.Second

// errNoPong is why a ping has failed whose time was over.
var errNoPong = fmt.Errorf("kad: no answer to a ping: %w", context.DeadlineExceeded)

// RefreshRoutingTable looks up the node itself. The channel yields how that went, and is
// closed.
func (d *IpfsDHT) RefreshRoutingTable() <-chan error {
	done := make(chan error, 1)
	go func() { // ends with the lookup, which ends with the DHT
		defer close(done)
		ctx, cancel := context.WithTimeout(context.Background(), refreshTimeout)
		defer cancel()
		_, err := d.ClosestPeers(ctx, []byte(d.ID()))
		done <- err
	}()
	return done
}

// refreshTimeout bounds the lookup of a refresh.
const refreshTimeout = time.Minute

// ForceRefresh is [IpfsDHT.RefreshRoutingTable].
func (d *IpfsDHT) ForceRefresh() <-chan error { return d.RefreshRoutingTable() }

// sizeLookups is how many keys NetworkSize looks up: with k of 20, the error is 8 %.
const sizeLookups = 8

// NetworkSize estimates how many nodes serve. It looks up 8 random keys, which
// go-libp2p-kad-dht does not.
func (d *IpfsDHT) NetworkSize() (int32, error) {
	ctx, cancel := context.WithTimeout(context.Background(), refreshTimeout)
	defer cancel()
	var size routing.Size
	for range sizeLookups {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // does not fail
		found, err := d.ClosestPeers(ctx, key)
		if err != nil {
			return 0, fmt.Errorf("the size of the network is not known: %w", err)
		}
		if len(found) < d.BucketSize() {
			return int32(len(found)) + d.serves(), nil //nolint:gosec // k at most
		}
		contacts := make([]routing.Contact, len(found))
		for i, p := range found {
			contacts[i] = routing.ContactOf(p.ID)
		}
		size.Observe(routing.KeyOf(key), contacts)
	}
	return int32(min(math.MaxInt32, size.Estimate().Nodes)), nil
}

// serves returns 1 if the node serves.
func (d *IpfsDHT) serves() int32 {
	if d.Stats().Server {
		return 1
	}
	return 0
}

// RoutingTable returns the routing table as it is now, to be read.
func (d *IpfsDHT) RoutingTable() *RoutingTable { return &RoutingTable{d.Table()} }

// A RoutingTable is a copy of the routing table, with the reading methods of
// go-libp2p-kbucket.
type RoutingTable struct{ buckets []kad.Bucket }

// A PeerInfo is a contact of a RoutingTable.
type PeerInfo struct {
	Id           peer.ID //nolint:revive // the name that go-libp2p-kbucket has
	LastUsefulAt time.Time
}

// GetPeerInfos returns all contacts.
func (t *RoutingTable) GetPeerInfos() []PeerInfo {
	var list []PeerInfo
	for _, b := range t.buckets {
		for _, c := range b.Contacts {
			list = append(list, PeerInfo{c.ID, c.LastSeen})
		}
	}
	return list
}

// ListPeers returns the IDs of all contacts.
func (t *RoutingTable) ListPeers() []peer.ID {
	var ids []peer.ID
	for _, p := range t.GetPeerInfos() {
		ids = append(ids, p.Id)
	}
	return ids
}

// Size returns how many contacts there are.
func (t *RoutingTable) Size() int { return len(t.GetPeerInfos()) }

// Find returns a peer if it is a contact, else the empty ID.
func (t *RoutingTable) Find(id peer.ID) peer.ID {
	for _, p := range t.GetPeerInfos() {
		if p.Id == id {
			return id
		}
	}
	return ""
}
