package app

import (
	"strings"

	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// BestAddr returns the address to give to a friend, the farthest-reaching one,
// and from where it can be reached.
func BestAddr(addrs []multiaddr.Multiaddr) (best multiaddr.Multiaddr, reach string) {
	reaches := []string{
		"on this machine (and on no other: only a loopback address is known)",
		"in your local network",
		"anywhere",
	}
	score := -1
	for _, a := range addrs {
		if _, err := a.ValueForProtocol(multiaddr.P_CIRCUIT); err == nil {
			continue // a node that needs a relay does not serve the DHT
		}
		far := 1
		switch {
		case manet.IsIPLoopback(a):
			far = 0
		case manet.IsPublicAddr(a):
			far = 2
		}
		s := 4 * far
		if ip, err := manet.ToIP(a); far == 1 && err == nil && ip.To4() != nil && ip.To4()[3] == 1 {
			s -= 2 // the first address of a network is mostly that of a bridge of containers
		}
		if _, err := a.ValueForProtocol(multiaddr.P_TCP); err == nil {
			s++ // shorter, and firewalls know it
		}
		if s > score {
			best, reach, score = a, reaches[far], s
		}
	}
	return best, reach
}

// Quote returns a word as a shell takes it.
func Quote(word string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/-_.", r)
	}
	if strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
