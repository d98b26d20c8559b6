package routing

import (
	"math/big"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// The tests of this file take the texts at their word: one sentence, one test.
// "Paper" is Maymounkov and Mazières, Kademlia, 2002; "Spec" is the libp2p
// kad-dht specification; "S/Kademlia" is Baumgart and Mies, 2007.

// "d(x, x) = 0, d(x, y) > 0 if x ≠ y, and ∀x, y : d(x, y) = d(y, x)." Paper, 2.1.
func TestPaperDistanceIsSymmetric(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, y := keys().Draw(t, "x"), keys().Draw(t, "y")
		// d(x, y) < d(x, z) is x.Compare(y, z) < 0, so d(x, y) > 0 is:
		if got, want := x.Compare(x, y) < 0, x != y; got != want {
			t.Errorf("d(x, y) > 0 is %v, want %v", got, want)
		}
		if x.CPL(y) != y.CPL(x) || (x.CPL(y) == KeyBits) != (x == y) {
			t.Errorf("CPL is %d and %d", x.CPL(y), y.CPL(x))
		}
		for i := range KeyBits {
			if x.bit(&y, i) != y.bit(&x, i) {
				t.Errorf("bit %d of the distance depends on the side", i)
			}
		}
	})
}

// "XOR also offers the triangle property: d(x, y) + d(y, z) ≥ d(x, z)." Paper,
// 2.1.
func TestPaperTriangleProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, y, z := keys().Draw(t, "x"), keys().Draw(t, "y"), keys().Draw(t, "z")
		detour := new(big.Int).Add(distance(x, y), distance(y, z))
		if detour.Cmp(distance(x, z)) < 0 {
			t.Errorf("d(x, y) + d(y, z) = %v < d(x, z)", detour)
		}
		// In prefixes: two legs share no fewer bits than the worse of them.
		if x.CPL(z) < min(x.CPL(y), y.CPL(z)) {
			t.Errorf("CPL %d, by way of y %d and %d", x.CPL(z), x.CPL(y), y.CPL(z))
		}
	})
}

// "For any given point x and distance Δ > 0, there is exactly one point y such
// that d(x, y) = Δ." Paper, 2.1.
func TestPaperOnePointPerDistance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x, y, z := keys().Draw(t, "x"), keys().Draw(t, "y"), keys().Draw(t, "z")
		if got, want := x.Compare(y, z) == 0, y == z; got != want {
			t.Errorf("equally far: %v, equal: %v", got, want)
		}
	})
}

// "For each 0 ≤ i < 160, every node keeps a list of ⟨IP address, UDP port, Node
// ID⟩ triples for nodes of distance between 2^i and 2^(i+1) from itself." Paper,
// 2.2.
func TestPaperBucketRange(t *testing.T) {
	self := KeyOf([]byte("self"))
	one := big.NewInt(1)
	for cpl := range 200 {
		for _, c := range withCPL(self, cpl, 3) {
			d := distance(self, c.Key)
			low := new(big.Int).Lsh(one, uint(KeyBits-1-cpl))
			high := new(big.Int).Lsh(one, uint(KeyBits-cpl))
			if self.CPL(c.Key) != cpl || d.Cmp(low) < 0 || d.Cmp(high) >= 0 {
				t.Errorf("distance %v is in the bucket of CPL %d", d, cpl)
			}
		}
	}
}

// "Each k-bucket is kept sorted by time last seen—least-recently seen node at the
// head, most-recently seen at the tail." Paper, 2.2.
func TestPaperBucketIsSortedByLastSeen(t *testing.T) {
	tab := NewTable(KeyOf([]byte("self")), TableConfig{})
	far := withCPL(tab.self, 0, 20)
	rng := seeded(t, 5)
	now := epoch
	for range 100 {
		now = now.Add(time.Second)
		tab.Seen(now, far[rng.IntN(len(far))])
		bySeen := func(a, b Held) int { return a.Seen.Compare(b.Seen) }
		if !slices.IsSortedFunc(tab.Buckets()[0].Contacts, bySeen) {
			t.Fatal("the bucket is not sorted")
		}
	}
}

// tail returns the most recently seen contact of the farthest bucket.
func tail(tab *Table) Contact {
	c := tab.Buckets()[0].Contacts
	return c[len(c)-1].Contact
}

