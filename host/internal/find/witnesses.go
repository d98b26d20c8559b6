package find

import (
	"cmp"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// maxNamed bounds the addresses that one peer adds.
const maxNamed = 16

// witnesses counts the peers that name each address of a peer: the only reason to prefer
// an address that is not certified. The zero value is empty.
type witnesses struct {
	addrs []witnessed // in the order in which they came up
	index map[string]int
}

// A witnessed is an address and the peers that named it, the first one first.
type witnessed struct {
	addr  multiaddr.Multiaddr
	peers []peer.ID
}

// add adds the first maxNamed addresses that one peer names.
func (w *witnesses) add(from peer.ID, addrs []multiaddr.Multiaddr) {
	if w.index == nil {
		w.index = make(map[string]int)
	}
	for _, a := range addrs[:min(len(addrs), maxNamed)] {
		key := string(a.Bytes())
		i, ok := w.index[key]
		if !ok {
			i = len(w.addrs)
			w.index[key] = i
			w.addrs = append(w.addrs, witnessed{addr: a})
		}
		if !slices.Contains(w.addrs[i].peers, from) {
			w.addrs[i].peers = append(w.addrs[i].peers, from)
		}
	}
}

// located returns the addresses with their origin, those that most peers named first. Of
// equals, the address that came up first is first.
func (w *witnesses) located(source Source) []LocatedAddr {
	ordered := slices.Clone(w.addrs)
	slices.SortStableFunc(ordered, func(a, b witnessed) int { return cmp.Compare(len(b.peers), len(a.peers)) })
	list := make([]LocatedAddr, len(ordered))
	for i, x := range ordered {
		list[i] = LocatedAddr{Addr: x.addr, Source: source, From: x.peers[0], Age: -1}
	}
	return list
}
