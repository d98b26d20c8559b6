package find

import (
	"cmp"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/scope"
)

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
	rank  int // how many better addresses a peer named beside it, at least
}

// add adds the [scope.MaxTold] best addresses that one peer names.
func (w *witnesses) add(from peer.ID, addrs []multiaddr.Multiaddr) {
	if w.index == nil {
		w.index = make(map[string]int)
	}
	for rank, a := range scope.Best(addrs, nil, scope.MaxTold) {
		key := string(a.Bytes())
		i, ok := w.index[key]
		if !ok {
			i = len(w.addrs)
			w.index[key] = i
			w.addrs = append(w.addrs, witnessed{addr: a, rank: rank})
		}
		w.addrs[i].rank = min(w.addrs[i].rank, rank)
		if !slices.Contains(w.addrs[i].peers, from) {
			w.addrs[i].peers = append(w.addrs[i].peers, from)
		}
	}
}

// located returns the addresses with their origin, the ones that most peers named first.
// Of equals, the best ones of each peer are first, so that a peer that names many leaves
// room for others; then the address that came up first.
func (w *witnesses) located(source Source) []LocatedAddr {
	ordered := slices.Clone(w.addrs)
	slices.SortStableFunc(ordered, func(a, b witnessed) int {
		return cmp.Or(cmp.Compare(len(b.peers), len(a.peers)), cmp.Compare(a.rank, b.rank))
	})
	list := make([]LocatedAddr, len(ordered))
	for i, x := range ordered {
		list[i] = LocatedAddr{Addr: x.addr, Source: source, From: x.peers[0], Age: -1}
	}
	return list
}