// "If the sending node already exists in the recipient's k-bucket, the recipient
// moves it to the tail of the list." Paper, 2.2.
func TestPaperKnownNodeMovesToTail(t *testing.T) {
	tab, far := fullBucket(TableConfig{})
	if got := tab.Seen(epoch.Add(time.Hour), far[0]); got != Refreshed {
		t.Errorf("outcome = %v, want %v", got, Refreshed)
	}
	if got := tail(tab); got.ID != far[0].ID || tab.Len() != 2 {
		t.Errorf("tail is %s", got.ID)
	}
}

// "If the node is not already in the appropriate k-bucket and the bucket has
// fewer than k entries, then the recipient just inserts the new sender at the
// tail of the list." Paper, 2.2.
func TestPaperNewNodeEntersAtTail(t *testing.T) {
	tab, far := fullBucket(TableConfig{})
	if got := tail(tab); got.ID != far[1].ID {
		t.Errorf("tail is %s, want the last one that was seen", got.ID)
	}
}

// "If the appropriate k-bucket is full, however, then the recipient pings the
// k-bucket's least-recently seen node to decide what to do." Paper, 2.2.
func TestPaperFullBucketPingsHead(t *testing.T) {
	tab, far := fullBucket(TableConfig{ProbeAfter: never})
	tab.Seen(epoch.Add(time.Hour), far[2])
	if got := dueIDs(tab, epoch.Add(time.Hour)); !slices.Equal(got, ids(far[:1])) {
		t.Errorf("pinged are %v, want the head", got)
	}
}

// "If the least-recently seen node fails to respond, it is evicted from the
// k-bucket and the new sender inserted at the tail." Paper, 2.2.
func TestPaperDeadHeadIsEvicted(t *testing.T) {
	tab, far := fullBucket(TableConfig{})
	now := epoch.Add(time.Hour)
	tab.Seen(now, far[2])
	dueIDs(tab, now)
	tab.Checked(now, far[0], false)
	proveOnline(tab, now)
	if _, ok := tab.Contact(far[0].Key); ok || tail(tab).ID != far[2].ID {
		t.Errorf("head is there: %v; tail is %s", ok, tail(tab).ID)
	}
}

// "Otherwise, if the least-recently seen node responds, it is moved to the tail
// of the list, and the new sender's contact is discarded." Paper, 2.2. Here the
// new contact stays as a replacement, which is what 4.1 makes of it.
func TestPaperLiveHeadIsKept(t *testing.T) {
	tab, far := fullBucket(TableConfig{})
	now := epoch.Add(time.Hour)
	tab.Seen(now, far[2])
	dueIDs(tab, now)
	tab.Checked(now, far[0], true)
	if _, ok := tab.Contact(far[2].Key); ok || tail(tab).ID != far[0].ID {
		t.Errorf("newcomer is there: %v; tail is %s", ok, tail(tab).ID)
	}
}

// "k-buckets effectively implement a least-recently seen eviction policy, except
// that live nodes are never removed from the list." Paper, 2.2.
func TestPaperLiveNodesAreNeverRemoved(t *testing.T) {
	tab, far := fullBucket(TableConfig{})
	now := epoch
	for i := range 1000 {
		now = now.Add(time.Minute)
		tab.Seen(now, at(tab.self, 0, "newcomer "+time.Duration(i).String()))
		probe, _ := tab.Due(now, 8)
		for _, c := range probe {
			tab.Checked(now, c, true)
		}
	}
	for _, c := range far[:2] {
		if _, ok := tab.Contact(c.Key); !ok {
			t.Errorf("%s is gone", c.ID)
		}
	}
}

// "The lookup initiator starts by picking α nodes from its closest non-empty
// k-bucket (or, if that bucket has fewer than α entries, it just takes the α
// closest nodes it knows of)." Paper, 2.3.
func TestPaperLookupStartsWithAlphaClosest(t *testing.T) {
	l := NewLookup("self", target, span(1, 20), LookupConfig{Alpha: 3})
	expectAsks(t, l, epoch, span(1, 3)...)
}

// "Of the k nodes the initiator has heard of closest to the target, it picks α
// that it has not yet queried and resends the FIND_NODE RPC to them." Paper, 2.3.
func TestPaperLookupAsksAmongTheClosest(t *testing.T) {
	l := NewLookup("self", target, span(10, 12), LookupConfig{K: 3, Alpha: 2})
	expectAsks(t, l, epoch, ps(10, 11)...)
	l.Answered("10", ps(5, 4, 3))
	l.Answered("11", nil)
	expectAsks(t, l, epoch, ps(3, 4)...)
}

