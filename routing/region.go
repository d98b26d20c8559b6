package routing

import "slices"

// A Region knows the nodes of parts of the key space, from lookups. Keys that lie
// near each other have nearly the same closest nodes, so that some lookups answer
// for many keys: in a network of 1000 nodes with K = 20, 71 to 77 lookups for any
// number of keys, and one for each of few keys.
//
// It forgets nothing, while nodes come and go: make a new one for each pass over a
// store. A lookup adds 30 kB at most, and less where it closes a gap. A Region is not
// safe for concurrent use.
//
// Source: none; the idea is that of sweeping reproviders.
type Region struct {
	k    int
	root *area
}

// An area is the part of the key space with one prefix. If it is nil, nothing is
// known of it.
type area struct {
	known  bool      // all of its nodes are in nodes, and it has no halves
	nodes  []Contact // at most k, in no order
	halves [2]*area  // by the next bit
	asked  bool      // a lookup had its target here
}

// NewRegion returns a Region that knows nothing, for lookups that find the k
// closest. It panics if k is less than 1.
func NewRegion(k int) *Region {
	if k < 1 {
		panic("routing: region with k below 1")
	}
	return &Region{k: k}
}

// Add takes in the result of a lookup of target: the k closest nodes that answered,
// closest first, each once, as in Closest of the [Lookup.Result] of a lookup that
// converged. If there are fewer than k, the network has no others. If there are more,
// the rest is ignored. Where it contradicts an earlier result, it wins.
//
// It proves that no other node is as close to target as the last one is. So where
// target and the last one differ in bit i, all nodes are known that agree with the
// last one before bit i and not in it.
func (r *Region) Add(target Key, closest []Contact) {
	if len(closest) < r.k {
		r.root = &area{known: true, nodes: slices.Clone(closest)}
		return
	}
	r.root = r.prove(r.root, 0, target, slices.Clone(closest[:r.k]))
	r.mark(target)
}

// prove returns a with what a lookup of target has proved. Its prefix is the first
// i bits of the last node, and nodes are the part of the result that begins with it.
func (r *Region) prove(a *area, i int, target Key, nodes []Contact) *area {
	last := nodes[len(nodes)-1].Key
	if i == KeyBits {
		return &area{known: true, nodes: nodes[:1]}
	}
	if a == nil {
		a = &area{}
	}
	a.divide(i)
	side := last.at(i)
	if target.at(i) != side {
		// Nodes that leave the path of the last one earlier are closer to target, so
		// that the nodes of each half stand together.
		n := 0
		for nodes[n].Key.at(i) != side {
			n++
		}
		a.halves[1-side] = &area{known: true, nodes: nodes[:n:n]}
		nodes = nodes[n:]
	}
	a.halves[side] = r.prove(a.halves[side], i+1, target, nodes)
	a.unite(r.k)
	return a
}

// divide makes two known halves of a known area that has a prefix of i bits.
func (a *area) divide(i int) {
	if !a.known {
		return
	}
	var halves [2]area
	for _, c := range a.nodes {
		h := &halves[c.Key.at(i)]
		h.nodes = append(h.nodes, c)
	}
	for b := range halves {
		halves[b].known = true
		a.halves[b] = &halves[b]
	}
	a.known, a.nodes = false, nil
}

// unite makes one known area of two known halves with at most k nodes: more would
// make it slower to search.
func (a *area) unite(k int) {
	zero, one := a.halves[0], a.halves[1]
	if zero == nil || one == nil || !zero.known || !one.known || len(zero.nodes)+len(one.nodes) > k {
		return
	}
	a.known, a.nodes, a.halves = true, one.nodes, [2]*area{}
	if len(zero.nodes) > 0 {
		a.nodes = slices.Concat(zero.nodes, one.nodes)
	}
}

// mark records in all areas around target that are not known whole that it was
// looked up.
func (r *Region) mark(target Key) {
	for a, i := r.root, 0; !a.known; i++ {
		a.asked = true
		a = a.halves[target.at(i)]
	}
}

// Closest returns the k nodes closest to key, fewer if the network has fewer, if the
// results that were added prove them. Else ok is false, and the first bits of prefix,
// at most [MaxPreimageBits], are the part of the key space to look into next: look up
// any key that begins with them, add the result, and ask again.
//
// If key itself begins with them, look up key: that needs no preimage, and its result
// answers. Else [PreimageOf] finds a key to look up.
func (r *Region) Closest(key Key) (closest []Contact, prefix Key, bits int, ok bool) {
	w := walk{key: key, room: r.k, found: make([]Contact, 0, 2*r.k)}
	if !w.visit(r.root, key, 0, -1) {
		return nil, w.prefix, w.bits, false
	}
	return w.found, Key{}, 0, true
}

// A walk visits areas in the order of their distance to key.
type walk struct {
	key    Key
	room   int // nodes that are wanted still
	found  []Contact
	prefix Key // of the area of which nothing is known
	bits   int
}

// visit finds nodes in a, which has the first bits of prefix as its prefix; the rest
// of prefix is that of key. It reports whether all is known that it needed. Wider is
// the length of the shortest of these prefixes where no lookup had its target, or
// negative.
//
// The next lookup has its target there, not in the small unknown part itself: it is
// likely to find all nodes of the wider part, where a lookup elsewhere has found some.
// Its preimage takes 27 hashes at most among 1000 nodes; one of the unknown part, 800
// to 15 000.
func (w *walk) visit(a *area, prefix Key, bits, wider int) bool {
	if w.room == 0 {
		return true
	}
	if wider < 0 && (a == nil || !a.asked) {
		wider = bits
	}
	switch {
	case a == nil:
		w.prefix, w.bits = prefix, wider
		if wider > MaxPreimageBits {
			// Too deep to search for a preimage: the lookup of key itself knows.
			w.prefix, w.bits = w.key, MaxPreimageBits
		}
		return false
	case a.known:
		w.take(a.nodes)
		return true
	}
	near := prefix.at(bits)
	return w.visit(a.halves[near], prefix, bits+1, wider) &&
		w.visit(a.halves[1-near], prefix.flip(bits), bits+1, wider)
}

// take adds nodes that are farther from key than the ones found before.
func (w *walk) take(nodes []Contact) {
	if len(nodes) == 0 {
		return
	}
	from := len(w.found)
	w.found = append(w.found, nodes...)
	SortByDistance(w.key, w.found[from:])
	if len(nodes) > w.room {
		w.found = w.found[:from+w.room]
	}
	w.room -= min(w.room, len(nodes))
}
