package routing

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestTableSeen(t *testing.T) {
	self := KeyOf([]byte("self"))
	far := withCPL(self, 0, 4) // K is 2: two contacts, the others wait
	group := func(c Contact, g string) Contact {
		c.Group = g
		return c
	}
	tests := []struct {
		name string
		give []Contact
		want []Outcome
	}{
		{"added", far[:1], []Outcome{Added}},
		// Re-adding a known contact updates it and changes no count.
		{"refreshed", []Contact{far[0], far[0]}, []Outcome{Added, Refreshed}},
		{"pending", far[:4], []Outcome{Added, Added, Pending, Pending}},
		{"pending again", []Contact{far[0], far[1], far[2], far[2]}, []Outcome{Added, Added, Pending, Pending}},
		// Own ID belongs to no bucket.
		{"self", []Contact{{Key: self}}, []Outcome{Rejected}},
		{
			"group limit",
			[]Contact{group(far[0], "a"), group(far[1], "a"), group(far[2], "b")},
			[]Outcome{Added, Rejected, Added},
		},
		{
			"moved to a group at its limit",
			[]Contact{group(far[0], "a"), group(far[1], "b"), group(far[1], "a"), group(far[1], "c")},
			[]Outcome{Added, Added, Rejected, Added},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tab := NewTable(self, TableConfig{K: 2, MaxPerGroup: 1})
			var got []Outcome
			for _, c := range tt.give {
				out := tab.Seen(epoch, c)
				tab.check(t)
				got = append(got, out)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("outcomes = %v, want %v", got, tt.want)
			}
		})
	}
}

// A contact whose addresses are not mentioned keeps those that are known.
func TestTableSeenKeepsWire(t *testing.T) {
	self := KeyOf([]byte("self"))
	tab := NewTable(self, TableConfig{})
	c := contact(1)
	full := Contact{ID: c.ID, Key: c.Key, Group: "g", Wire: []byte("wire")}
	tab.Seen(epoch, full)
	tab.Seen(epoch, c)
	if got, _ := tab.Contact(c.Key); got.Group != "g" || string(got.Wire) != "wire" {
		t.Errorf("contact is %+v, want it as it was", got)
	}
	full.Group, full.Wire = "", []byte("new")
	tab.Seen(epoch, full)
	if got, _ := tab.Contact(c.Key); got.Group != "" || string(got.Wire) != "new" {
		t.Errorf("contact is %+v, want the new addresses", got)
	}
	tab.check(t)
}

// Limits per bucket and per table hold, are released on removal, and contacts
// without a group are exempt.
func TestTableGroupLimits(t *testing.T) {
	self := KeyOf([]byte("self"))
	tab := NewTable(self, TableConfig{K: 20, MaxPerGroup: 2, MaxPerGroupTotal: 5})
	var added []Contact
	for cpl := range 4 {
		for _, c := range withCPL(self, cpl, 20) {
			tab.Seen(epoch, c) // fills the buckets, so that they split
		}
		for i := range 3 {
			c := at(self, cpl, fmt.Sprintf("grouped %d %d", cpl, i))
			c.Group = "g"
			tab.Remove(withCPL(self, cpl, 20)[i])
			wants := tab.Wants(c)
			outcome := tab.Seen(epoch, c)
			if wants != (outcome != Rejected) {
				t.Errorf("Wants said %v of a contact that is %v", wants, outcome)
			}
			if outcome == Added {
				added = append(added, c)
			}
			tab.check(t)
		}
	}
	if len(added) != 5 {
		t.Errorf("%d contacts of a group, want 5", len(added))
	}
	late := at(self, 3, "late")
	late.Group = "g"
	if tab.Wants(late) {
		t.Error("wants a contact of a group at its limit")
	}
	tab.Remove(added[0])
	if !tab.Wants(late) || tab.Seen(epoch, late) != Added {
		t.Error("the place in the group is not released")
	}
}

// One network cannot hold all places among the pending: its newest displaces
// its oldest.
func TestTableGroupLimitOfPending(t *testing.T) {
	self := KeyOf([]byte("self"))
	tab := NewTable(self, TableConfig{K: 2})
	for _, c := range withCPL(self, 0, 3) {
		tab.Seen(epoch, c)
	}
	for i := range 5 {
		c := at(self, 0, fmt.Sprint("grouped ", i))
		c.Group = "g"
		if got := tab.Seen(epoch.Add(time.Second), c); got != Pending {
			t.Errorf("contact %d is %v", i, got)
		}
		tab.check(t)
	}
	if got := tab.Buckets()[0].Pending; got != 3 {
		t.Errorf("%d pending, want 1 and 2 of the group", got)
	}
}

func TestTableWants(t *testing.T) {
	self := KeyOf([]byte("self"))
	tab := NewTable(self, TableConfig{K: 2})
	far := withCPL(self, 0, 20)
	for _, c := range far[:3] {
		tab.Seen(epoch, c)
	}
	if tab.Wants(Contact{Key: self}) {
		t.Error("wants itself")
	}
	if tab.Wants(far[0]) || tab.Wants(far[2]) {
		t.Error("wants a contact that is held or pending")
	}
	if !tab.Wants(far[3]) || !tab.Wants(at(self, 1, "near")) {
		t.Error("does not want a newcomer")
	}
	for _, c := range far[3:] {
		tab.Seen(epoch, c)
	}
	if tab.Wants(at(self, 0, "one more")) {
		t.Error("wants a newcomer that would queue behind a full queue")
	}
	if !tab.Wants(at(self, 1, "near")) {
		t.Error("does not want a newcomer for whom the bucket splits")
	}
}

