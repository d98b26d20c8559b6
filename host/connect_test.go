package host

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A theatre is a host on which dials of one peer, the actor, go as they are told.
type theatre struct {
	lhost.Host
	net stageNetwork
}

func (s *theatre) Network() network.Network { return &s.net }

// Connect connects to the relay at once, and to another one never.
func (s *theatre) Connect(ctx context.Context, info peer.AddrInfo) error {
	there, _ := scope.RelayOf(multiaddr.StringCast(relayedAddr))
	gone, _ := scope.RelayOf(multiaddr.StringCast(goneRelayAddr))
	switch info.ID {
	case there:
		return nil
	case gone:
		<-ctx.Done()
		return context.Cause(ctx)
	}
	return s.Host.Connect(ctx, info)
}

// goneRelayAddr is one at a relay that is gone.
const goneRelayAddr = "/ip4/40.1.0.2/tcp/4001/p2p/12D3KooWRn15btsLPhzHkorWYwF5epxWznb815TYHKiszn66v57n/p2p-circuit"

// stageNetwork is a network with connections to the actor that are only played.
type stageNetwork struct {
	network.Network
	actor peer.ID
	play  func(ctx context.Context, addrs []multiaddr.Multiaddr, direct bool) (string, error)

	mu        sync.Mutex
	conns     []network.Conn
	notifiees []network.Notifiee
}

type stageConn struct {
	network.Conn
	id     peer.ID
	addr   multiaddr.Multiaddr
	opened time.Time
}

func (c *stageConn) RemotePeer() peer.ID                  { return c.id }
func (c *stageConn) RemoteMultiaddr() multiaddr.Multiaddr { return c.addr }
func (c *stageConn) IsClosed() bool                       { return false }

func (c *stageConn) Stat() network.ConnStats {
	return network.ConnStats{Stats: network.Stats{Opened: c.opened}}
}

func (n *stageNetwork) Notify(f network.Notifiee) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.notifiees = append(n.notifiees, f)
}

func (n *stageNetwork) StopNotify(f network.Notifiee) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.notifiees = slices.DeleteFunc(n.notifiees, func(g network.Notifiee) bool { return f == g })
}

func (n *stageNetwork) ConnsToPeer(id peer.ID) []network.Conn {
	if id != n.actor {
		return n.Network.ConnsToPeer(id)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.conns)
}

// enter makes a connection to the actor, with an address.
func (n *stageNetwork) enter(addr string) network.Conn {
	conn := &stageConn{id: n.actor, addr: multiaddr.StringCast(addr), opened: time.Now()}
	n.mu.Lock()
	n.conns = append(n.conns, conn)
	notifiees := slices.Clone(n.notifiees)
	n.mu.Unlock()
	for _, f := range notifiees {
		f.Connected(n, conn)
	}
	return conn
}

// leave ends all connections to the actor.
func (n *stageNetwork) leave() {
	n.mu.Lock()
	conns := n.conns
	n.conns = nil
	notifiees := slices.Clone(n.notifiees)
	n.mu.Unlock()
	for _, f := range notifiees {
		f.Disconnected(n, conns[0])
	}
}

func (n *stageNetwork) Connectedness(id peer.ID) network.Connectedness {
	if id != n.actor {
		return n.Network.Connectedness(id)
	}
	for _, c := range n.ConnsToPeer(id) {
		if !scope.Relayed(c) {
			return network.Connected
		}
	}
	return network.NotConnected
}

func (n *stageNetwork) DialPeer(ctx context.Context, id peer.ID) (network.Conn, error) {
	if id != n.actor {
		return n.Network.DialPeer(ctx, id)
	}
	direct, _ := network.GetForceDirectDial(ctx)
	addr, err := n.play(ctx, n.Peerstore().Addrs(id), direct)
	if err != nil {
		return nil, err
	}
	return n.enter(addr), nil
}

var errDead = errors.New("nobody there")

