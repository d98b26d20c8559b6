package host

import (
	"fmt"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
)

// ParseAddrs parses addresses of peers, each ending in "/p2p/ID", into what
// [Config.Bootstrap] takes. Several addresses of one peer become one entry. The
// error names the address and what is missing in it.
func ParseAddrs(addrs ...string) ([]peer.AddrInfo, error) {
	var infos []peer.AddrInfo
	for _, s := range addrs {
		info, err := peer.AddrInfoFromString(s)
		if err != nil {
			return nil, fmt.Errorf("kad: %q is not the address of a peer, such as /ip4/192.0.2.1/tcp/4001/p2p/12D3Koo...: %w", s, err)
		}
		if len(info.Addrs) == 0 {
			return nil, fmt.Errorf("kad: %q has the ID of the peer and no address: put its address before /p2p/", s)
		}
		i := slices.IndexFunc(infos, func(have peer.AddrInfo) bool { return have.ID == info.ID })
		if i < 0 {
			infos = append(infos, *info)
		} else {
			infos[i].Addrs = append(infos[i].Addrs, info.Addrs...)
		}
	}
	return infos, nil
}