// "Nodes that fail to respond quickly are removed from consideration until and
// unless they do respond." Paper, 2.3.
func TestPaperLookupSetsSlowNodesAside(t *testing.T) {
	l := NewLookup("self", target, span(1, 3), LookupConfig{K: 2, Alpha: 1, SlowAfter: time.Second})
	expectAsks(t, l, epoch, p(1))
	now := epoch.Add(time.Second)
	expectAsks(t, l, now, p(2))
	l.Answered("1", nil)
	l.Answered("2", nil)
	expectEnd(t, l, Converged, ps(1, 2)...) // and not 3
}

// "If a round of FIND_NODEs fails to return a node any closer than the closest
// already seen, the initiator resends the FIND_NODE to all of the k closest nodes
// it has not already queried." Paper, 2.3.
func TestPaperLookupAsksAllWithoutProgress(t *testing.T) {
	l := NewLookup("self", target, span(1, 30), LookupConfig{K: 9, Alpha: 3})
	expectAsks(t, l, epoch, span(1, 3)...)
	for _, c := range span(1, 3) {
		l.Answered(c.ID, nil)
	}
	expectAsks(t, l, epoch, span(4, 9)...)
}

// "The lookup terminates when the initiator has queried and gotten responses from
// the k closest nodes it has seen." Paper, 2.3.
func TestPaperLookupTerminates(t *testing.T) {
	l := NewLookup("self", target, span(1, 30), LookupConfig{K: 5})
	asks(l, epoch)
	for i, c := range span(1, 5) {
		if a := l.Next(epoch); a.Kind == Done {
			t.Fatalf("done after %d answers", i)
		}
		l.Answered(c.ID, nil)
	}
	expectEnd(t, l, Converged, span(1, 5)...)
}

// "Each node refreshes a bucket in whose range it has not performed a node lookup
// within an hour." Paper, 2.3.
func TestPaperRefresh(t *testing.T) {
	tab := tableWith(0, 1, 2)
	for cpl := range 3 {
		tab.Refreshed(epoch.Add(time.Duration(cpl)*time.Minute), cpl)
	}
	if got := stale(tab, epoch.Add(61*time.Minute), time.Hour); !slices.Equal(got, []int{0, 1}) {
		t.Errorf("stale are %v", got)
	}
}

// "Refreshing means picking a random ID in the bucket's range and performing a
// node search for that ID." Paper, 2.3.
func TestPaperRefreshPicksRandomID(t *testing.T) {
	self, rng := KeyOf([]byte("self")), seeded(t, 6)
	seen := make(map[Key]bool)
	for range 100 {
		k := KeyOf(Preimage(self, 3, rng))
		if self.CPL(k) != 3 || seen[k] {
			t.Errorf("%v has CPL %d, again: %v", k, self.CPL(k), seen[k])
		}
		seen[k] = true
	}
}

// "Finally, u refreshes all k-buckets further away than its closest neighbor."
// Paper, 2.3.
func TestPaperJoinRefreshesFartherBuckets(t *testing.T) {
	if got := tableWith(0, 1, 2, 3, 4).RefreshCPLs(); !slices.Equal(got, []int{0, 1, 2, 3}) {
		t.Errorf("refreshes %v", got)
	}
}

// "Initially, a node u's routing tree has a single node—one k-bucket covering the
// entire ID space." Paper, 2.4.
func TestPaperTableStartsWithOneBucket(t *testing.T) {
	got := NewTable(KeyOf([]byte("self")), TableConfig{}).Buckets()
	if len(got) != 1 || got[0].CPL != 0 || !got[0].Last {
		t.Errorf("buckets are %+v", got)
	}
}

// "If the k-bucket's range includes u's own node ID, then the bucket is split
// into two new buckets, the old contents divided between the two, and the
// insertion attempt repeated." Paper, 2.4.
func TestPaperBucketWithOwnIDSplits(t *testing.T) {
	tab := NewTable(KeyOf([]byte("self")), TableConfig{K: 2})
	seenAll(tab, append(withCPL(tab.self, 0, 1), withCPL(tab.self, 1, 2)...)...)
	got := tab.Buckets()
	if len(got) != 2 || len(got[0].Contacts) != 1 || len(got[1].Contacts) != 2 {
		t.Errorf("buckets are %+v", got)
	}
}

