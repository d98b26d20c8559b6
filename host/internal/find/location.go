package find

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// A Source says where an address comes from: see host.Source.
type Source uint8

// The sources, the best first.
const (
	SourceConnected Source = iota
	SourceCertified
	SourcePresence
	SourceHearsay
)

// A LocatedAddr is an address of a peer and its origin: see host.LocatedAddr.
type LocatedAddr struct {
	Addr   multiaddr.Multiaddr
	Source Source
	From   peer.ID
	Age    time.Duration
}

// A Location has the addresses of a peer: see host.Location.
type Location struct {
	ID    peer.ID
	Addrs []LocatedAddr // the best first: by Source, and as their source orders them; each once
}

// Info returns the addresses alone.
func (l Location) Info() peer.AddrInfo {
	info := peer.AddrInfo{ID: l.ID}
	for _, a := range l.Addrs {
		info.Addrs = append(info.Addrs, a.Addr)
	}
	return info
}
