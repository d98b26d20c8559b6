package routing

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// tableWith returns a table that holds one contact of each of these CPLs.
func tableWith(cpls ...int) *Table {
	self := KeyOf([]byte("self"))
	tab := NewTable(self, TableConfig{})
	for _, cpl := range cpls {
		tab.Seen(epoch, withCPL(self, cpl, 1)[0])
	}
	return tab
}

// stale returns all CPLs that are stale, in the order in which they are named.
func stale(tab *Table, now time.Time, age time.Duration) []int {
	var cpls []int
	for {
		cpl, _, ok := tab.Stale(now, age)
		if !ok {
			return cpls
		}
		cpls = append(cpls, cpl)
		tab.Refreshed(now, cpl)
	}
}

// A gap at CPL c ends the refresh at c+2, or at the deepest contact.
func TestStaleCPLs(t *testing.T) {
	upTo := func(n int) []int {
		var cpls []int
		for c := range n + 1 {
			cpls = append(cpls, c)
		}
		return cpls
	}
	tests := []struct {
		name  string
		held  []int
		stale []int
		join  []int
	}{
		{"empty table", nil, nil, nil},
		{"one far contact", []int{0}, upTo(0), nil},
		{"no gap", []int{0, 1, 2, 3}, upTo(3), upTo(2)},
		{"gap at 0", []int{9}, upTo(2), upTo(2)},
		{"gap at 0, close contact", []int{1}, upTo(1), upTo(0)},
		{"gap at 2", []int{0, 1, 3, 4, 5, 9}, upTo(4), upTo(4)},
		{"only the first gap counts", []int{0, 1, 3, 5, 9}, upTo(4), upTo(4)},
		{"deeper than is refreshed", append(upTo(14), 40), upTo(15), upTo(15)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tab := tableWith(tt.held...)
			if got := tab.RefreshCPLs(); !slices.Equal(got, tt.join) {
				t.Errorf("a join refreshes %v, want %v", got, tt.join)
			}
			got := stale(tab, epoch, time.Minute)
			if slices.Sort(got); !slices.Equal(got, tt.stale) {
				t.Errorf("stale are %v, want %v", got, tt.stale)
			}
		})
	}
}

// A CPL that was looked up within the period, for whatever reason, is not
// refreshed. The emptiest goes first.
func TestStaleEmptiestFirst(t *testing.T) {
	tab := tableWith(0, 1, 2, 3)
	for _, c := range withCPL(tab.self, 0, 3) {
		tab.Seen(epoch, c)
	}
	for i, cpl := range []int{2, 0, 3, 1} {
		tab.Refreshed(epoch.Add(time.Duration(i)*time.Minute), cpl)
	}
	tab.Refreshed(epoch, 200) // a lookup of our own key, say
	now := epoch.Add(10 * time.Minute)
	if got, want := stale(tab, now, 8*time.Minute), []int{2, 3, 0}; !slices.Equal(got, want) {
		t.Errorf("stale are %v, want %v", got, want)
	}
	if got, want := tab.RefreshCPLs(), []int{0, 1, 2}; !slices.Equal(got, want) {
		t.Errorf("a join refreshes %v, want %v: all, however fresh", got, want)
	}
}

// The age doubles while nothing changes, up to eight times, and is the first one again after
// a contact has entered or left.
func TestStaleLater(t *testing.T) {
	tab := tableWith(0)
	const age = 10 * time.Minute
	now := epoch
	after := func() time.Duration { // until it is stale
		last := now
		for {
			if _, _, ok := tab.Stale(now, age); ok {
				return now.Sub(last)
			}
			now = now.Add(time.Minute)
		}
	}
	refreshed := func() {
		for c := range MaxRefreshCPL + 1 {
			tab.Refreshed(now, c)
		}
	}
	refreshed()
	for i, want := range []time.Duration{age, age, 2 * age, 4 * age, 8 * age, 8 * age} {
		if got := after(); got != want {
			t.Errorf("stale after %v the %dth time, want %v", got, i+1, want)
		}
		refreshed()
	}
	c := withCPL(tab.self, 0, 2)[1]
	tab.Seen(now, c)
	if got := after(); got != age {
		t.Errorf("stale %v after a contact has entered, want %v", got, age)
	}
	refreshed()
	if got := after(); got != age {
		t.Errorf("stale %v after the refresh that followed, want %v", got, age)
	}
	refreshed()
	now = now.Add(age)
	tab.Remove(c)
	if _, _, ok := tab.Stale(now, age); !ok {
		t.Errorf("not stale %v after the refresh although a contact has left since", age)
	}
}

// A bucket in which nothing has changed since it was last looked up needs a few of the closest.
func TestStaleK(t *testing.T) {
	tab := tableWith(0)
	now := epoch
	expect := func(when string, want int) {
		t.Helper()
		now = now.Add(time.Hour)
		if _, k, ok := tab.Stale(now, time.Minute); !ok || k != want {
			t.Errorf("%s: stale %v with K %d, want %d", when, ok, k, want)
		}
	}
	expect("not looked up yet", 20)
	tab.Refreshed(now, 0)
	expect("nothing has changed", RefreshK)
	c := withCPL(tab.self, 0, 2)[1]
	tab.Seen(now, c)
	expect("a contact has entered", 20)
	tab.Refreshed(now, 0)
	tab.Remove(c)
	expect("a contact has left", 20)
	tab = NewTable(tab.self, TableConfig{K: 2})
	tab.Seen(now, c)
	tab.Refreshed(now, 0)
	expect("nothing has changed, K = 2", 2)
}