// dead fails as the swarm does, after some time.
func dead(ctx context.Context, id peer.ID, addrs []multiaddr.Multiaddr, after time.Duration) error {
	select {
	case <-time.After(after):
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	failed := &swarm.DialError{Peer: id, Cause: swarm.ErrAllDialsFailed}
	for _, a := range addrs {
		failed.DialErrors = append(failed.DialErrors, swarm.TransportError{Address: a, Cause: errDead})
	}
	return failed
}

// Each way to a peer, and each failure on it, is a step.
func TestConnect(t *testing.T) {
	const fresh = publicAddr
	const stale = "/ip4/61.1.0.1/udp/4001/quic-v1"
	has := func(addrs []multiaddr.Multiaddr, addr string) bool {
		return slices.ContainsFunc(addrs, multiaddr.StringCast(addr).Equal)
	}
	direct := func(addr string) func(context.Context, *theatre, []multiaddr.Multiaddr, bool) (string, error) {
		return func(ctx context.Context, s *theatre, addrs []multiaddr.Multiaddr, _ bool) (string, error) {
			if has(addrs, addr) {
				return addr, nil
			}
			return "", dead(ctx, s.net.actor, addrs, 5*time.Second)
		}
	}
	// throughRelay reaches the actor through its relay, and directly after some time.
	throughRelay := func(punched time.Duration) func(context.Context, *theatre, []multiaddr.Multiaddr, bool) (string, error) {
		return func(ctx context.Context, s *theatre, addrs []multiaddr.Multiaddr, direct bool) (string, error) {
			if direct || !has(addrs, relayedAddr) {
				return "", dead(ctx, s.net.actor, addrs, 5*time.Second)
			}
			time.Sleep(100 * time.Millisecond)
			switch {
			case punched > 0:
				time.AfterFunc(punched, func() { s.net.enter(fresh) })
			case punched < 0:
				time.AfterFunc(-punched, s.net.leave)
			}
			return relayedAddr, nil
		}
	}
	// slowDirect reaches the actor both ways, directly a little later.
	slowDirect := func(_ context.Context, _ *theatre, _ []multiaddr.Multiaddr, direct bool) (string, error) {
		if direct {
			time.Sleep(800 * time.Millisecond)
			return fresh, nil
		}
		time.Sleep(400 * time.Millisecond)
		return relayedAddr, nil
	}
	tests := []struct {
		name         string
		known, found []string
		play         func(context.Context, *theatre, []multiaddr.Multiaddr, bool) (string, error)
		via          Via // 0: an error
		steps        string
		took         time.Duration
	}{
		{"known", []string{fresh}, nil, direct(fresh), ViaDirect, "known direct", 0},
		{"found", nil, []string{fresh}, direct(fresh), ViaDirect, "known! find direct", 0},
		{"stale, then found", []string{stale}, []string{fresh}, direct(fresh), ViaDirect, "known direct! find direct", findAfter},
		{"known, not there, not found", []string{stale}, nil, direct(fresh), 0, "known direct! find!", 5 * time.Second},
		{"nothing", nil, nil, direct(fresh), 0, "known! find!", 0},
		{"found, not there", nil, []string{stale}, direct(fresh), 0, "known! find direct! find!", 5 * time.Second},
		{"punched", nil, []string{stale, relayedAddr}, throughRelay(300 * time.Millisecond), ViaPunched, "known! find direct! relay punch", 400 * time.Millisecond},
		{"one relay is gone", nil, []string{goneRelayAddr, relayedAddr}, throughRelay(300 * time.Millisecond), ViaPunched, "known! find relay punch", 400 * time.Millisecond},
		{"the known relay is gone", []string{goneRelayAddr}, []string{relayedAddr}, throughRelay(300 * time.Millisecond), ViaPunched, "known relay! find relay punch", findAfter + 400*time.Millisecond},
		{"punched at the known relay", []string{relayedAddr}, nil, throughRelay(2 * time.Second), ViaPunched, "known relay punch", 2100 * time.Millisecond},
		{"relayed", nil, []string{stale, relayedAddr}, throughRelay(time.Hour), ViaRelayed, "known! find direct! relay punch!", 10100 * time.Millisecond},
		{"direct, after the relay", []string{fresh, relayedAddr}, nil, slowDirect, ViaDirect, "known direct relay punch", 800 * time.Millisecond},
		{"the relay ends", nil, []string{relayedAddr}, throughRelay(-time.Second), 0, "known! find relay punch!", 1100 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, s, teller := newTheatre(t)
				s.net.play = func(ctx context.Context, addrs []multiaddr.Multiaddr, direct bool) (string, error) {
					return tt.play(ctx, s, addrs, direct)
				}
				s.Peerstore().AddAddrs(s.net.actor, roomtest.Addrs(tt.known...), time.Hour)
				if tt.found != nil {
					teller.will(says(protocol.Response{Closer: nil, Providers: []protocol.Peer{{ID: s.net.actor, Addrs: roomtest.Addrs(tt.found...)}}}))
				}
				var got Connection
				var err error
				spent := roomtest.Took(func() { got, err = d.Connect(t.Context(), s.net.actor, WaitDirect(10*time.Second)) })
				if got.Via != tt.via || (err != nil) != (tt.via == 0) || stepNames(got.Steps) != tt.steps {
					t.Errorf("via %v, %q, %v; want %v, %q", got.Via, stepNames(got.Steps), err, tt.via, tt.steps)
				}
				if spent < tt.took || spent > tt.took+settleTime+50*time.Millisecond {
					t.Errorf("took %v, want %v", spent, tt.took)
				}
				if tt.via == 0 {
					checkConnectError(t, err, got.Steps)
				} else if (tt.via == ViaRelayed) != (got.Addr.String() == relayedAddr) {
					t.Errorf("connected to %v", got.Addr)
				}
				time.Sleep(10 * time.Second) // what was given up has ended
			})
		})
	}
}

