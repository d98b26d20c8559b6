package connect

// Two peers in one home, or office, whose network drops multicast do not find each other
// there, and their router seldom leads back in what comes from inside: they stay relayed. So
// they tell each other their local addresses over the relayed connection, if peers on the
// internet see both at the same address.
//
// The side that has dialled the relay sends where it is seen. The other side answers with its
// local addresses if it is seen there too, and with none else. The first side dials them. If
// that fails, for instance at a firewall of the other machine, it sends its own, which the
// other side dials. Both never dial at the same time: over TCP, such dials can meet and fail.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/scope"
)

const (
	// lanTimeout bounds an exchange of local addresses, with both dials.
	lanTimeout = 15 * time.Second

	// lanDialTimeout bounds one dial: a machine in the same network answers in a second.
	lanDialTimeout = 5 * time.Second

	// maxLANAddrs bounds the addresses of a message, and maxLANAddr the bytes of one.
	maxLANAddrs = 8
	maxLANAddr  = 64
)

// lanProtocol is the protocol of the exchange.
func (c *Connector) lanProtocol() lprotocol.ID { return c.cfg.Protocol + "/lan" }

// ShareLAN answers peers that seem to be in the same local network, until the function that it
// returns is called.
func (c *Connector) ShareLAN() (stop func()) {
	h := c.cfg.Host
	h.SetStreamHandler(c.lanProtocol(), func(s network.Stream) {
		if !c.exchange(func(context.Context) (network.Stream, error) { return s, nil }, c.answerLAN) {
			_ = s.Reset()
		}
	})
	return func() { h.RemoveStreamHandler(c.lanProtocol()) }
}

// Identified takes in a connection whose peer is known now. If it is a relayed one that this
// host has dialled, the peer is asked for its local addresses; one that has come in is
// remembered, to punch again. It does not block. Call it in the goroutine of the background loop.
func (c *Connector) Identified(conn network.Conn) {
	if conn == nil || !scope.Relayed(conn) {
		return
	}
	if conn.Stat().Direction == network.DirInbound {
		c.cameIn(conn)
		return
	}
	if conn.Stat().Direction != network.DirOutbound || len(c.cfg.Reach.SeenAt()) == 0 {
		return
	}
	id := conn.RemotePeer()
	if !c.cfg.Table.Supports(id, c.lanProtocol()) {
		return
	}
	c.exchange(func(ctx context.Context) (network.Stream, error) {
		return c.cfg.Host.NewStream(network.WithNoDial(network.WithAllowLimitedConn(ctx, "lan"), "lan"), id, c.lanProtocol())
	}, c.askLAN)
}

// exchange runs one side of an exchange in the background, over a stream that is opened
// there. It is false if there are too many, or the node is closed. A peer with a direct
// connection is told nothing.
func (c *Connector) exchange(
	open func(context.Context) (network.Stream, error), side func(context.Context, peer.ID, io.ReadWriter) error,
) bool {
	return c.lan.Try(c.cfg.Tasks, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, lanTimeout)
		defer cancel()
		s, err := open(ctx)
		if err != nil {
			return // the relayed connection has ended
		}
		defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
		if scope.Relayed(s.Conn()) {
			err = side(ctx, s.Conn().RemotePeer(), s)
		} else {
			err = errDirect
		}
		if err != nil {
			log.Debugw("local addresses", "peer", s.Conn().RemotePeer(), "error", err)
			_ = s.Reset()
			return
		}
		_ = s.Close()
	})
}

// askLAN is the side that has dialled the relayed connection.
func (c *Connector) askLAN(ctx context.Context, id peer.ID, s io.ReadWriter) error {
	var seen []multiaddr.Multiaddr
	for _, ip := range c.cfg.Reach.SeenAt() {
		seen = append(seen, multiaddr.StringCast("/ip4/"+ip.String()))
	}
	if _, err := s.Write(message(seen)); err != nil {
		return err
	}
	theirs, err := readAddrs(s)
	if err != nil || len(theirs) == 0 {
		return err
	}
	if c.dialLAN(ctx, id, theirs) == nil {
		return nil
	}
	_, err = s.Write(message(c.lanAddrs()))
	return err
}

