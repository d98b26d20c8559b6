package main

import (
	"github.com/libp2p/go-libp2p/core/network"

	kad "github.com/go-kad/kad/host"
)

// viaOf returns the way of the connections to a peer, which was another one before,
// or 0. A direct connection is a punched one if it came after a relayed one.
func viaOf(conns []network.Conn, before kad.Via) kad.Via {
	var direct, relayed network.Conn // those that were opened first
	for _, conn := range conns {
		first := &direct
		if isRelayed(conn) {
			first = &relayed
		}
		if !conn.IsClosed() && (*first == nil || conn.Stat().Opened.Before((*first).Stat().Opened)) {
			*first = conn
		}
	}
	switch {
	case direct == nil && relayed == nil:
		return before // it is about to leave
	case direct == nil:
		return kad.ViaRelayed
	case before != 0 && before != kad.ViaRelayed:
		return before // more connections to who is connected directly make no difference
	case before == kad.ViaRelayed, relayed != nil && relayed.Stat().Opened.Before(direct.Stat().Opened):
		return kad.ViaPunched
	default:
		return kad.ViaDirect
	}
}

// look tells of members that are connected in another way than before.
func (r *room) look() {
	for id, m := range r.members {
		via := viaOf(r.host.Network().ConnsToPeer(id), m.via)
		if via == m.via {
			continue
		}
		m.via = via
		if m.nick != "" {
			r.notify(event{kind: eventVia, nick: m.nick, via: via})
		}
	}
}

// inWords says how somebody is connected.
func inWords(via kad.Via) string {
	switch via {
	case kad.ViaPunched:
		return "directly (punched)"
	case kad.ViaRelayed:
		return "through a relay"
	default:
		return "directly"
	}
}
