package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	logging "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/core/discovery"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/events"
	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/connect"
	"github.com/go-kad/kad/host/internal/deliver"
	"github.com/go-kad/kad/host/internal/find"
	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/join"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/observe"
	"github.com/go-kad/kad/host/internal/presence"
	"github.com/go-kad/kad/host/internal/publish"
	"github.com/go-kad/kad/host/internal/reach"
	"github.com/go-kad/kad/host/internal/relay"
	"github.com/go-kad/kad/host/internal/replicate"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/serve"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/internal/validate"
	"github.com/go-kad/kad/host/store"
)

var log = logging.Logger("kad") //nolint:gochecknoglobals // the logger of the package

// A DHT is a node of a Kademlia network on a libp2p host. Its methods are safe
// for concurrent use.
type DHT struct {
	cfg   Config
	host  lhost.Host
	store store.Store // cfg.Store, or our own
	rules validate.Rules

	tasks *tasks.Group
	loop  *tasks.Loop
	rooms
	whole bool // the host was made with Traversal

	closing sync.Once
	closed  error // what Close returns
}

// rooms are the parts of a node: see ARCHITECTURE.md.
type rooms struct {
	pulse     *tasks.Pulse
	observer  *observe.Observer
	table     *table.Table
	streams   *call.Streams
	call      *call.Caller
	lookup    *lookup.Engine
	join      *join.Joiner
	holder    *holder.Holder
	serve     *serve.Server
	deliver   *deliver.Sender
	find      *find.Finder
	publish   *publish.Publisher
	replicate *replicate.Replicator
	reach     *reach.Reach
	presence  *presence.Presence
	relay     *relay.Relays
	connect   *connect.Connector
}

var (
	_ lrouting.Routing       = (*DHT)(nil)
	_ lrouting.PubKeyFetcher = (*DHT)(nil)
	_ discovery.Discovery    = (*DHT)(nil)
)

// New attaches a DHT to a host and starts to join its network. It starts one
// goroutine; [DHT.Close] ends it. The host stays yours: the DHT never closes it.
//
// Attach the DHT before the host connects to other peers, or after: both work.
func New(h lhost.Host, cfg Config) (*DHT, error) {
	if len(cfg.AppendAnnounce) > 0 {
		return nil, errAnnounce
	}
	return attach(h, cfg)
}

// attach is New for a host that announces what cfg says.
func attach(h lhost.Host, cfg Config) (*DHT, error) {
	d, err := newDHT(h, cfg, nil)
	if err != nil {
		return nil, err
	}
	if err := d.start(); err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

// newDHT builds a DHT that does nothing yet. It asks through transport; if that is nil,
// over streams of the host.
func newDHT(h lhost.Host, cfg Config, transport call.Transport) (*DHT, error) {
	if h == nil {
		return nil, errNoHost
	}
	cfg = cfg.withDefaults()
	cfg.Bootstrap = others(cfg.Bootstrap, h.ID())
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if slices.Contains(h.Mux().Protocols(), cfg.protocolID()) {
		return nil, fmt.Errorf("kad: the host serves %s already: close the DHT that is attached to it first", cfg.protocolID())
	}
	if cfg.Dir != "" {
		if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
			return nil, fmt.Errorf("kad: Config.Dir: %w", err)
		}
	}
	records, err := openStore(cfg)
	if err != nil {
		return nil, err
	}
	group := tasks.NewGroup()
	d := &DHT{
		cfg: cfg, host: h, store: records, rules: maps.Clone(cfg.Validators),
		tasks: group, loop: tasks.NewLoop(group),
	}
	d.buildContacts(transport)
	d.buildRecords()
	d.buildPaths()
	d.loop.Add(d.jobs(cfg)...)
	return d, nil
}

