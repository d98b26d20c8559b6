package host

import (
	"cmp"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
)

// maxTold bounds the addresses that one teller adds to a tally.
const maxTold = 16

// A tally counts who tells which address of a peer, where nothing else speaks for one
// address rather than another. The zero value is empty.
type tally struct {
	told  []toldAddr // in the order in which they came up
	index map[string]int
}

// A toldAddr is an address, and those who told it, the first one first.
type toldAddr struct {
	addr    multiaddr.Multiaddr
	tellers []peer.ID
}

// add adds what one peer tells, the first maxTold addresses of it.
func (t *tally) add(from peer.ID, addrs []multiaddr.Multiaddr) {
	if t.index == nil {
		t.index = make(map[string]int)
	}
	for _, a := range addrs[:min(len(addrs), maxTold)] {
		key := string(a.Bytes())
		i, ok := t.index[key]
		if !ok {
			i = len(t.told)
			t.index[key] = i
			t.told = append(t.told, toldAddr{addr: a})
		}
		if !slices.Contains(t.told[i].tellers, from) {
			t.told[i].tellers = append(t.told[i].tellers, from)
		}
	}
}

// located returns the addresses with their story: those first that most have told, and
// of these the one that came up first.
func (t *tally) located(source Source) []LocatedAddr {
	ordered := slices.Clone(t.told)
	slices.SortStableFunc(ordered, func(a, b toldAddr) int { return cmp.Compare(len(b.tellers), len(a.tellers)) })
	list := make([]LocatedAddr, len(ordered))
	for i, x := range ordered {
		list[i] = LocatedAddr{Addr: x.addr, Source: source, From: x.tellers[0], Age: -1}
	}
	return list
}