// "If a k-bucket with a different range is full, the new contact is simply
// dropped." Paper, 2.4. Here it is pending, as 4.1 has it.
func TestPaperOtherBucketDoesNotSplit(t *testing.T) {
	tab := NewTable(KeyOf([]byte("self")), TableConfig{K: 2})
	seenAll(tab, append(withCPL(tab.self, 1, 1), withCPL(tab.self, 0, 3)...)...)
	if got := tab.Buckets(); len(got) != 2 || tab.Len() != 3 || got[0].Pending != 1 {
		t.Errorf("buckets are %+v", got)
	}
}

// "The replacement cache is kept sorted by time last seen, with the most-recently
// seen entry having the highest priority as a replacement candidate." Paper, 4.1.
func TestPaperReplacementCache(t *testing.T) {
	tab, far := fullBucket(TableConfig{})
	now := epoch.Add(time.Hour)
	for i, c := range []Contact{far[2], far[3], far[4], far[3]} {
		tab.Seen(now.Add(time.Duration(i)*time.Second), c)
	}
	for i, want := range []Contact{far[3], far[4]} {
		tab.Failed(now, far[i])
		proveOnline(tab, now)
		if _, ok := tab.Contact(want.Key); !ok {
			t.Errorf("%s did not move up", want.ID)
		}
	}
}

// "In all cases, the distance between two keys is XOR(sha256(key1),
// sha256(key2))." Spec.
func TestSpecDistance(t *testing.T) {
	a, b := KeyOf([]byte("key1")), KeyOf([]byte("key2"))
	const want = "30765ae0" // computed with another implementation of SHA-256
	if got := xor(a, b).String(); got != want {
		t.Errorf("distance is %s, want %s", got, want)
	}
}

// "The recommended value for k is 20." Spec.
func TestSpecReplicationParameter(t *testing.T) {
	if got := (TableConfig{}).withDefaults().K; got != 20 {
		t.Errorf("K of a table is %d", got)
	}
	if got := (LookupConfig{}).withDefaults().K; got != 20 {
		t.Errorf("K of a lookup is %d", got)
	}
}

// "The concurrency of node and value lookups are limited by parameter α, with a
// default value of 10." Spec.
func TestSpecAlpha(t *testing.T) {
	l := NewLookup("self", target, span(1, 20), LookupConfig{})
	expectAsks(t, l, epoch, span(1, 10)...)
}

// "The lookup might terminate early in case the local node queried all known
// nodes, with the number of nodes being smaller than k." Spec.
func TestSpecLookupOfSmallNetwork(t *testing.T) {
	l := NewLookup("self", target, span(1, 3), LookupConfig{})
	asks(l, epoch)
	for _, c := range span(1, 3) {
		l.Answered(c.ID, span(1, 3))
	}
	expectEnd(t, l, Exhausted, span(1, 3)...)
}

// "If an error or timeout occurs, discard it." Spec.
func TestSpecLookupDiscardsFailed(t *testing.T) {
	l := NewLookup("self", target, span(1, 2), LookupConfig{})
	asks(l, epoch)
	l.Failed("1")
	l.Answered("2", ps(1))
	expectEnd(t, l, Exhausted, p(2))
}

// S/Kademlia, 4.4, in our words: the closest nodes are shared out to d paths, and the
// lookup goes on along them in parallel, with each node used only once.
func TestSKademliaPathsAreDisjoint(t *testing.T) {
	rng := seeded(t, 7)
	net := newNetwork(200, rng)
	from := net.nodes[0]
	l := NewLookup(from.ID, target, net.tables[from.Key].Closest(target, 20), LookupConfig{Paths: 4})
	owner := make(map[Key]int)
	for a := l.Next(epoch); a.Kind == Ask; a = l.Next(epoch) {
		if path, again := owner[a.Contact.Key]; again {
			t.Errorf("%v is on path %d and on path %d", a.Contact.Key, path, a.Path)
		}
		owner[a.Contact.Key] = a.Path
		l.Answered(a.Contact.ID, net.tables[a.Contact.Key].Closest(target, 20))
	}
	used := make(map[int]bool)
	for _, path := range owner {
		used[path] = true
	}
	if len(used) != 4 {
		t.Errorf("paths used are %v", used)
	}
}

// xor returns the point as far from zero as a is from b.
func xor(a, b Key) Key {
	for i := range a {
		a[i] ^= b[i]
	}
	return a
}
