package host

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

// A Config configures a [DHT]. Only Network is required; the zero value of any
// other field means its default. A negative value has a meaning only where the field says
// so: New refuses any other. New copies the Config.
type Config struct {
	// Network names the network, for example "/chat"; its protocol is then
	// "/chat/kad/1.0.0". It is required: two applications that shared a default
	// would merge their networks. "/ipfs" is the public IPFS network: use
	// package host/amino for it.
	Network string

	// Bootstrap are the peers to join the network through, any number of them;
	// duplicates and this node itself do not count. If empty, the DHT waits until the
	// host is connected to a peer of the network.
	Bootstrap []peer.AddrInfo

	// FindBootstrap, if not nil, returns bootstrap peers besides those of Bootstrap. It is
	// called before each attempt to dial bootstrap peers, so that it may read a file, or ask
	// a service; see [DNSBootstrap] for peers that are listed in the DNS. Its context ends
	// after 10s, and it must return then. If it fails, the peers that it returned before
	// remain. An address such as /dnsaddr/example.org/p2p/12D3KooW... in Bootstrap needs no
	// function: the host resolves it at each dial.
	FindBootstrap func(context.Context) ([]peer.AddrInfo, error)

	// Mode says whether to serve others. If zero, [ModeAuto].
	Mode Mode

	// Accept, if not nil, reports whether this node deals with a peer: takes it as a contact,
	// asks it in lookups, and names it to other peers. The addresses are the ones that the
	// host knows, first the addresses of connections. Of a peer that another peer names,
	// they are the ones in its answer. Accept is called again for each answer of a contact: a
	// contact that it refuses then leaves the table. It is called often, by several goroutines
	// at once: it must return at once, and must not call the DHT. If nil, all peers are accepted.
	//
	// A bootstrap peer is dialled in any case. The requests of a refused peer are answered, and
	// what it announces is held: OnRequest decides about that.
	Accept func(peer.AddrInfo) bool

	// OnRequest, if not nil, is called with each request of another peer that can be read,
	// before it is handled: one of protocol.FindNode, GetValue, PutValue, GetProviders,
	// AddProvider and Ping. If it returns an error, the request is refused, and nothing of it
	// is stored. The peer learns that a rule of this node refuses it; or that the record is
	// invalid or old, if the error is [ErrInvalidRecord] or [ErrOldRecord]. Another
	// implementation sees only that the stream is reset. The log has the error at level debug.
	// Records that other holders pass on come as requests, too; what this node publishes
	// itself does not.
	//
	// It is called by several goroutines at once. While it runs, the requests of other peers
	// may have to wait, so it must return soon. It must not change the request.
	OnRequest func(from network.Conn, req protocol.Request) error

	// Validators check the values that are put and got, by namespace: a key is
	// "/namespace/rest". Without an entry for its namespace, a value is refused. A
	// validator that is a [Reducer] has keys that hold several values. Of two values of
	// which Select prefers neither, the one that was put later wins. Package
	// host/validator has the validators that most applications need, and says more on that.
	Validators map[string]record.Validator

	// Store keeps records and providers; Close does not close it. If nil, they
	// are kept in Dir, or in memory, within the default limits of [store.Limits].
	Store store.Store

	// Dir is a directory for what is to outlive the process: records and
	// announcements, unless there is a Store for them, and the contacts through which the
	// node joins again after a restart. It belongs to the DHT alone, and is made if it does
	// not exist. If empty, nothing outlives the process, except in Store.
	Dir string

	// K is the replication parameter: contacts per bucket, contacts per answer,
	// and peers a record is stored on. If zero, 20; at most 32. All nodes of a
	// network must agree on it.
	//
	// Spec: libp2p kad-dht, "Replication parameter (k)".
	K int

	// Alpha is the number of requests in flight per lookup. If zero, 10; at most 128.
	//
	// Spec: libp2p kad-dht, "Alpha concurrency parameter (α)".
	Alpha int

	// RequestTimeout bounds one request, from the beginning of the dial to the last byte of
	// the answer. A dial alone has 10s at most. While this machine is short of processor
	// time, both have up to six times as much. While the peer is busy, or this machine lacks
	// streams or memory, the request waits, and that does not count; the wait ends when no
	// request has found room for RequestTimeout. If zero, 10s. If negative, only the context
	// bounds the request.
	RequestTimeout time.Duration

	// SlowAfter is how long a request of a lookup keeps its slot at most: then the lookup
	// asks the next contact as well, and a late answer still counts. Once round trips have
	// been measured, a request frees its slot earlier: when its answer is overdue by the
	// round trips of the peer, or of all peers if this peer has never answered. A dial and its
	// answer each have that time. If zero, 1s. Use more where peers take longer.
	SlowAfter time.Duration

	// MaxDials bounds the dials that are in flight at a time: more of them than a home router
	// can bear would take other devices of the home off the internet. Dials that hang are
	// bounded in rate, too: after 200 of them, 20 may begin each second. A lookup waits for
	// its turn to dial. If zero, 64. If negative, neither the number nor the rate is bounded.
	// Dials of [DHT.Connect], and those that check whether a peer is a relay, do not count.
	MaxDials int

	// RefreshInterval is how long after its last lookup a bucket is looked up again, and
	// how long after its last answer a contact is probed, or up to half of it later. A
	// contact that sends requests is probed later, too. For a bucket in which nothing
	// changes, and for a contact that answers its probes, it doubles each time, up to eight
	// times as long. If zero, 10m. If negative, neither is done.
	RefreshInterval time.Duration

	// RecordAge is how long a record or an announcement lasts after its publisher
	// published it for the last time. A copy that a holder passes on lasts for the rest of
	// that time. If zero, 48h. If negative, for ever.
	//
	// Source: Kademlia paper, section 2.5, which has 24h.
	RecordAge time.Duration

	// RepublishInterval is how often the node publishes its own records and announcements
	// again, so that they do not expire, and are held by the peers that are closest by then.
	// Each key has its place in the interval, so that the work is spread over it: the first
	// time comes after half of the interval on average. If zero, 22h, or half of RecordAge if
	// that is less. If negative, nothing is published again, nor kept for that.
	//
	// What became due while the node was offline, or did not run, is published when it is
	// back: 1 024 at once, and the next ones a minute later, or sooner if there are more than
	// 170 000 in all, or holders may have forgotten them.
	RepublishInterval time.Duration

	// PublisherOnly leaves it to the publisher of a record to keep it alive, as the
	// public IPFS network does: holders neither replicate it nor hand it over, gets
	// leave no copies, and all records last equally long. If false, the holders keep
	// records alive: see "The life of a record" in the documentation of the package.
	PublisherOnly bool

	// ReplicateInterval is how often one of the holders of a record or an announcement
	// sends it to the k peers closest to its key. A holder that has received it within that
	// time sends nothing. Without that, a record is lost when its holders vanish one after the
	// other. If zero, 1h. If negative, the node sends nothing in intervals; it still hands
	// records over to peers that become one of the k closest, and in [DHT.Leave].
	//
	// Source: Kademlia paper, section 2.5.
	ReplicateInterval time.Duration

	// MaxBytesPerPeer bounds the bytes that one peer adds to the store within RecordAge: with
	// records of its own, and with those that it passes on. A value counts 1 KiB more than
	// its bytes; a record that is held already counts nothing. All peers of a public IPv4 /24,
	// or IPv6 /48, have two such shares together, and the peers of a /16 or /32 four: raise it for a
	// network whose peers are many behind a few addresses. Announcements beyond a share are
	// accepted while announcements fill less than half of the store, if that is a
	// [store.Gauge]. If zero, 16 MiB. If negative, there is no bound.
	MaxBytesPerPeer int

	// DisablePresence keeps a node that does not serve from announcing its addresses.
	// If false, the k servers closest to its ID hold a record with its addresses, those
	// through relays included, so that [DHT.Locate] finds it. It is sent once there
	// are addresses that other peers of the network can use, every 25m, and within a second
	// of a change of addresses; if they go on changing, the pauses grow to a minute. It
	// lasts for 1h after it was sent. [DHT.Close] withdraws it from holders that run this
	// package; other implementations keep the addresses for up to 24h. A server is found
	// without it.
	DisablePresence bool

	// DisableProtection leaves all connections to the connection manager of the host. If
	// false, the DHT protects its connections to the k contacts closest to the node, and to
	// three contacts of each bucket, under the tag "kad " and Network: a lookup that has to
	// dial takes many round trips more. The manager counts these connections towards its
	// watermarks, and does not close them. There are K of them, and 3 for each doubling of the
	// network beyond K nodes: about 60 in a network of 100 000.
	DisableProtection bool

	// MaxInbound bounds the streams that are served at a time. One more takes the place of
	// a stream that is idle, or is reset. If zero, 256.
	MaxInbound int

	// OfferRelay makes the node a relay for peers that cannot be dialled, while it can
	// be dialled itself, and announces it as one in the DHT. It runs the relay service
	// itself, so leave out libp2p.EnableRelayService, which waits for AutoNAT.
	OfferRelay bool

	// AppendAnnounce are up to 8 addresses, such as /ip4/192.0.2.7/tcp/4001, that the host
	// announces besides those that it finds itself: an address that a router forwards to it,
	// or a DNS name. A public one counts as a sign that the host can be dialled, until AutoNAT
	// finds that it cannot. Only [Traversal] takes them: [New] fails, because the host exists
	// by then. There, give libp2p.AddrsFactory to libp2p.New.
	AppendAnnounce []multiaddr.Multiaddr

	// Relay bounds what a relay gives others. Its zero value has defaults that are
	// fit for a chat.
	Relay RelayLimits

	// Tracer, if not nil, begins a span for each operation, lookup and request; see package
	// host/tracing.
	Tracer Tracer

	// MaxPerGroup bounds the contacts of one network (IPv4 /24, IPv6 /48) in a bucket, against
	// an attacker that runs many peers in one place. The whole table has bounds, too: see
	// routing.TableConfig. Private addresses are exempt. If zero, 2. If negative, neither a
	// bucket nor the table has a bound. Set it to -1 where most servers, and more than 80, have
	// public addresses of one IPv4 /16 or IPv6 /32, and all peers can be trusted, as with a swarm
	// key: a table holds 80 of one. Lookups among 200 such servers found 18 of the 20 closest.
	MaxPerGroup int
}

