package dht

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	ds "github.com/ipfs/go-datastore"
	record "github.com/libp2p/go-libp2p-record"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/amino"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/pb"
)

// DefaultPrefix is the prefix of the public IPFS network, and the default.
const DefaultPrefix protocol.ID = "/ipfs"

// protocolAfter follows the prefix in the name of a protocol.
const protocolAfter = "/kad/1.0.0"

// ProtocolDHT is the protocol of the public IPFS network.
const ProtocolDHT = DefaultPrefix + protocolAfter

// A ModeOpt is a mode of go-libp2p-kad-dht.
type ModeOpt int

const (
	// ModeAuto serves while other peers can reach the node, as [kad.ModeAuto] does.
	ModeAuto ModeOpt = iota

	// ModeClient never serves.
	ModeClient

	// ModeServer always serves.
	ModeServer

	// ModeAutoServer is [ModeAuto]: on a private network, both serve.
	ModeAutoServer
)

// An Option configures [New].
type Option func(*config) error

// A config is what options come to.
type config struct {
	kad.Config

	prefix     protocol.ID
	datastore  ds.Batching
	validators record.NamespacedValidator
	wrapped    *store.Datastore // of datastore

	noProviders, noValues bool

	hook func(context.Context, network.Stream, *pb.Message) // nil: none

	mayAsk   QueryFilterFunc                                   // nil: any peer
	mayEnter RouteTableFilterFunc                              // nil: any peer
	mayDial  func([]multiaddr.Multiaddr) []multiaddr.Multiaddr // nil: any address
}

// newConfig applies options.
func newConfig(opts []Option) (*config, error) {
	c := &config{prefix: DefaultPrefix, validators: maps.Clone(record.NamespacedValidator(amino.Config().Validators))}
	for _, o := range opts {
		if err := o(c); err != nil {
			return nil, err
		}
	}
	c.Network = string(c.prefix)
	c.PublisherOnly = c.prefix == DefaultPrefix
	c.Validators = c.validators
	c.OnRequest = c.onRequest()
	if c.datastore != nil {
		var err error
		if c.wrapped, err = store.Wrap(context.Background(), c.datastore, store.Limits{}); err != nil {
			return nil, err
		}
		c.Store = c.wrapped
	}
	return c, nil
}

// set returns an option that cannot fail.
func set(f func(*config)) Option {
	return func(c *config) error {
		f(c)
		return nil
	}
}

// ProtocolPrefix sets the name of the network: "/chat" for the protocol /chat/kad/1.0.0.
func ProtocolPrefix(prefix protocol.ID) Option { return set(func(c *config) { c.prefix = prefix }) }

// ProtocolExtension adds to the name of the network: "/lan" makes /ipfs/lan of /ipfs.
func ProtocolExtension(ext protocol.ID) Option { return set(func(c *config) { c.prefix += ext }) }

// V1ProtocolOverride sets the protocol. It must end in /kad/1.0.0, as those of all networks do.
func V1ProtocolOverride(id protocol.ID) Option {
	return func(c *config) error {
		name, ok := strings.CutSuffix(string(id), protocolAfter)
		if !ok {
			return fmt.Errorf("kad: V1ProtocolOverride is %q: only protocols that end in /kad/1.0.0 are supported", id)
		}
		c.prefix = protocol.ID(name)
		return nil
	}
}

// Mode sets the mode.
func Mode(m ModeOpt) Option {
	return func(c *config) error {
		switch m {
		case ModeAuto, ModeAutoServer:
			c.Mode = kad.ModeAuto
		case ModeClient:
			c.Mode = kad.ModeClient
		case ModeServer:
			c.Mode = kad.ModeServer
		default:
			return fmt.Errorf("kad: there is no mode %d", m)
		}
		return nil
	}
}

// BootstrapPeers sets the peers to join the network through.
func BootstrapPeers(peers ...peer.AddrInfo) Option {
	return set(func(c *config) { c.Bootstrap = peers })
}

// BootstrapPeersFunc calls f before each attempt to join the network.
func BootstrapPeersFunc(f func() []peer.AddrInfo) Option {
	return set(func(c *config) {
		c.FindBootstrap = func(context.Context) ([]peer.AddrInfo, error) { return f(), nil }
	})
}

