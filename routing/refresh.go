package routing

import (
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// MaxRefreshCPL is the highest CPL that is refreshed. A preimage for it takes
// 2^16 hashes, some milliseconds; each CPL beyond doubles that. Only a network of more
// than a million nodes has a bucket that deep, and a lookup of our own key finds its
// nodes.
const MaxRefreshCPL = 15

// beyondGap is how many CPLs are refreshed beyond the first that has no contact.
const beyondGap = 2

// A refresh says when a CPL was last looked up, and what has happened there since.
type refresh struct {
	at    time.Time
	calm  time.Duration // before at, no contact had entered or left for as long
	moved bool          // a contact has entered or left since
}

// due reports whether a CPL is to be looked up again.
func (r *refresh) due(now time.Time, age time.Duration) bool {
	if !r.moved {
		age = min(max(age, r.calm), maxBackoff*age)
	}
	return now.Sub(r.at) >= age
}

// RefreshK is how many of the closest a lookup finds that refreshes a bucket in which nothing has
// changed: its K, and its Alpha. The contacts that it asks name all that are new to us near the key. A
// lookup of the K of the table asks 20 contacts: a node of 60 at rest sends 3.9 requests a minute
// then, and at worst 39, in place of 1.2 and 10.
//
// Source: the specification of the Kademlia DHT of libp2p, whose lookups end by default when the 3
// closest have answered.
const RefreshK = 3

// Stale returns a CPL that was last refreshed at least age ago: the one with the
// fewest contacts, and of several the lowest. While no contact of a CPL enters or leaves,
// the age doubles with each refresh, up to eight times: a lookup would find what is there.
// k is how many of the closest the lookup is to find: [RefreshK] then, and otherwise the K of
// the table. Where sessions last half an hour, lookups take 8 % longer if it is always RefreshK,
// since a node then knows fewer of the newcomers.
//
// Only CPLs up to the deepest one that holds a contact count, and with a gap at CPL c, only
// two more. Where one prefix of our key has no nodes at all, longer ones have few, and a
// lookup that deep finds the same nodes.
//
// Source: Kademlia paper, section 2.3, for a fixed age.
func (t *Table) Stale(now time.Time, age time.Duration) (cpl, k int, ok bool) {
	deepest, _ := t.depth()
	fewest := 0
	for c := range deepest + 1 {
		if !t.refreshes[c].due(now, age) {
			continue
		}
		if held := t.heldAt(c); !ok || held < fewest {
			cpl, fewest, ok = c, held, true
		}
	}
	k = t.cfg.K
	if r := t.refreshes[cpl]; !r.moved && !r.at.IsZero() {
		k = min(k, RefreshK)
	}
	return cpl, k, ok
}

// Refreshed records that a key of that CPL was looked up, to refresh or for a user. A
// CPL above [MaxRefreshCPL] has no effect.
func (t *Table) Refreshed(now time.Time, cpl int) {
	t.begin()
	if cpl > MaxRefreshCPL {
		return
	}
	r := &t.refreshes[cpl]
	calm := time.Duration(0)
	if !r.moved && !r.at.IsZero() {
		calm = r.calm + now.Sub(r.at)
	}
	*r = refresh{at: now, calm: calm}
}

// moved records that a contact of that CPL has entered or left.
func (t *Table) moved(cpl int) { t.refreshes[min(cpl, MaxRefreshCPL)].moved = true }

// RefreshCPLs returns the CPLs that a node looks up when it joins, after its own
// key: all that are farther than its closest neighbour, with the limits of
// [Table.Stale]. The lookups find contacts, so it is to be called again when
// they are over.
//
// Source: Kademlia paper, section 2.3.
func (t *Table) RefreshCPLs() []int {
	deepest, neighbour := t.depth()
	var cpls []int
	for c := range min(deepest+1, neighbour) {
		cpls = append(cpls, c)
	}
	return cpls
}

// LoneCPLs returns the CPLs that a node looks up beside its own key when it joins. There are
// some if its K closest contacts have one CPL: then it is the only node known on its own side
// of the bit after that prefix, and is to hold the records of that side, which the nodes on
// the other side have. All of those should know it, and there may be more than K, while the
// lookup of its own key finds the K closest. A key on its own side that differs in a later bit
// is closest to others of them. With K = 3, one node of 10 needs that; with K = 20, one of a
// million.
func (t *Table) LoneCPLs() (cpls []int) {
	closest := t.Closest(t.self, t.cfg.K)
	if len(closest) < t.cfg.K {
		return nil
	}
	side, last := t.self.CPL(closest[0].Key), closest[len(closest)-1].Key
	if t.self.CPL(last) != side {
		return nil
	}
	for cpl := side + 1; cpl <= min(t.self.flip(side).CPL(last), MaxRefreshCPL); cpl++ {
		cpls = append(cpls, cpl)
	}
	return cpls
}

// heldAt returns how many contacts have that CPL.
func (t *Table) heldAt(cpl int) (n int) {
	for _, e := range t.bucket(cpl).entries {
		if e.cpl == cpl {
			n++
		}
	}
	return n
}

// depth returns the deepest CPL that is worth a refresh, and the CPL of the
// closest neighbour; both are -1 if there are no contacts.
func (t *Table) depth() (deepest, neighbour int) {
	neighbour = -1
	var held [MaxRefreshCPL + 1]bool
	for _, b := range t.buckets {
		for _, e := range b.entries {
			neighbour = max(neighbour, e.cpl)
			held[min(e.cpl, MaxRefreshCPL)] = true
		}
	}
	deepest = min(neighbour, MaxRefreshCPL)
	for c := range deepest {
		if !held[c] {
			return min(c+beyondGap, deepest), neighbour
		}
	}
	return deepest, neighbour
}

// MaxPreimageBits is the longest prefix that [PreimageOf] searches for: a million
// hashes, a tenth of a second.
const MaxPreimageBits = 20

// Preimage returns bytes with a key that shares exactly cpl bits with self, as
// [PreimageOf] does. It takes 2^(cpl+1) hashes on average, and panics if cpl is
// not from 0 to [MaxRefreshCPL].
//
// Source: Kademlia paper, section 2.3.
func Preimage(self Key, cpl int, rng *rand.Rand) []byte {
	if cpl < 0 || cpl > MaxRefreshCPL {
		panic("routing: preimage for a CPL out of range")
	}
	return PreimageOf(self.flip(cpl), cpl+1, rng)
}

// PreimageOf returns bytes with a key that shares at least the first bits with prefix,
// drawn with rng. They have the form of a peer ID, the multihash of a SHA-256, so
// that nodes which check the target of a request answer. It takes 2^bits hashes on
// average, and panics if bits is not from 0 to [MaxPreimageBits].
//
// Spec: libp2p peer ID, for the form.
func PreimageOf(prefix Key, bits int, rng *rand.Rand) []byte {
	if bits < 0 || bits > MaxPreimageBits {
		panic("routing: preimage for a prefix out of range")
	}
	const sha256Code, size = 0x12, 32
	b := []byte{sha256Code, size}
	for range size / 8 {
		b = binary.BigEndian.AppendUint64(b, rng.Uint64())
	}
	counter := b[len(b)-8:]
	for n := binary.BigEndian.Uint64(counter); ; n++ {
		binary.BigEndian.PutUint64(counter, n)
		if prefix.CPL(KeyOf(b)) >= bits {
			return b
		}
	}
}
