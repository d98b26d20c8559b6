// Package ports finds ports that another program has. libp2p shares its ports, to dial
// from them, so that two programs with the same port start both, and each gets some of the
// connections that are meant for the other.
package ports

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// InUse returns an error that names the first of the addresses whose port another program
// has; nil if there is none. An address without a port of its own, such as port 0, is free.
func InUse(addrs ...multiaddr.Multiaddr) error {
	for _, a := range addrs {
		if taken(a) {
			return fmt.Errorf("another program listens on %s: choose another port, or 0 for any", a)
		}
	}
	return nil
}

// taken reports whether another program has the port of an address. It binds the port, and
// gives it back.
func taken(a multiaddr.Multiaddr) bool {
	ip, err := manet.ToIP(a)
	if err != nil {
		return false
	}
	ctx := context.Background() // to bind takes no time
	var config net.ListenConfig // it shares no port
	for _, transport := range []int{multiaddr.P_TCP, multiaddr.P_UDP} {
		port, err := a.ValueForProtocol(transport)
		if err != nil || port == "0" {
			continue
		}
		var socket interface{ Close() error }
		if transport == multiaddr.P_TCP {
			socket, err = config.Listen(ctx, "tcp", net.JoinHostPort(ip.String(), port))
		} else {
			socket, err = config.ListenPacket(ctx, "udp", net.JoinHostPort(ip.String(), port))
		}
		if err == nil {
			_ = socket.Close()
		}
		return errors.Is(err, syscall.EADDRINUSE)
	}
	return false
}