// answerLAN is the other side.
func (c *Connector) answerLAN(ctx context.Context, id peer.ID, s io.ReadWriter) error {
	seen, err := readAddrs(s)
	if err != nil {
		return err
	}
	var ours []multiaddr.Multiaddr
	here := c.cfg.Reach.SeenAt()
	if slices.ContainsFunc(seen, func(a multiaddr.Multiaddr) bool { return slices.Contains(here, ipOf(a)) }) {
		ours = c.lanAddrs()
	}
	if _, err := s.Write(message(ours)); err != nil || len(ours) == 0 {
		return err
	}
	theirs, err := readAddrs(s)
	if errors.Is(err, io.EOF) {
		return nil // it is connected
	}
	if err != nil {
		return err
	}
	return c.dialLAN(ctx, id, theirs)
}

var (
	errNoLAN  = errors.New("none of the addresses is in a network of this machine")
	errDirect = errors.New("the peer is connected directly")
)

// dialLAN dials local addresses of a peer, the ones that are in a network of this machine: a
// peer cannot have it dial into other ones.
func (c *Connector) dialLAN(ctx context.Context, id peer.ID, addrs []multiaddr.Multiaddr) error {
	near := slices.DeleteFunc(addrs, func(a multiaddr.Multiaddr) bool { return !c.isNear(a) })
	if len(near) == 0 {
		return errNoLAN
	}
	ctx, cancel := context.WithTimeout(ctx, lanDialTimeout)
	defer cancel()
	c.cfg.Host.Peerstore().AddAddrs(id, near, peerstore.TempAddrTTL)
	c.cfg.Call.ForgetFailures(id)
	return call.Dial(network.WithForceDirectDial(ctx, "lan"), c.cfg.Host, id)
}

// lanAddrs returns the addresses of this host that other machines in its local networks reach.
func (c *Connector) lanAddrs() []multiaddr.Multiaddr {
	here := slices.DeleteFunc(slices.Clone(c.cfg.Host.Addrs()), func(a multiaddr.Multiaddr) bool {
		return scope.Of(a) != scope.Private || len(a.Bytes()) > maxLANAddr || !isPlain(a)
	})
	return scope.Best(here, nil, maxLANAddrs)
}

// isNear reports whether an address is in a local network of this machine, and not its own.
func (c *Connector) isNear(a multiaddr.Multiaddr) bool {
	ip := ipOf(a)
	if scope.Of(a) != scope.Private || !isPlain(a) || c.cfg.Interfaces == nil {
		return false
	}
	addrs, err := c.cfg.Interfaces()
	if err != nil {
		return false
	}
	near := false
	for _, at := range addrs {
		if p, err := netip.ParsePrefix(at.String()); err == nil {
			if p.Addr().Unmap() == ip {
				return false
			}
			near = near || p.Contains(ip)
		}
	}
	return near
}

// isPlain reports whether an address is one of a machine, reached without a relay, which other
// machines can use as it is. A link-local one is none: it needs the name of an interface.
func isPlain(a multiaddr.Multiaddr) bool {
	ip := ipOf(a)
	return ip.IsValid() && !ip.IsUnspecified() && ip.IsGlobalUnicast() && !scope.HasProtocol(a, multiaddr.P_CIRCUIT)
}

var errLAN = errors.New("a list of addresses that is too long")

// message returns a message with addresses: how many they are, in a byte, and before each how
// long it is. There are at most maxLANAddrs, of maxLANAddr bytes.
func message(addrs []multiaddr.Multiaddr) []byte {
	b := []byte{byte(len(addrs))} //nolint:gosec // see above
	for _, a := range addrs {
		b = append(append(b, byte(len(a.Bytes()))), a.Bytes()...) //nolint:gosec // see above
	}
	return b
}

// readAddrs reads a message with addresses. The error is [io.EOF] if there is none.
func readAddrs(r io.Reader) ([]multiaddr.Multiaddr, error) {
	var n [1]byte
	if _, err := io.ReadFull(r, n[:]); err != nil {
		return nil, err
	}
	if n[0] > maxLANAddrs {
		return nil, fmt.Errorf("%w: %d of them", errLAN, n[0])
	}
	addrs := make([]multiaddr.Multiaddr, 0, n[0])
	for range n[0] {
		var size [1]byte
		if _, err := io.ReadFull(r, size[:]); err != nil {
			return nil, unexpected(err)
		}
		if size[0] > maxLANAddr {
			return nil, fmt.Errorf("%w: one of %d bytes", errLAN, size[0])
		}
		b := make([]byte, size[0])
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, unexpected(err)
		}
		a, err := multiaddr.NewMultiaddrBytes(b)
		if err != nil {
			return nil, fmt.Errorf("an address: %w", err)
		}
		addrs = append(addrs, a)
	}
	return addrs, nil
}

// unexpected returns the error of a message that ends too early.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
