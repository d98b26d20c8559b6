package net_test

import (
	"bufio"
	"sync"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/protocol"
)

// An elsewhere is a host to whose handlers of streams some peers are at other addresses than their
// own: tests have one machine, and attackers many networks.
type elsewhere struct {
	host.Host

	peers sync.Map // of the address of each, by ID
}

// SetStreamHandler is that of the host.
func (h *elsewhere) SetStreamHandler(id lprotocol.ID, handler network.StreamHandler) {
	h.Host.SetStreamHandler(id, func(s network.Stream) {
		if addr, ok := h.peers.Load(s.Conn().RemotePeer().String()); ok {
			s = streamFrom{s, connFrom{s.Conn(), addr.(multiaddr.Multiaddr)}}
		}
		handler(s)
	})
}

// A streamFrom is a stream on another connection.
type streamFrom struct {
	network.Stream

	conn network.Conn
}

func (s streamFrom) Conn() network.Conn { return s.conn }

// A connFrom is a connection from another address.
type connFrom struct {
	network.Conn

	addr multiaddr.Multiaddr
}

func (c connFrom) RemoteMultiaddr() multiaddr.Multiaddr { return c.addr }

// echo writes what it reads, one frame after the other.
func echo(s network.Stream) {
	defer func() { _ = s.Reset() }()
	var out []byte
	for r := bufio.NewReader(s); ; {
		msg, err := protocol.ReadFrame(r, protocol.MaxFrame)
		if err != nil {
			return
		}
		out = protocol.AppendFrame(out[:0], msg)
		if _, err := s.Write(out); err != nil {
			return
		}
	}
}
