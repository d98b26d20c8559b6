package routing

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// seenAll makes tab see contacts, one a second.
func seenAll(tab *Table, contacts ...Contact) {
	for i, c := range contacts {
		tab.Seen(epoch.Add(time.Duration(i)*time.Second), c)
	}
}

// A full bucket off our path never splits.
func TestFullBucketOffOurPathDoesNotSplit(t *testing.T) {
	self := KeyOf([]byte("self"))
	tab := NewTable(self, TableConfig{K: 2})
	seenAll(tab, append(withCPL(self, 1, 3), withCPL(self, 0, 2)...)...)
	buckets := len(tab.Buckets())
	for _, c := range withCPL(self, 0, 9)[2:] {
		if got := tab.Seen(epoch.Add(time.Minute), c); got != Pending {
			t.Errorf("%v is %v, want %v", c.ID, got, Pending)
		}
		tab.check(t)
	}
	if got := len(tab.Buckets()); got != buckets {
		t.Errorf("%d buckets, want %d", got, buckets)
	}
}

// The bucket on our path splits until the newcomer fits, or no split helps.
func TestBucketOnOurPathSplits(t *testing.T) {
	self := KeyOf([]byte("self"))
	tests := []struct {
		name  string
		have  []int // CPLs
		newCP int
		want  Outcome
		last  int // index of the last bucket afterwards
	}{
		{"no need", []int{0, 1}, 5, Added, 0},
		{"once", []int{0, 1, 2}, 0, Added, 1},
		{"newcomer goes deeper", []int{0, 4, 4}, 4, Added, 1},
		{"several times", []int{4, 4, 5}, 5, Added, 5},
		{"newcomer is the farther one", []int{4, 4, 4}, 2, Added, 3},
		{"no split helps", []int{4, 4, 4}, 4, Pending, 0},
		{"deep", []int{200, 200, 200}, 199, Added, 200},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tab := NewTable(self, TableConfig{K: 3})
			for i, cpl := range tt.have {
				tab.Seen(epoch, numbered(self, cpl, i))
			}
			if got := tab.Seen(epoch, numbered(self, tt.newCP, 9)); got != tt.want {
				t.Errorf("outcome = %v, want %v", got, tt.want)
			}
			if got := len(tab.Buckets()) - 1; got != tt.last {
				t.Errorf("last bucket is %d, want %d", got, tt.last)
			}
			tab.check(t)
		})
	}
}

// numbered returns the i-th contact with that CPL.
func numbered(self Key, cpl, i int) Contact {
	return at(self, cpl, fmt.Sprintf("cpl %d number %d", cpl, i))
}

// Splitting keeps every contact, the order of last seen, and the pending.
func TestSplitKeepsOrderAndPending(t *testing.T) {
	self := KeyOf([]byte("self"))
	tab := NewTable(self, TableConfig{K: 4})
	deep := withCPL(self, 3, 7) // 4 fill the bucket, 3 wait: no split helps
	seenAll(tab, deep...)
	if got := tab.Buckets(); len(got) != 1 || got[0].Pending != 3 {
		t.Fatalf("buckets are %+v", got)
	}
	tab.Seen(epoch.Add(time.Minute), at(self, 0, "far")) // now one helps
	tab.check(t)
	got := tab.Buckets()
	if len(got) != 2 || len(got[0].Contacts) != 1 || got[1].Pending != 3 {
		t.Fatalf("buckets are %+v", got)
	}
	var kept []Contact
	for _, c := range got[1].Contacts {
		kept = append(kept, c.Contact)
	}
	if !sameContacts(kept, deep[:4]) {
		t.Errorf("after the split: %v, want %v", ids(kept), ids(deep[:4]))
	}
	for i := range 3 { // and they move up newest first
		tab.Remove(deep[i])
		if _, ok := tab.Contact(deep[6-i].Key); !ok {
			t.Errorf("%v did not move up", deep[6-i].ID)
		}
	}
}

