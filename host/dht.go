package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	logging "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/core/discovery"
	"github.com/libp2p/go-libp2p/core/event"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"

	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/routing"
)

var log = logging.Logger("kad") //nolint:gochecknoglobals // the logger of the package

// A DHT is a node of a Kademlia network on a libp2p host. Its methods are safe
// for concurrent use.
type DHT struct {
	cfg      Config
	host     lhost.Host
	self     peer.ID
	protocol lprotocol.ID

	rpc       requester
	dialer    *dialer
	knowledge *knowledge
	recall    *recall
	peers     *peers
	relays    relays
	older     olderAsker
	unpunched atomic.Bool // a hole could not be punched lately
	nat       natTypes

	acquaintances acquaintances

	store      store.Store // cfg.Store, or our own
	validators validators

	mode        mode
	inbound     *inbound
	keeper      *keeper
	joins       joins
	corrections corrections
	agenda      agenda
	quota       quota
	announcing  stripes
	presence    presence
	diagnosis   diagnosis
	stats       counters
	tasks       *tasks

	closing sync.Once
	closed  error // what Close returns
}

var (
	_ lrouting.Routing    = (*DHT)(nil)
	_ discovery.Discovery = (*DHT)(nil)
)

// New attaches a DHT to a host and starts to join its network. It starts one
// goroutine; [DHT.Close] ends it. The host stays yours: the DHT never closes it.
//
// Attach the DHT before the host connects to others, or after: both work.
func New(h lhost.Host, cfg Config) (*DHT, error) {
	d, err := newDHT(h, cfg)
	if err != nil {
		return nil, err
	}
	if err := d.start(); err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

// newDHT builds a DHT that does nothing yet.
func newDHT(h lhost.Host, cfg Config) (*DHT, error) {
	if h == nil {
		return nil, errNoHost
	}
	cfg = cfg.withDefaults()
	cfg.Bootstrap = slices.Clone(cfg.Bootstrap)
	if err := cfg.validate(h.ID()); err != nil {
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
	wake := make(chan struct{}, 1)
	tasks := newTasks()
	d := &DHT{
		cfg:         cfg,
		host:        h,
		self:        h.ID(),
		protocol:    cfg.protocolID(),
		rpc:         &streams{host: h, protocol: cfg.protocolID()},
		knowledge:   new(knowledge),
		recall:      newRecall(cfg.RegionAge),
		peers:       newPeers(routing.KeyOf([]byte(h.ID())), cfg, wake),
		store:       records,
		validators:  maps.Clone(cfg.Validators),
		inbound:     newInbound(cfg.MaxInbound),
		corrections: make(corrections, maxCorrections),
		quota:       quota{limit: cfg.MaxBytesPerPeer, age: cfg.RecordAge},
		tasks:       tasks,
	}
	d.dialer = newDialer(cfg, tasks, func(ctx context.Context, to peer.ID) error {
		d.acquaintances.add(time.Now(), to)
		return d.rpc.Dial(ctx, to)
	}, d.connected)
	d.mode.apply = d.switched
	d.peers.remember(restoreContacts(cfg.Dir))
	d.relays.wake = make(chan struct{}, 1)
	d.keeper = &keeper{dht: d, wake: wake, done: make(chan func()), introducing: make(map[peer.ID]bool)}
	return d, nil
}

// start lets the DHT take part in its network.
func (d *DHT) start() error {
	if d.cfg.RepublishInterval > 0 {
		d.resumePublications(d.tasks.ctx)
	}
	sub, err := d.host.EventBus().Subscribe([]any{
		new(event.EvtPeerIdentificationCompleted),
		new(event.EvtPeerProtocolsUpdated),
		new(event.EvtPeerConnectednessChanged),
		new(event.EvtLocalReachabilityChanged),
		new(event.EvtHostReachableAddrsChanged),
		new(event.EvtLocalAddressesUpdated),
		new(event.EvtAutoRelayAddrsUpdated),
		new(event.EvtNATDeviceTypeChanged),
	}, eventbus.Name("kad"), eventbus.BufSize(256))
	if err != nil {
		return fmt.Errorf("kad: subscribing to the events of the host: %w", err)
	}
	d.mode.change(func(wanted *Mode, around *surroundings) {
		*wanted = d.cfg.Mode
		around.publicListen = d.listensPublic()
		around.publicPeer = slices.ContainsFunc(d.cfg.Bootstrap, func(p peer.AddrInfo) bool {
			return p.ID != d.self && len(fit(p.Addrs, scopePublic)) > 0
		})
	})
	for _, conn := range d.host.Network().Conns() {
		d.surveyed(conn)
		d.meet(conn.RemotePeer())
	}
	d.tasks.run(func(ctx context.Context) {
		d.keeper.maintain(ctx, sub.Out())
		d.keeper.stopRelay()
		_ = sub.Close()
	})
	return nil
}

// Close stops serving, ends everything that the DHT started, waits for that
// (less than a second), and leaves the host as it found it. Operations that are
// under way return [ErrClosed]. Closing twice is fine.
//
// The presence of a node that does not serve is withdrawn first, with those holders
// that answer within 400ms. Others, and those of other implementations, which have
// no such request, keep it until it expires: see Config.DisablePresence.
func (d *DHT) Close() error {
	d.closing.Do(func() {
		if err := d.withdrawPresence(d.tasks.ctx, true); err != nil {
			log.Debugw("presence not withdrawn", "error", err)
		}
		d.tasks.cancel(ErrClosed)
		d.mode.close()
		d.inbound.close()
		d.tasks.wait(&d.inbound.done)
		d.closed = d.keepContacts()
		if d.cfg.Store == nil {
			d.closed = errors.Join(d.closed, d.store.Close())
		}
	})
	return d.closed
}

// begin returns the context of an operation: it ends with that of the caller,
// or when the DHT is closed. The function that it returns releases it.
func (d *DHT) begin(ctx context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	if d.tasks.ctx.Err() != nil {
		cancel(ErrClosed) // at once: AfterFunc is another goroutine
	}
	stop := context.AfterFunc(d.tasks.ctx, func() { cancel(ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// switched sets or removes the protocol handler. The host tells connected
// peers of it. Without it, streams that are open are reset too.
func (d *DHT) switched(was, now decision) {
	poke(d.keeper.wake)
	poke(d.relays.wake)
	if was.serve == now.serve {
		return
	}
	if now.serve {
		d.host.SetStreamHandler(d.protocol, d.serve)
		return
	}
	d.host.RemoveStreamHandler(d.protocol)
	d.inbound.reset()
}

// listensPublic reports whether the host has a public IPv4 address of its own.
func (d *DHT) listensPublic() bool {
	addrs, err := d.host.Network().InterfaceListenAddresses()
	return err == nil && listensPublic(addrs)
}

// ID returns the ID of the host's peer, which is the node's.
func (d *DHT) ID() peer.ID { return d.self }

// Host returns the host that the DHT is attached to.
func (d *DHT) Host() lhost.Host { return d.host }

// connected reports whether there is a connection to a peer.
func (d *DHT) connected(id peer.ID) bool {
	return d.host.Network().Connectedness(id) == network.Connected
}