// buildContacts builds the rooms that know peers and ask them.
func (d *DHT) buildContacts(transport call.Transport) {
	cfg := d.cfg
	d.pulse = tasks.NewPulse(d.loop.Wake)
	d.observer = observe.New(observe.Tracer(cfg.Tracer))
	bootstrap := len(cfg.Bootstrap)
	if cfg.FindBootstrap != nil {
		bootstrap++ // at least one, until it says otherwise
	}
	d.table = table.New(table.Config{
		Host: d.host, Protocol: cfg.protocolID(), Tasks: d.tasks, Wake: d.loop.Wake, Observer: d.observer,
		K: cfg.K, ProbeAfter: cfg.RefreshInterval, MaxPerGroup: cfg.MaxPerGroup, SlowAfter: cfg.SlowAfter,
		Dir: cfg.Dir, Bootstrap: bootstrap, Accept: cfg.Accept, Pulse: d.pulse,
	})
	public := func(addrs []multiaddr.Multiaddr) bool { return len(scope.Reaching(addrs, scope.Public)) > 0 }
	d.streams = call.NewStreams(d.host, cfg.protocolID(), cfg.manyID(), d.pulse, d.loop.Wake)
	if transport == nil {
		transport = d.streams
	}
	d.reach = reach.New(reach.Config{
		Host: d.host, Table: d.table, Mode: reach.Mode(cfg.Mode), Switched: d.switched, Announced: public(cfg.AppendAnnounce),
		PublicPeer: slices.ContainsFunc(cfg.Bootstrap, func(p peer.AddrInfo) bool { return public(p.Addrs) }),
	})
	d.call = call.New(call.Config{
		Host: d.host, Transport: transport, Table: d.table, Tasks: d.tasks, Dialled: d.reach.Dialled, Pulse: d.pulse,
		RequestTimeout: cfg.RequestTimeout, SlowAfter: cfg.SlowAfter, MaxDials: cfg.MaxDials, Observer: d.observer,
	})
	d.lookup = lookup.NewEngine(lookup.Config{
		Host: d.host, Table: d.table, Call: d.call, Tasks: d.tasks, Observer: d.observer, Wake: d.loop.Wake,
		K: cfg.K, Alpha: cfg.Alpha, SlowAfter: cfg.SlowAfter, Pulse: d.pulse,
	})
	d.join = join.New(join.Config{
		Host: d.host, Protocol: cfg.protocolID(), Table: d.table, Call: d.call, Lookup: d.lookup, Tasks: d.tasks, Wake: d.loop.Wake,
		Bootstrap: cfg.Bootstrap, Resolve: cfg.bootstrapNow(d.host.ID()), RefreshInterval: cfg.RefreshInterval, Observer: d.observer,
	})
}

// buildRecords builds the rooms that hold records, and send them.
func (d *DHT) buildRecords() {
	cfg := d.cfg
	d.holder = holder.New(holder.Config{
		Host: d.host, Protocol: cfg.protocolID(), Store: d.store, Rules: d.rules, Table: d.table,
		K: cfg.K, RecordAge: cfg.RecordAge, MaxBytesPerPeer: cfg.MaxBytesPerPeer, Caching: !cfg.PublisherOnly,
	})
	d.serve = serve.New(serve.Config{
		Holder: d.holder, Table: d.table, Tasks: d.tasks, K: cfg.K, MaxInbound: cfg.MaxInbound,
		Asked: d.asked, OnRequest: cfg.OnRequest, Observer: d.observer,
	})
	d.deliver = deliver.New(deliver.Config{Table: d.table, Call: d.call, Tasks: d.tasks, K: cfg.K, Alpha: cfg.Alpha})
	d.find = find.New(find.Config{
		Host: d.host, Rules: d.rules, Table: d.table, Call: d.call, Lookup: d.lookup, Deliver: d.deliver, Holder: d.holder, Tasks: d.tasks,
		K: cfg.K, SlowAfter: cfg.SlowAfter, RecordAge: cfg.RecordAge, Caching: !cfg.PublisherOnly,
	})
	d.publish = publish.New(publish.Config{
		Self: d.host.ID(), Store: d.store, Rules: d.rules, Holder: d.holder, Lookup: d.lookup, Deliver: d.deliver, Find: d.find,
		Observer: d.observer, Reach: d.reach, Tasks: d.tasks, Wake: d.loop.Wake, RecordAge: cfg.RecordAge, Interval: cfg.RepublishInterval,
		Unsettled: d.table.Unsettled,
	})
	d.replicate = replicate.New(replicate.Config{
		Holder: d.holder, Table: d.table, Lookup: d.lookup, Deliver: d.deliver, Find: d.find, Publish: d.publish,
		K: cfg.K, Alpha: cfg.Alpha, Interval: cfg.ReplicateInterval,
	})
}

