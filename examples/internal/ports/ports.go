// Package ports finds ports that another program has. libp2p shares its ports, to dial
// from them, so that two programs with the same port start both, and each gets some of the
// connections that are meant for the other.
package ports

import (
	"errors"
	"fmt"
	"net"
	"strconv"
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
	for _, transport := range []int{multiaddr.P_TCP, multiaddr.P_UDP} {
		text, err := a.ValueForProtocol(transport)
		if err != nil {
			continue
		}
		port, err := strconv.Atoi(text)
		if err != nil || port == 0 {
			return false
		}
		// Neither socket shares its port.
		if transport == multiaddr.P_TCP {
			return inUse(net.ListenTCP("tcp", &net.TCPAddr{IP: ip, Port: port}))
		}
		return inUse(net.ListenUDP("udp", &net.UDPAddr{IP: ip, Port: port}))
	}
	return false
}

// inUse closes a socket, if there is one, and reports whether it could not be bound because
// its port is in use.
func inUse(socket interface{ Close() error }, err error) bool {
	if err == nil {
		_ = socket.Close()
	}
	return errors.Is(err, syscall.EADDRINUSE)
}