const (
	// maxDuration bounds the durations of a Config: eight times as much has to fit a
	// [time.Duration].
	maxDuration = 20 * 365 * 24 * time.Hour

	maxK     = protocol.MaxCloser / 2 // an answer may name 2k peers
	maxAlpha = 128

	// maxAnnounced bounds the addresses that a user names: peers keep no more than some.
	maxAnnounced = 8

	defaultK      = 20
	defaultAlpha  = 10
	protocolAfter = "/kad/1.0.0"
	manyAfter     = "/kad/many/1.0.0"
)

// withDefaults returns c with every zero field set to its default, and durations within their
// bound.
func (c Config) withDefaults() Config {
	for _, d := range []*time.Duration{
		&c.RequestTimeout, &c.SlowAfter, &c.RefreshInterval, &c.RecordAge, &c.RepublishInterval, &c.ReplicateInterval,
	} {
		*d = min(*d, maxDuration)
	}
	c.K = cmp.Or(c.K, defaultK)
	c.Alpha = cmp.Or(c.Alpha, defaultAlpha)
	c.RequestTimeout = cmp.Or(c.RequestTimeout, 10*time.Second)
	c.SlowAfter = cmp.Or(c.SlowAfter, time.Second)
	c.MaxDials = cmp.Or(c.MaxDials, 64)
	c.RefreshInterval = cmp.Or(c.RefreshInterval, 10*time.Minute)
	c.RecordAge = cmp.Or(c.RecordAge, 48*time.Hour)
	c.ReplicateInterval = cmp.Or(c.ReplicateInterval, time.Hour)
	c.MaxBytesPerPeer = cmp.Or(c.MaxBytesPerPeer, 16<<20)
	c.MaxInbound = cmp.Or(c.MaxInbound, 256)
	interval := 22 * time.Hour
	if c.RecordAge > 0 {
		interval = min(interval, c.RecordAge/2)
	}
	c.RepublishInterval = cmp.Or(c.RepublishInterval, interval)
	c.Relay = c.Relay.withDefaults()
	return c
}