// newTheatre returns a node on a theatre, and the only peer that it can ask.
func newTheatre(t *testing.T) (*DHT, *theatre, *puppet) {
	t.Helper()
	n := newTestNet(t)
	_, actor := roomtest.NewPeer(t)
	h := n.host()
	s := &theatre{Host: h, net: stageNetwork{Network: h.Network(), actor: actor}}
	teller := puppetOn(n.hostOn("/ip4/40.1.0.1/tcp/4001", func(routing.Key) bool { return true }), says(protocol.Response{}))
	d := n.attach(s, Config{Bootstrap: []peer.AddrInfo{info(teller.Host)}, DisablePresence: true})
	if err := d.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return d, s, teller
}

// stepNames returns the names of steps, those that failed with an exclamation mark.
func stepNames(steps []Step) string {
	var names []string
	for _, s := range steps {
		if s.Err != nil {
			s.Name += "!"
		}
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

// checkConnectError checks that an error tells all that went wrong.
func checkConnectError(t *testing.T, err error, steps []Step) {
	t.Helper()
	failed := new(ConnectError)
	if !errors.As(err, &failed) {
		t.Fatalf("%v is no ConnectError", err)
	}
	for _, s := range steps {
		if s.Err == nil {
			continue
		}
		if !errors.Is(err, s.Err) {
			t.Errorf("%v does not wrap %v", err, s.Err)
		}
		for _, a := range s.Addrs {
			mentions(t, err.Error(), s.Name, a.String())
		}
	}
}

// A caller that has no more time is told how far Connect came, and one with a relayed
// connection has that.
func TestConnectInTime(t *testing.T) { synctest.Test(t, testConnectInTime) }

func testConnectInTime(t *testing.T) {
	d, s, _ := newTheatre(t)
	s.Peerstore().AddAddrs(s.net.actor, roomtest.Addrs(publicAddr), peerstore.PermanentAddrTTL)
	s.net.play = func(ctx context.Context, addrs []multiaddr.Multiaddr, _ bool) (string, error) {
		return "", dead(ctx, s.net.actor, addrs, time.Hour)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var err error
	if spent := roomtest.Took(func() { _, err = d.Connect(ctx, s.net.actor) }); spent != time.Second {
		t.Errorf("took %v, want what the caller has", spent)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Connect() = %v", err)
	}
	mentions(t, err.Error(), "in time", "direct")

	s.net.enter(relayedAddr)
	ctx, cancel = context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if got, err := d.Connect(ctx, s.net.actor); err != nil || got.Via != ViaRelayed {
		t.Errorf("Connect() = %v, %v; want the relayed connection", got.Via, err)
	}
	if got, err := d.Connect(t.Context(), s.net.actor, WaitDirect(0)); err != nil || got.Via != ViaRelayed {
		t.Errorf("Connect() = %v, %v; want the relayed connection at once", got.Via, err)
	}
	s.net.enter(publicAddr)
	if got, err := d.Connect(t.Context(), s.net.actor); err != nil || got.Via != ViaDirect || len(got.Steps) != 0 {
		t.Errorf("Connect() = %v, %v; want the direct connection", got, err)
	}
	if _, err := d.Connect(t.Context(), d.ID()); err == nil {
		t.Error("connected to itself")
	}
	if _, err := d.Connect(t.Context(), s.net.actor, WaitDirect(-1)); err == nil {
		t.Error("waits for less than nothing")
	}
	if _, err := d.Connect(t.Context(), "x"); err == nil {
		t.Error("connected to what is no peer")
	}
	s.net.leave()
	_ = d.Close()
	if _, err := d.Connect(t.Context(), s.net.actor); !errors.Is(err, ErrClosed) {
		t.Errorf("Connect() after Close = %v", err)
	}
}

// A step says in words what it was.
func TestStepString(t *testing.T) {
	a := multiaddr.StringCast("/ip4/1.2.3.4/tcp/1")
	for want, s := range map[string]Step{
		"find (2ms)":              {Name: "find", Took: 2 * time.Millisecond},
		"direct (0s, 1 address)":  {Name: "direct", Addrs: []multiaddr.Multiaddr{a}},
		"relay (0s, 3 addresses)": {Name: "relay", Addrs: []multiaddr.Multiaddr{a, a, a}},
		"known (0s): of no use":   {Name: "known", Err: errors.New("kad: of no use")},
		"punch (1s): too late":    {Name: "punch", Took: time.Second, Err: errors.New("too\nlate")},
	} {
		if got := s.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