// Emptying the last or the next-to-last bucket collapses the table.
func TestEmptyBucketsCollapse(t *testing.T) {
	self := KeyOf([]byte("self"))
	grown := func() *Table {
		tab := NewTable(self, TableConfig{K: 2})
		for cpl := range 5 {
			seenAll(tab, withCPL(self, cpl, 2)...)
		}
		return tab
	}
	tests := []struct {
		name string
		drop []int // CPLs whose contacts fail
		want int   // buckets left
	}{
		{"nothing", nil, 5},
		{"last", []int{4}, 4},
		{"next to last", []int{3}, 4},
		{"one in the middle stays", []int{1}, 5},
		{"last, and then the middle", []int{2, 3, 4}, 2},
		{"all but the last", []int{0, 1, 2, 3}, 1},
		{"all", []int{2, 4, 0, 3, 1}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tab := grown()
			for _, cpl := range tt.drop {
				for _, c := range withCPL(self, cpl, 2) {
					if !tab.Remove(c) {
						t.Errorf("%v was not there", c.ID)
					}
					tab.check(t)
				}
			}
			if got := len(tab.Buckets()); got != tt.want {
				t.Errorf("%d buckets, want %d", got, tt.want)
			}
			if got, want := tab.Len(), 10-2*len(tt.drop); got != want {
				t.Errorf("%d contacts, want %d", got, want)
			}
		})
	}
}

// With one contact per bucket, a replacement never loses the bucket.
func TestBucketOfOne(t *testing.T) {
	self := KeyOf([]byte("self"))
	tab := NewTable(self, TableConfig{K: 1})
	for cpl := range 3 {
		seenAll(tab, withCPL(self, cpl, 3)...)
		tab.check(t)
	}
	for i := range 2 {
		for cpl := range 3 {
			if !tab.Remove(withCPL(self, cpl, 3)[(3-i)%3]) {
				t.Errorf("contact %d of CPL %d is not there", i, cpl)
			}
			tab.check(t)
			if got := tab.Buckets(); len(got) != 3 || len(got[cpl].Contacts) != 1 {
				t.Fatalf("buckets are %+v", got)
			}
		}
	}
}

// Removing any contact, not only the head, makes the newest pending move up.
func TestRemovalPromotesNewest(t *testing.T) {
	self := KeyOf([]byte("self"))
	for gone := range 3 {
		tab := NewTable(self, TableConfig{K: 3})
		far := withCPL(self, 0, 6)
		seenAll(tab, far...)
		tab.Remove(far[gone])
		tab.check(t)
		if _, ok := tab.Contact(far[5].Key); !ok || tab.Len() != 3 {
			t.Errorf("without %v, there are %v", far[gone].ID, ids(slices.Collect(tab.All())))
		}
		if got := tab.Buckets()[0].Pending; got != 2 {
			t.Errorf("%d are pending, want 2", got)
		}
	}
}

// A pending contact that fails is not there any more, and replaces nobody.
func TestPendingFails(t *testing.T) {
	self := KeyOf([]byte("self"))
	tab := NewTable(self, TableConfig{K: 1})
	far := withCPL(self, 0, 3)
	seenAll(tab, far...)
	if !tab.Remove(far[2]) || tab.Remove(far[2]) {
		t.Error("the pending contact was not there, or twice")
	}
	tab.Remove(far[0])
	if _, ok := tab.Contact(far[1].Key); !ok {
		t.Error("the other pending contact did not move up")
	}
}

// A pending contact whose group is at its limit does not move up; the next does.
func TestPromotionHeedsGroups(t *testing.T) {
	self := KeyOf([]byte("self"))
	tab := NewTable(self, TableConfig{K: 2, MaxPerGroup: 1, MaxPerGroupTotal: 1})
	far := withCPL(self, 0, 4)
	far[3].Group = "g"
	seenAll(tab, far...) // two held, two pending; the newest is of the group
	other := at(self, 4, "same group")
	other.Group = "g"
	tab.Seen(epoch.Add(time.Minute), other)
	tab.Seen(epoch.Add(time.Minute), at(self, 4, "no group"))
	tab.Remove(far[0])
	tab.check(t)
	if _, ok := tab.Contact(far[2].Key); !ok {
		t.Errorf("contacts are %v", ids(slices.Collect(tab.All())))
	}
	tab.Remove(far[1]) // nobody may move up
	tab.check(t)
	if tab.Len() != 3 {
		t.Errorf("contacts are %v", ids(slices.Collect(tab.All())))
	}
	if got := dueIDs(tab, epoch.Add(2*time.Minute)); got != nil {
		t.Errorf("due are %v: a bucket with room has no head to challenge", got)
	}
	tab.Remove(other) // now the group has room: it enters when it is seen
	if got := tab.Seen(epoch.Add(time.Hour), far[3]); got != Added {
		t.Errorf("outcome = %v, want %v", got, Added)
	}
	tab.check(t)
}