// A known contact that is seen again becomes the most recent of its bucket.
func TestTableBuckets(t *testing.T) {
	self := KeyOf([]byte("self"))
	tab := NewTable(self, TableConfig{K: 2})
	far, near := withCPL(self, 0, 3), withCPL(self, 3, 2)
	for i, c := range []Contact{far[0], far[1], near[0], near[1], far[0], far[2]} {
		tab.Seen(epoch.Add(time.Duration(i)*time.Second), c)
		tab.check(t)
	}
	got := tab.Buckets()
	if len(got) != 2 || got[0].CPL != 0 || got[0].Last || got[0].Pending != 1 || got[1].CPL != 1 || !got[1].Last {
		t.Fatalf("buckets are %+v", got)
	}
	if c := got[0].Contacts; c[0].ID != far[1].ID || c[1].ID != far[0].ID || !c[1].Seen.Equal(epoch.Add(4*time.Second)) {
		t.Errorf("far bucket is %v", c)
	}
	if all := slices.Collect(tab.All()); len(all) != tab.Len() || tab.Len() != 4 {
		t.Errorf("All returns %v, Len %d", ids(all), tab.Len())
	}
	for range tab.All() {
		break // stops the iteration
	}
	if _, ok := tab.Contact(far[2].Key); ok {
		t.Error("a pending contact is found")
	}
}

func TestTableClosestAllocatesOnce(t *testing.T) {
	self := KeyOf([]byte("self"))
	tab := NewTable(self, TableConfig{})
	for i := range 1000 {
		tab.Seen(epoch, contact(i))
	}
	target := KeyOf([]byte("target"))
	if n := testing.AllocsPerRun(100, func() { tab.Closest(target, 40) }); n > 1 {
		t.Errorf("%v allocations, want 1", n)
	}
}

func TestNewTablePanics(t *testing.T) {
	for _, cfg := range []TableConfig{{K: -1}, {CheckTimeout: -1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v does not panic", cfg)
				}
			}()
			NewTable(Key{}, cfg)
		}()
	}
}

// Budget: 3 µs and 1 allocation for 21 of 244 contacts.
func BenchmarkTableClosest(b *testing.B) {
	self := KeyOf([]byte("self"))
	tab := NewTable(self, TableConfig{})
	for i := 0; tab.Len() < 244; i++ {
		tab.Seen(epoch, contact(i))
	}
	rng := rand.New(rand.NewPCG(1, 1))
	targets := make([]Key, 1024)
	for i := range targets {
		targets[i] = KeyOf(Preimage(self, i%4, rng))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		tab.Closest(targets[i%len(targets)], 21)
	}
	b.ReportMetric(float64(tab.Len()), "contacts")
}

// Budget: 100 ns for a contact that is held, in a table of 10 000 peers.
func BenchmarkTableSeen(b *testing.B) {
	self := KeyOf([]byte("self"))
	tab := NewTable(self, TableConfig{})
	for i := range 10_000 {
		tab.Seen(epoch, contact(i))
	}
	all := slices.Collect(tab.All())
	now := epoch
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Millisecond)
		tab.Seen(now, all[i%len(all)])
	}
	b.ReportMetric(float64(tab.Len()), "contacts")
}

// Neighbours are the closest contacts, suspects among them, in order.
func TestNeighbours(t *testing.T) {
	table := NewTable(target, TableConfig{})
	if table.Live(epoch) || table.Neighbours(1) != nil {
		t.Error("an empty table is live, or has neighbours")
	}
	var all []Contact
	for i := range 30 {
		all = append(all, contact(i))
		table.Seen(epoch, contact(i))
	}
	SortByDistance(target, all)
	table.Failed(epoch, all[1])
	if got := table.Neighbours(5); !sameContacts(got, all[:5]) || !table.Live(epoch) {
		t.Errorf("neighbours are %v, want %v", ids(got), ids(all[:5]))
	}
	if got := table.Neighbours(100); len(got) != table.Len() {
		t.Errorf("%d neighbours of %d contacts", len(got), table.Len())
	}
}

// A contact whose own answer costs another one its place, and gives that to it, is added.
func TestSeenTakesPlace(t *testing.T) {
	self := KeyOf([]byte("self"))
	tab := NewTable(self, TableConfig{K: 1})
	first, second := at(self, 1, "first"), at(self, 1, "second")
	tab.Seen(epoch, first)
	if out := tab.Seen(epoch, second); out != Pending {
		t.Fatalf("the second is %v", out)
	}
	tab.Failed(epoch, first)
	if out := tab.Seen(epoch, second); out != Added {
		t.Errorf("the second is %v", out)
	}
	if out := tab.Seen(epoch, second); out != Refreshed {
		t.Errorf("then it is %v", out)
	}
}
