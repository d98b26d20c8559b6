package sim

import (
	"cmp"
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sort"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/routing"
)

// A Population is the nodes of a network: who they are, and whom each of them
// knows at the start. It does not change, and worlds share it.
//
// A node is named by its number: nodes are in the order of their keys.
type Population struct {
	seed    uint64
	keys    []routing.Key
	ordinal []uint32         // of each node before they were in order: what its ID is made of
	tables  []*routing.Table // of all nodes; nil if they are made when needed
	aged    bool             // all tables keep the nodes that came first
	views   []view           // of all nodes, in a network that grew; else nil
	gone    []bool           // of all nodes, in a network that grew; else nil
}

// NewPopulation returns n nodes, whose keys follow from seed. It takes 36 bytes
// for each, and half a microsecond of sorting.
func NewPopulation(n int, seed uint64) *Population {
	type numbered struct {
		key     routing.Key
		ordinal uint32
	}
	p := &Population{seed: seed, keys: make([]routing.Key, n), ordinal: make([]uint32, n)}
	all := make([]numbered, n)
	for i := range all {
		ordinal := uint32(i)
		all[i] = numbered{routing.KeyOf([]byte(p.idOf(ordinal))), ordinal}
	}
	slices.SortFunc(all, func(a, b numbered) int { return routing.Key{}.Compare(a.key, b.key) })
	for i, node := range all {
		p.keys[i], p.ordinal[i] = node.key, node.ordinal
	}
	return p
}

// Aged returns n nodes whose tables all saw the same order of arrival: each full bucket
// holds the nodes that came first, and all tables overlook the same late ones. That is
// the extreme of a network with a past.
func Aged(n int, seed uint64) *Population {
	p := NewPopulation(n, seed)
	p.aged = true
	return p
}

// Len returns the number of nodes.
func (p *Population) Len() int { return len(p.keys) }

// Contact returns a node as others know it.
func (p *Population) Contact(i int) routing.Contact {
	return routing.Contact{ID: p.idOf(p.ordinal[i]), Key: p.keys[i]}
}

// idOf returns the ID with that ordinal: 12 bytes, so that a million are small.
func (p *Population) idOf(ordinal uint32) peer.ID {
	var b [12]byte
	binary.BigEndian.PutUint64(b[:8], p.seed)
	binary.BigEndian.PutUint32(b[8:], ordinal)
	return peer.ID(b[:])
}

// find returns the node with that key.
func (p *Population) find(key routing.Key) (i int, ok bool) {
	return slices.BinarySearchFunc(p.keys, key, routing.Key{}.Compare)
}

// split returns where in the nodes from low to high, which share the first bit
// bits, those begin whose next bit is 1.
func (p *Population) split(low, high, bit int) int {
	return low + sort.Search(high-low, func(i int) bool { return bitOf(&p.keys[low+i], bit) == 1 })
}

// bitOf returns bit i of a key.
func bitOf(k *routing.Key, i int) byte { return k[i/8] >> (7 - i%8) & 1 }

// Closest returns the n nodes closest to target that keep accepts, closest
// first; fewer if there are no more. A nil keep accepts all.
func (p *Population) Closest(target routing.Key, n int, keep func(node int) bool) []int {
	var out []int
	var walk func(low, high, bit int)
	walk = func(low, high, bit int) {
		switch {
		case low >= high || len(out) >= n:
		case high-low == 1:
			if keep == nil || keep(low) {
				out = append(out, low)
			}
		default:
			middle := p.split(low, high, bit)
			if bitOf(&target, bit) == 0 {
				walk(low, middle, bit+1)
				walk(middle, high, bit+1)
			} else {
				walk(middle, high, bit+1)
				walk(low, middle, bit+1)
			}
		}
	}
	walk(0, len(p.keys), 0)
	return out
}

// buckets yields, for each CPL with node i, the nodes that have it: from low up
// to high. It ends at the closest neighbour.
func (p *Population) buckets(i int) func(yield func(low, high int) bool) {
	return func(yield func(low, high int) bool) {
		low, high := 0, len(p.keys)
		for bit := 0; high-low > 1; bit++ {
			middle := p.split(low, high, bit)
			from, to := low, middle
			if i < middle {
				from, to = middle, high
				high = middle
			} else {
				low = middle
			}
			if from < to && !yield(from, to) {
				return
			}
		}
	}
}