// Validator replaces all validators. It must be a [record.NamespacedValidator].
func Validator(v record.Validator) Option {
	return func(c *config) error {
		validators, ok := v.(record.NamespacedValidator)
		if !ok {
			return errors.New("kad: Validator takes a record.NamespacedValidator: a value is checked by the validator of its namespace")
		}
		c.validators = maps.Clone(validators)
		return nil
	}
}

// NamespacedValidator adds the validator of one namespace.
func NamespacedValidator(ns string, v record.Validator) Option {
	return set(func(c *config) { c.validators[ns] = v })
}

// Datastore keeps records and announcements in a datastore. Its layout is that of
// [store.Wrap], and not that of go-libp2p-kad-dht, whose entries are left alone. Close
// does not close it.
func Datastore(d ds.Batching) Option { return set(func(c *config) { c.datastore = d }) }

// BucketSize sets k.
func BucketSize(k int) Option { return set(func(c *config) { c.K = k }) }

// Concurrency sets alpha, the requests in flight of a lookup.
func Concurrency(alpha int) Option { return set(func(c *config) { c.Alpha = alpha }) }

// A DiversityFilter bounds how many contacts of one network of addresses the routing table has.
type DiversityFilter struct{ perBucket int }

// NewRTPeerDiversityFilter returns a filter that lets up to maxPerCpl contacts of one network
// (IPv4 /24, IPv6 /48) into a bucket of the routing table; without the filter, 2. The other
// arguments, the host and the bound for the whole table, have no effect: the table has a bound
// of its own.
func NewRTPeerDiversityFilter(_ lhost.Host, maxPerCpl, _ int) DiversityFilter {
	return DiversityFilter{maxPerCpl}
}

// RoutingTablePeerDiversityFilter sets the filter.
func RoutingTablePeerDiversityFilter(f DiversityFilter) Option {
	return func(c *config) error {
		if f.perBucket < 1 {
			return fmt.Errorf("kad: RoutingTablePeerDiversityFilter lets %d contacts of a network into a bucket: use 1 or more", f.perBucket)
		}
		c.MaxPerGroup = f.perBucket
		return nil
	}
}

// MaxRecordAge sets how long records and announcements last; 0 or less: for ever.
func MaxRecordAge(d time.Duration) Option {
	return set(func(c *config) {
		if c.RecordAge = d; d <= 0 {
			c.RecordAge = -1
		}
	})
}

// RoutingTableRefreshPeriod sets how long after its last lookup a bucket is looked up again.
func RoutingTableRefreshPeriod(d time.Duration) Option {
	return set(func(c *config) { c.RefreshInterval = d })
}

// DisableAutoRefresh has the node refresh no buckets, and probe no silent contacts.
func DisableAutoRefresh() Option { return set(func(c *config) { c.RefreshInterval = -1 }) }

// The next options tune what works differently here. They have no effect.

// Resiliency has no effect: a lookup ends when the k closest peers have answered, or when it is
// confident to have found them.
func Resiliency(int) Option { return set(func(*config) {}) }

// LookupCheckConcurrency has no effect: up to 16 peers at a time are asked before they enter the
// routing table.
func LookupCheckConcurrency(int) Option { return set(func(*config) {}) }

// RoutingTableRefreshQueryTimeout has no effect: [kad.Config.RequestTimeout] bounds requests.
func RoutingTableRefreshQueryTimeout(time.Duration) Option { return set(func(*config) {}) }

// RoutingTableLatencyTolerance has no effect: a slow contact keeps its place.
func RoutingTableLatencyTolerance(time.Duration) Option { return set(func(*config) {}) }

// EnableOptimisticProvide has no effect: each announcement is sent to the first peers before
// its lookup has ended.
func EnableOptimisticProvide() Option { return set(func(*config) {}) }

// OptimisticProvideJobsPoolSize has no effect.
func OptimisticProvideJobsPoolSize(int) Option { return set(func(*config) {}) }

// ValueGCInterval has no effect: records are removed when they expire.
func ValueGCInterval(time.Duration) Option { return set(func(*config) {}) }