// buildPaths builds the rooms by which the node is reached, and reaches others.
func (d *DHT) buildPaths() {
	cfg := d.cfg
	d.presence = presence.New(presence.Config{
		Host: d.host, Table: d.table, Lookup: d.lookup, Deliver: d.deliver, Holder: d.holder, Reach: d.reach,
		Observer: d.observer, K: cfg.K, Disabled: cfg.DisablePresence,
	})
	d.relay = relay.New(relay.Config{
		Host: d.host, Protocol: cfg.protocolID(), Table: d.table, Call: d.call, Find: d.find, Publish: d.publish, Reach: d.reach, Tasks: d.tasks,
		Observer: d.observer, K: cfg.K, Offer: cfg.OfferRelay, Limits: relay.Limits(cfg.Relay),
	})
	d.connect = connect.New(connect.Config{
		Host: d.host, Protocol: cfg.protocolID(), Table: d.table, Call: d.call, Find: d.find, Reach: d.reach, Held: d.relay.Held, Tasks: d.tasks,
		Wake: d.loop.Wake, K: cfg.K, Tag: "kad " + cfg.Network, Interfaces: net.InterfaceAddrs,
	})
}

// openStore opens the store that cfg asks for: its own, one in Dir, or one in memory.
func openStore(cfg Config) (store.Store, error) {
	switch {
	case cfg.Store != nil:
		return cfg.Store, nil
	case cfg.Dir != "":
		s, err := store.Open(filepath.Join(cfg.Dir, "records"), store.Limits{})
		if err != nil {
			return nil, fmt.Errorf("kad: Config.Dir: %w", err)
		}
		return s, nil
	default:
		return store.NewMemory(store.Limits{}), nil
	}
}

// start lets the DHT take part in its network.
func (d *DHT) start() error {
	d.publish.Resume(d.tasks.Context())
	if d.cfg.Dir != "" {
		values, providers := d.holder.Len()
		log.Infow("the store is open", "dir", d.cfg.Dir, "values", values, "announcements", providers, "publications", d.publish.Len())
	}
	sub, err := subscribe(d.host)
	if err != nil {
		return fmt.Errorf("kad: subscribing to the events of the host: %w", err)
	}
	d.reach.Start()
	for _, conn := range d.host.Network().Conns() {
		d.reach.Observe(conn)
		d.identified(conn.RemotePeer())
	}
	keepTwo, hideLAN := d.connect.KeepOneRelayed(), d.connect.ShareLAN()
	d.tasks.Go(func(ctx context.Context) {
		d.loop.Run(ctx, sub.Out(), d.handle)
		keepTwo()
		hideLAN()
		d.streams.Close(ctx)
		d.relay.Close()
		_ = sub.Close()
	})
	return nil
}

// switched sets or removes the protocol handler; identify then informs connected peers.
// When the handler is removed, streams that are open are reset too.
func (d *DHT) switched(was, now reach.Decision) {
	d.loop.Wake()
	d.relay.Wake()
	if !d.tasks.Closed() {
		mode := ModeClient
		if now.Serve {
			mode = ModeServer
		}
		d.observer.Tell(events.ModeChanged{Mode: mode.String(), Reachable: now.Reachable, Reason: now.Reason})
	}
	switch {
	case was.Serve == now.Serve:
	case now.Serve:
		d.host.SetStreamHandler(d.cfg.manyID(), d.serve.HandleMany)
		d.host.SetStreamHandler(d.cfg.protocolID(), d.serve.Handle)
	default:
		d.table.Stopped()
		d.host.RemoveStreamHandler(d.cfg.protocolID())
		d.host.RemoveStreamHandler(d.cfg.manyID())
		d.serve.Reset()
	}
}