// A view is whom a node knows at the start.
type view struct {
	known []int32 // for each CPL, a sample of k of the nodes that have it, or all if they are fewer
	spare []int32 // some more of each CPL that has more: they wait for a place
}

// spares is how many replacements a bucket has at the start, if there are so
// many nodes. It is what a table keeps.
const spares = 10

// view returns whom node i knows: what its table would hold if all others had
// answered it in random order, in an aged network in the order of arrival, and in one
// that grew, what its table held. It is the same in each call.
func (p *Population) view(i, k int) view {
	if p.views != nil {
		return p.views[i]
	}
	rng := newRNG(mix(p.seed, forView, word(i)))
	var v view
	for low, high := range p.buckets(i) {
		var chosen []int32
		if p.aged {
			chosen = p.oldest(low, high, k+spares)
		} else {
			chosen = sample(rng, low, high, k+spares)
		}
		v.known = append(v.known, chosen[:min(k, len(chosen))]...)
		v.spare = append(v.spare, chosen[min(k, len(chosen)):]...)
	}
	return v
}

// oldest returns the n nodes that arrived first, of the ones from low up to high, the
// first first.
func (p *Population) oldest(low, high, n int) []int32 {
	best := make([]int32, 0, n+1)
	before := func(a, b int32) int { return cmp.Compare(p.ordinal[a], p.ordinal[b]) }
	for j := low; j < high; j++ {
		node := int32(j) //nolint:gosec // a population has less than 2^31 nodes
		if len(best) == n && before(best[n-1], node) < 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, node, before)
		best = slices.Insert(best, at, node)
		best = best[:min(n, len(best))]
	}
	return best
}

// sample returns up to n of the numbers from low up to high, in random order.
//
// Source: Robert Floyd, in Bentley: "A sample of brilliance", 1987.
func sample(rng *rand.Rand, low, high, n int) []int32 {
	n = min(n, high-low)
	chosen := make([]int32, 0, n)
	for top := high - n; top < high; top++ {
		pick := int32(low + rng.IntN(top-low+1)) //nolint:gosec // a population has less than 2^31 nodes
		if slices.Contains(chosen, pick) {
			pick = int32(top) //nolint:gosec // as above
		}
		chosen = append(chosen, pick)
	}
	rng.Shuffle(n, func(i, j int) { chosen[i], chosen[j] = chosen[j], chosen[i] })
	return chosen
}

// closest returns the n nodes of v closest to target, closest first, without
// one of them.
func (p *Population) closest(v view, target routing.Key, n, without int) []int {
	var best []ranked
	for _, c := range v.known {
		if int(c) == without {
			continue
		}
		r := ranked{distance(&p.keys[c], &target), int(c)}
		if len(best) == n {
			if best[n-1].distance <= r.distance {
				continue
			}
			best = best[:n-1]
		}
		at, _ := slices.BinarySearchFunc(best, r, func(a, b ranked) int { return a.compare(b) })
		best = slices.Insert(best, at, r)
	}
	out := make([]int, len(best))
	for i, r := range best {
		out[i] = r.node
	}
	return out
}

// A ranked node is one with the first 64 bits of its distance to a target. Two
// of a population that agree in these would be one in 10^7 networks of 10^6.
type ranked struct {
	distance uint64
	node     int
}

func (r ranked) compare(other ranked) int {
	switch {
	case r.distance < other.distance:
		return -1
	case r.distance > other.distance:
		return 1
	}
	return 0
}

// distance returns the first 64 bits of the distance of two keys.
func distance(a, b *routing.Key) uint64 {
	return binary.BigEndian.Uint64(a[:8]) ^ binary.BigEndian.Uint64(b[:8])
}

// Fill makes the tables of all nodes, so that they answer from these. It takes
// some 60 kB for each, and a millisecond. It is for scenarios whose tables have
// the default configuration.
func (p *Population) Fill(progress func(done int)) {
	tables := make([]*routing.Table, len(p.keys))
	for i := range tables {
		tables[i] = p.table(i, routing.TableConfig{})
		progress(i + 1)
	}
	p.tables = tables
}

// table returns a new table of node i, with whom it knows at the start.
func (p *Population) table(i int, cfg routing.TableConfig) *routing.Table {
	t := routing.NewTable(p.keys[i], cfg)
	v := p.view(i, bucketSize(cfg))
	for _, group := range [][]int32{v.known, v.spare} {
		for _, c := range group {
			t.Seen(epoch, p.Contact(int(c)))
		}
	}
	return t
}
