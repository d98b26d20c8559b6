// Package app has what the programs for people begin with: a host that listens, with a DHT on
// it, and the address that a friend is given.
package app

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/mattn/go-isatty"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/examples/internal/ports"
	kad "github.com/go-kad/kad/host"
)

// Listen is any port of all interfaces, over TCP and QUIC.
func Listen() []string {
	return []string{"/ip4/0.0.0.0/tcp/0", "/ip4/0.0.0.0/udp/0/quic-v1", "/ip6/::/tcp/0", "/ip6/::/udp/0/quic-v1"}
}

// Node makes a libp2p host that listens, and a DHT on it.
func Node(listen []string, cfg kad.Config, opts ...libp2p.Option) (host lhost.Host, dht *kad.DHT, err error) {
	if len(listen) == 0 {
		listen = Listen()
	}
	if AllLoopback(listen) { // there is no NAT to traverse
		if host, err = Host(listen, opts...); err == nil {
			if dht, err = kad.New(host, cfg); err != nil {
				_ = host.Close()
			}
		}
		return host, dht, err
	}
	host, err = Host(listen, append(opts, kad.Traversal(&dht, cfg))...)
	return host, dht, err
}

// AllLoopback reports whether only processes of this machine can dial what listens on
// these addresses.
func AllLoopback(listen []string) bool {
	return !slices.ContainsFunc(listen, func(addr string) bool {
		return !strings.HasPrefix(addr, "/ip4/127.") && !strings.HasPrefix(addr, "/ip6/::1/")
	})
}

// Host makes a libp2p host that listens.
func Host(listen []string, opts ...libp2p.Option) (lhost.Host, error) {
	addrs := make([]multiaddr.Multiaddr, len(listen))
	for i, a := range listen {
		addr, err := multiaddr.NewMultiaddr(a)
		if err != nil {
			return nil, fmt.Errorf("cannot listen on %s: %w", a, err)
		}
		addrs[i] = addr
	}
	if err := ports.InUse(addrs...); err != nil {
		return nil, err
	}
	host, err := libp2p.New(append(opts, libp2p.ListenAddrs(addrs...))...)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", strings.Join(listen, ", "), err)
	}
	return host, nil
}

// OneLine returns an error as one line, since an error can be several in one.
func OneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}

// IsTerminal reports whether a file is a terminal.
func IsTerminal(file any) bool {
	f, ok := file.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}
