package routing

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// The queue keeps the newest, and forgets the one that waits longest.
func TestBucketQueue(t *testing.T) {
	b := &bucket{}
	for i := range maxPending + 3 {
		e := &entry{Contact: contact(i), seen: epoch.Add(time.Duration(i) * time.Second)}
		b.queue(e)
	}
	if len(b.pending) != maxPending {
		t.Fatalf("%d are pending, want %d", len(b.pending), maxPending)
	}
	for i, e := range b.pending {
		if want := fmt.Sprintf("peer %d", maxPending+2-i); string(e.ID) != want {
			t.Errorf("pending %d is %s, want %s", i, e.ID, want)
		}
	}
}

// A contact enters where its last answer puts it, not at the end.
func TestBucketInsert(t *testing.T) {
	b := &bucket{}
	for _, s := range []int{3, 1, 2, 2, 5} {
		b.insert(&entry{seen: epoch.Add(time.Duration(s) * time.Second)})
	}
	bySeen := func(x, y *entry) int { return x.seen.Compare(y.seen) }
	if len(b.entries) != 5 || !slices.IsSortedFunc(b.entries, bySeen) {
		t.Errorf("entries are not in order of their last answer")
	}
}

// Ranking compares whole keys where their first 64 bits are equally far.
func TestBucketClosestOfSimilarKeys(t *testing.T) {
	target := KeyOf([]byte("target"))
	var contacts []Contact
	b := &bucket{}
	for i := range 20 {
		c := away(target, uint64(i*7%20), fmt.Sprint(i))
		contacts = append(contacts, c)
		b.insert(&entry{Contact: c})
	}
	for n := 1; n <= 20; n++ {
		got := b.appendClosest(make([]Contact, 0, n), &target, false, nil)
		if want := closestOf(target, contacts, n); !sameContacts(got, want) {
			t.Errorf("closest %d are %v, want %v", n, ids(got), ids(want))
		}
	}
}