// Close stops serving, ends everything that the DHT started, waits for that, and
// leaves the host as it found it. That takes less than a second, or longer on a machine that
// is so busy that what ends has no turn. Operations that are under way return [ErrClosed].
// Closing twice is fine.
//
// The presence of a node that does not serve is withdrawn first, with the holders that
// answer within 400ms. Other holders keep it until it expires, and so do holders of
// other implementations, which have no such request: see Config.DisablePresence.
func (d *DHT) Close() error {
	d.closing.Do(func() {
		if err := d.presence.Withdraw(d.tasks.Context(), time.Now(), true); err != nil {
			log.Debugw("presence not withdrawn", "error", err)
		}
		d.tasks.Cancel()
		d.reach.Close()
		d.serve.Close()
		d.tasks.Wait(d.serve.Done())
		d.connect.Release()
		d.closed = d.table.Save()
		if d.cfg.Store == nil {
			d.closed = errors.Join(d.closed, d.store.Close())
		}
	})
	return d.closed
}

// Leave is [DHT.Close] for a node that does not come back soon. Before it closes, it
// gives each record that it holds to the peer that will be one of the k closest to it once
// the node is gone. That lasts until ctx ends, or 10s if ctx has no deadline. Without Leave,
// another holder of the record does it, within about Config.ReplicateInterval. With
// Config.PublisherOnly, Leave only closes.
//
// The error is that of Close. A record that was not handed over in time is not an error.
func (d *DHT) Leave(ctx context.Context) error {
	if !d.cfg.PublisherOnly && d.table.Live() {
		leaving, end, err := d.tasks.Begin(ctx)
		if err == nil {
			err = d.replicate.Leave(leaving)
			end()
		}
		if err != nil {
			log.Debugw("leave", "error", err)
		}
	}
	return d.Close()
}

// Ready waits until lookups will work: until a peer in the routing table has answered,
// and the node is not offline. It waits until ctx ends; if ctx has no deadline, at most 10s,
// or up to a minute on a machine that is late itself (see Stats.Lateness). Then it
// returns a [*NotReadyError], which says why lookups do not work: there are no bootstrap
// peers, they could not be dialled, they speak other protocols, a filter keeps them out, or
// the node is offline, since no contact answers. The DHT goes on trying.
//
// The only server of a network is ready, too: a server without bootstrap peers that has
// served a client, remembers no contact of the last day, and has found no other server for
// 40s. See Stats.Single. What it puts and announces is stored by itself alone, as the receipt
// says, and handed to the servers that come. A server that has lost its network is not ready.
//
// There is no need to call Ready: each operation that asks peers waits in the same way
// first, for 10s at most, or up to a minute on a late machine, however long its context is.
// Within that time, it also waits for the end of the first join, so that it finds the
// closest peers.
func (d *DHT) Ready(ctx context.Context) error { return public(d.table.Ready(ctx)) }

// ID returns the ID of the host's peer, which is the node's.
func (d *DHT) ID() peer.ID { return d.host.ID() }

// Host returns the host that the DHT is attached to.
func (d *DHT) Host() lhost.Host { return d.host }

// Mode returns whether the node is a [ModeServer] or a [ModeClient] now, and
// the reason in words.
func (d *DHT) Mode() (Mode, string) {
	mode, reason := d.reach.Mode()
	return Mode(mode), reason
}

// SetMode changes the mode at run time. When it returns, the node serves or does not serve,
// as [DHT.Mode] says; identify tells the connected peers within a round trip. The error is
// [ErrClosed], or says that there is no such mode.
func (d *DHT) SetMode(m Mode) error {
	if m > ModeServer {
		return errUnknownMode
	}
	if d.tasks.Closed() {
		return ErrClosed
	}
	d.reach.SetMode(reach.Mode(m))
	return nil
}