// validate says what is wrong with c, defaults set, and how to correct it.
func (c Config) validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("kad: "+format, args...)) }
	inRange := func(name string, value, low, high int) {
		if value < low || value > high {
			bad("Config.%s is %d: use %d to %d, or 0 for the default", name, value, low, high)
		}
	}
	switch {
	case c.Network == "":
		bad(`Config.Network is empty: name your network, for example "/chat", so that it never merges with that of another application`)
	case !strings.HasPrefix(c.Network, "/") || strings.HasSuffix(c.Network, "/"):
		bad("Config.Network is %q: it begins with a slash and does not end with one, for example \"/chat\"", c.Network)
	case strings.HasSuffix(c.Network, protocolAfter):
		bad("Config.Network is %q: leave %q out, it is added", c.Network, protocolAfter)
	}
	inRange("K", c.K, 1, maxK)
	inRange("Alpha", c.Alpha, 1, maxAlpha)
	inRange("MaxInbound", c.MaxInbound, 1, 1<<20)
	if c.RecordAge > 0 && c.RepublishInterval > c.RecordAge {
		bad("Config.RepublishInterval is %v: use less than RecordAge, %v, or what is published is gone before", c.RepublishInterval, c.RecordAge)
	}
	if len(c.AppendAnnounce) > maxAnnounced {
		bad("Config.AppendAnnounce has %d addresses: use up to %d", len(c.AppendAnnounce), maxAnnounced)
	}
	for _, a := range c.AppendAnnounce {
		if !announceable(a) {
			bad("Config.AppendAnnounce has %q: use an address that can be dialled, without /p2p/, such as /ip4/192.0.2.7/tcp/4001", a)
		}
	}
	if c.SlowAfter < 0 {
		bad("Config.SlowAfter is %v: a lookup would wait for every silent peer; use a positive duration", c.SlowAfter)
	}
	if c.Mode > ModeServer {
		bad("Config.Mode is %d: use ModeAuto, ModeClient or ModeServer", c.Mode)
	}
	if !c.Relay.valid() {
		bad("Config.Relay is %+v: use positive limits, and a Duration of 1s or more, or 0 for the defaults", c.Relay)
	}
	for ns, v := range c.Validators {
		if v == nil || ns == "" || strings.Contains(ns, "/") {
			bad("Config.Validators[%q]: the key is a namespace without slashes, the value a validator", ns)
		}
	}
	for _, p := range c.Bootstrap {
		if err := p.ID.Validate(); err != nil {
			bad("Config.Bootstrap has a peer without a valid ID: %w", err)
		} else if len(p.Addrs) == 0 {
			bad("Config.Bootstrap: peer %s has no address to dial", p.ID)
		}
	}
	return errors.Join(errs...)
}

