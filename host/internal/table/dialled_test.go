package table

import (
	"testing"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
)

// A dialHost is a host with some connections.
type dialHost struct {
	lhost.Host

	conns []network.Conn
}

func (h *dialHost) Network() network.Network { return dialNetwork{h.Host.Network(), h} }

type dialNetwork struct {
	network.Network

	of *dialHost
}

func (n dialNetwork) ConnsToPeer(peer.ID) []network.Conn { return n.of.conns }

// A dialConn is a connection to a peer at an address.
type dialConn struct {
	network.Conn // nil: what is not implemented is not used

	to   peer.ID
	addr string
	dir  network.Direction
}

func (c *dialConn) RemotePeer() peer.ID                  { return c.to }
func (c *dialConn) RemoteMultiaddr() multiaddr.Multiaddr { return multiaddr.StringCast(c.addr) }
func (c *dialConn) Stat() network.ConnStats {
	return network.ConnStats{Stats: network.Stats{Direction: c.dir}}
}

// The address at which a peer on the internet was dialled is kept if the peer names none
// that reaches as far, and proves nothing else: neither an inbound connection nor a punched
// one.
func TestKeepDialled(t *testing.T) {
	const public, private = "/ip4/60.1.0.1/udp/4001/quic-v1", "/ip4/192.168.1.10/tcp/4001"
	id := calltest.ID(1)
	relayed := &dialConn{to: id, addr: "/ip4/40.1.0.1/tcp/4001/p2p/" + calltest.ID(2).String() + "/p2p-circuit", dir: network.DirOutbound}
	for name, tt := range map[string]struct {
		conn  *dialConn
		named string
		other *dialConn
		want  bool
	}{
		"dialled":                    {conn: &dialConn{to: id, addr: public, dir: network.DirOutbound}, named: private, want: true},
		"dialled, and it names none": {conn: &dialConn{to: id, addr: public, dir: network.DirOutbound}, want: true},
		"it names a public one":      {conn: &dialConn{to: id, addr: public, dir: network.DirOutbound}, named: "/ip4/60.1.0.1/tcp/9"},
		"it has dialled":             {conn: &dialConn{to: id, addr: public, dir: network.DirInbound}, named: private},
		"a hole was punched":         {conn: &dialConn{to: id, addr: public, dir: network.DirOutbound}, named: private, other: relayed},
		"it is near":                 {conn: &dialConn{to: id, addr: "/ip4/192.168.1.11/tcp/4001", dir: network.DirOutbound}},
		"through a relay":            {conn: relayed},
	} {
		t.Run(name, func(t *testing.T) {
			h := &dialHost{Host: calltest.New(t).Host(), conns: []network.Conn{tt.conn}}
			if tt.other != nil {
				h.conns = append(h.conns, tt.other)
			}
			f := newTable(t, Config{Host: h})
			if tt.named != "" {
				h.Peerstore().AddAddr(id, multiaddr.StringCast(tt.named), peerstore.ConnectedAddrTTL)
			}
			f.KeepDialled(tt.conn)
			kept := false
			for _, a := range h.Peerstore().Addrs(id) {
				kept = kept || a.Equal(tt.conn.RemoteMultiaddr())
			}
			if kept != tt.want {
				t.Errorf("kept: %v, want %v", kept, tt.want)
			}
		})
	}
}
