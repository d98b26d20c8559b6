package main

import (
	"github.com/libp2p/go-libp2p/core/network"
	manet "github.com/multiformats/go-multiaddr/net"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/carry"
)

// viaOf returns how a peer is connected. Before is how it was connected until now, or 0.
// A direct connection to an address of the internet that came after a relayed one is a punched
// one.
func viaOf(conns []network.Conn, before kad.Via) kad.Via {
	var direct, relayed network.Conn // the ones that were opened first
	for _, conn := range conns {
		first := &direct
		if carry.IsRelayed(conn) {
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
		return before // another direct connection makes no difference
	case !manet.IsPublicAddr(direct.RemoteMultiaddr()):
		return kad.ViaDirect // in a local network
	case before == kad.ViaRelayed, relayed != nil && relayed.Stat().Opened.Before(direct.Stat().Opened):
		return kad.ViaPunched
	default:
		return kad.ViaDirect
	}
}