// announceable reports whether an address is one that a host can have.
func announceable(a multiaddr.Multiaddr) bool {
	return len(a) > 1 && !manet.IsIPUnspecified(a) && !scope.HasProtocol(a, multiaddr.P_P2P) &&
		(scope.HasProtocol(a, multiaddr.P_TCP) || scope.HasProtocol(a, multiaddr.P_UDP))
}

// protocolID is the protocol of the network.
func (c Config) protocolID() lprotocol.ID {
	return lprotocol.ID(c.Network + protocolAfter)
}

// manyID is the protocol of messages with many requests: see package protocol.
func (c Config) manyID() lprotocol.ID { return lprotocol.ID(c.Network + manyAfter) }

// RelayLimits bound what a node gives other peers as their relay; see Config.OfferRelay.
// The zero value of a field means its default, which is fit for a chat: hours of
// text, some pictures, no films.
//
// They multiply: at a time there are at most Reservations × Circuits relayed
// connections, by default 512, which carry at most Bytes each way each, 8 GiB each way
// together; the node receives, and sends, both ways: 16 GiB. The rate is not bounded: a
// peer that has used up a connection may open the next one. If every peer uses up its
// share once in each Duration, that is 40 Mbit/s in, and as much out. Peers that chat,
// and become direct, use some kB.
type RelayLimits struct {
	// Duration is how long one relayed connection lasts, in full seconds. If zero, 1h.
	Duration time.Duration

	// Bytes is how much one relayed connection carries in each direction. If zero,
	// 16 MiB.
	Bytes int64

	// Reservations is how many peers can be reached through the node at a time. If
	// zero, 128.
	Reservations int

	// ReservationsPerIP is how many of them may have the same address: peers
	// behind one NAT. If zero, 16.
	ReservationsPerIP int

	// Circuits is how many relayed connections each peer has at a time, from and to it
	// together. If zero, 4, which is 8 with the two relays that a peer has. A connection
	// that becomes direct makes room for another.
	Circuits int
}

// withDefaults returns l with every zero field set to its default.
func (l RelayLimits) withDefaults() RelayLimits {
	l.Duration = cmp.Or(l.Duration, time.Hour)
	l.Bytes = cmp.Or(l.Bytes, 16<<20)
	l.Reservations = cmp.Or(l.Reservations, 128)
	l.ReservationsPerIP = cmp.Or(l.ReservationsPerIP, 16)
	l.Circuits = cmp.Or(l.Circuits, 4)
	return l
}

// valid reports whether a relay can have such limits. The protocol has 32 bits for the
// duration, and 63 for the bytes.
func (l RelayLimits) valid() bool {
	const most = 1 << 31 * time.Second
	return l.Duration >= time.Second && l.Duration < most && l.Bytes > 0 &&
		l.Reservations > 0 && l.ReservationsPerIP > 0 && l.Circuits > 0
}
