// Package lan finds the programs of a network that run in the same local network, by
// multicast DNS, and connects to them. Two programs behind one router have the same public
// address, which most routers do not let them dial, and their private addresses are told to
// no peer on the internet: without this, they stay connected through a relay.
package lan

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/discovery/mdns"

	"github.com/go-kad/kad/host/carry"
)

const (
	// maxDials bounds the peers that are dialled at a time: every program in the local
	// network can announce as many as it likes. What is found beyond that is left out,
	// until it announces itself again.
	maxDials = 8

	dialTimeout = 5 * time.Second
)

// Meet announces a host in the local network, and connects it to the hosts that others
// announce there under the same name of a network, until stop is called. What it announces
// is the ID of the host, and the addresses of its interfaces.
func Meet(h lhost.Host, name string) (stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	m := &meeting{host: h, ctx: ctx, slots: make(chan struct{}, maxDials)}
	service := mdns.NewMdnsService(h, service(name), m)
	if err := service.Start(); err != nil {
		cancel()
		return nil, fmt.Errorf("announcing in the local network: %w", err)
	}
	return sync.OnceFunc(func() {
		cancel()
		_ = service.Close() // no peer is found after it
		m.dials.Wait()
	}), nil
}

// service returns the name of the service of a network, which has 15 letters at most (RFC
// 6335).
func service(network string) string {
	sum := sha256.Sum256([]byte(network))
	return fmt.Sprintf("_kad-%x._udp", sum[:4])
}

// A meeting is a host that meets others.
type meeting struct {
	host  lhost.Host
	ctx   context.Context // of the dials
	slots chan struct{}
	dials sync.WaitGroup
}

// HandlePeerFound implements [mdns.Notifee]. One call comes after the other.
func (m *meeting) HandlePeerFound(found peer.AddrInfo) {
	if found.ID == m.host.ID() || m.direct(found.ID) {
		return
	}
	select {
	case m.slots <- struct{}{}:
	default:
		return
	}
	m.dials.Go(func() {
		defer func() { <-m.slots }()
		ctx, cancel := context.WithTimeout(network.WithForceDirectDial(m.ctx, "lan"), dialTimeout)
		defer cancel()
		_ = m.host.Connect(ctx, found) // it may be gone
	})
}

// direct reports whether there is a direct connection to a peer.
func (m *meeting) direct(id peer.ID) bool {
	for _, conn := range m.host.Network().ConnsToPeer(id) {
		if !conn.IsClosed() && !carry.IsRelayed(conn) {
			return true
		}
	}
	return false
}
