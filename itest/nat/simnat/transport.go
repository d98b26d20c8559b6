package simnat

import (
	"fmt"
	"net"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/p2p/transport/quicreuse"
	"github.com/quic-go/quic-go"
	"go.uber.org/fx"
)

// Transport is the option of a libp2p host whose QUIC goes through the Link. Listen
// on [Link.ListenAddr], and switch other transports off: they open real sockets.
func (l *Link) Transport() libp2p.Option {
	listen := func(network string, at *net.UDPAddr) (net.PacketConn, error) {
		if network != "udp4" || !at.IP.IsUnspecified() && addrPort(at).Addr() != l.addr {
			return nil, fmt.Errorf("simnat: %s %s is not at %s", network, at, l.addr)
		}
		return l.Listen(uint16(at.Port)) //nolint:gosec // a port has 16 bits
	}
	return libp2p.QUICReuse(func(life fx.Lifecycle, reset quic.StatelessResetKey, token quic.TokenGeneratorKey) (*quicreuse.ConnManager, error) {
		m, err := quicreuse.NewConnManager(reset, token,
			quicreuse.OverrideListenUDP(listen),
			quicreuse.OverrideSourceIPSelector(func() (quicreuse.SourceIPSelector, error) { return source{l}, nil }),
		)
		if err != nil {
			return nil, err
		}
		// A host does not close what was given to it.
		life.Append(fx.StopHook(m.Close))
		return m, nil
	})
}

// ListenAddr is the option to listen for QUIC on a port of the Link.
func (l *Link) ListenAddr(port uint16) libp2p.Option {
	return libp2p.ListenAddrStrings(fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", l.addr, port))
}

// A source says that a machine has one address.
type source struct{ link *Link }

// PreferredSourceIPForDestination returns the address of the Link.
func (s source) PreferredSourceIPForDestination(*net.UDPAddr) (net.IP, error) {
	return s.link.addr.AsSlice(), nil
}