// A preimage for a CPL has exactly that CPL, for all CPLs in range, and the form
// of a peer ID.
func TestPreimage(t *testing.T) {
	rng := seeded(t, 3)
	for cpl := range MaxRefreshCPL + 1 {
		self := KeyOf([]byte{byte(cpl)})
		first, second := Preimage(self, cpl, rng), Preimage(self, cpl, rng)
		for _, b := range [][]byte{first, second} {
			if got := self.CPL(KeyOf(b)); got != cpl {
				t.Errorf("CPL is %d, want %d", got, cpl)
			}
			if len(b) != 34 || b[0] != 0x12 || b[1] != 0x20 {
				t.Errorf("%x is not the multihash of a SHA-256", b)
			}
		}
		if string(first) == string(second) {
			t.Errorf("the same preimage twice for CPL %d", cpl)
		}
	}
}

// A preimage of a prefix has at least these bits, whatever comes after them.
func TestPreimageOf(t *testing.T) {
	rng := seeded(t, 4)
	for bits := range MaxRefreshCPL + 1 {
		prefix := KeyOf([]byte{byte(bits)})
		longer := false
		for range 8 {
			b := PreimageOf(prefix, bits, rng)
			got := prefix.CPL(KeyOf(b))
			if got < bits || len(b) != 34 || b[0] != 0x12 || b[1] != 0x20 {
				t.Errorf("%x shares %d bits, want %d", b, got, bits)
			}
			longer = longer || got > bits
		}
		if !longer {
			t.Errorf("none of 8 preimages for %d bits shares more", bits)
		}
	}
}

func TestPreimagePanicsOutOfRange(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	tests := map[string]func(){
		"CPL -1":        func() { Preimage(Key{}, -1, rng) },
		"CPL too deep":  func() { Preimage(Key{}, MaxRefreshCPL+1, rng) },
		"bits -1":       func() { PreimageOf(Key{}, -1, rng) },
		"bits too many": func() { PreimageOf(Key{}, MaxPreimageBits+1, rng) },
	}
	for name, search := range tests {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("no panic for %s", name)
				}
			}()
			search()
		}()
	}
}

// Budget: 20 ms for the highest CPL.
func BenchmarkPreimage(b *testing.B) {
	self, rng := KeyOf([]byte("self")), rand.New(rand.NewPCG(1, 1))
	b.ReportAllocs()
	for b.Loop() {
		Preimage(self, MaxRefreshCPL, rng)
	}
}

// The CPLs beside its own key are looked up by a node whose K closest contacts have one CPL, as
// far as some of them differ in a later bit from what is nearest to it on their side.
func TestLoneCPLs(t *testing.T) {
	self := KeyOf([]byte("self"))
	on := func(cpl, differ int) Contact { // with that CPL, it differs from self first there and then in that bit
		c := ContactOf(peer.ID(fmt.Sprint(cpl, differ)))
		c.Key = self.flip(cpl).flip(differ)
		return c
	}
	for _, tt := range []struct {
		name string
		held []Contact
		want []int
	}{
		{"nobody", nil, nil},
		{"fewer than K", []Contact{on(1, 2), on(1, 3)}, nil},
		{"one on its own side", []Contact{on(1, 2), on(1, 3), on(3, 4)}, nil},
		{"none on its own side", []Contact{on(1, 2), on(1, 3), on(1, 5), on(0, 1)}, []int{2}},
		{"all others near each other", []Contact{on(1, 4), on(1, 3), on(1, 5), on(0, 1)}, []int{2, 3}},
	} {
		tab := NewTable(self, TableConfig{K: 3})
		seenAll(tab, tt.held...)
		if got := tab.LoneCPLs(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

// A newcomer that is nearer to a key than all nodes before it meets the nearest of them in its
// lookups: with K = 3 too, where more than K nodes may be on the other side of its prefix.
func TestNewcomerMeetsHolders(t *testing.T) {
	long(t)
	const k, nodes, newcomers = 3, 40, 200
	rng := seeded(t, 1)
	var all []Contact
	for i := range nodes {
		all = append(all, contact(i))
	}
	for _, lone := range []bool{false, true} {
		missed, keys := 0, 0
		for i := range newcomers {
			self := ContactOf(peer.ID(fmt.Sprint("newcomer ", i)))
			tab, met := NewTable(self.Key, TableConfig{K: k}), make(map[Key]bool)
			meet := func(key Key) { // a lookup of it asks the K closest
				for _, c := range closestOf(key, all, k) {
					met[c.Key] = true
					tab.Seen(epoch, c)
				}
			}
			meet(self.Key)
			for _, cpl := range tab.LoneCPLs() {
				if lone {
					meet(KeyOf(Preimage(self.Key, cpl, rng)))
				}
			}
			for range 200 {
				key := randomKey(rng)
				if closest := closestOf(key, all, 1); key.Compare(self.Key, closest[0].Key) < 0 {
					if keys++; !met[closest[0].Key] {
						missed++
					}
				}
			}
		}
		t.Logf("with the lookups beside its own key: %v; of %d keys, the closest holder of %d is not met", lone, keys, missed)
		if keys < 500 || lone && missed > keys/100 || !lone && missed < keys/50 {
			t.Errorf("with the lookups beside its own key: %v; of %d keys, the closest holder of %d is not met", lone, keys, missed)
		}
	}
}
