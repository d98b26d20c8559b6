package routing

import (
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// The nearest are those named, whether they have answered or not, without those that
// have failed; at most K, whichever path knows them.
func TestLookupNearest(t *testing.T) {
	now := time.Unix(0, 0)
	for _, paths := range []int{1, 2} {
		l := NewLookup("self", target, ps(9, 8, 7, 6), LookupConfig{K: 3, Alpha: 4, Paths: paths})
		expect := func(want ...Contact) {
			t.Helper()
			if got := l.Nearest(); !slices.EqualFunc(got, want, func(a, b Contact) bool { return a.ID == b.ID }) {
				t.Errorf("%d paths: nearest are %v, want %v", paths, got, want)
			}
		}
		expect(ps(6, 7, 8)...)
		asks(l, now)
		l.Answered(p(6).ID, ps(2, 9))
		expect(ps(2, 6, 7)...)
		l.Failed(p(7).ID)
		expect(ps(2, 6, 8)...)
	}
	if got := NewLookup("self", target, nil, LookupConfig{}).Nearest(); len(got) != 0 {
		t.Errorf("nearest without seeds are %v", got)
	}
}

// A result says how many of the K closest that are known have answered: contacts that have
// failed or are late are among them, farther ones are not.
func TestLookupPoll(t *testing.T) {
	now := time.Unix(0, 0)
	for _, paths := range []int{1, 2} {
		l := NewLookup("self", target, ps(9, 8, 7, 6), LookupConfig{K: 3, Alpha: 4, Paths: paths, SlowAfter: time.Second})
		expect := func(known, told int) {
			t.Helper()
			if r := l.Result(); r.Known != known || r.Told != told {
				t.Errorf("%d paths: %d of %d have answered, want %d of %d", paths, r.Told, r.Known, told, known)
			}
		}
		expect(3, 0)
		asks(l, now)
		l.Failed(p(6).ID)
		l.Answered(p(9).ID, nil)
		expect(3, 0)
		l.Answered(p(7).ID, nil)
		asks(l, now.Add(time.Second)) // the last one is late
		expect(3, 1)
		l.Answered(p(8).ID, nil)
		expect(3, 2)
	}
	if r := NewLookup("self", target, ps(1), LookupConfig{}).Result(); r.Known != 1 || r.Told != 0 {
		t.Errorf("%d of %d have answered, want none of one", r.Told, r.Known)
	}
}

// What a contact makes up does not count once it is not believed any more.
func TestLookupPollsNoInventions(t *testing.T) {
	now := time.Unix(0, 0)
	l := NewLookup("self", target, ps(200, 201), LookupConfig{K: 8, Alpha: 8})
	asks(l, now)
	l.Answered(p(201).ID, nil)
	l.Answered(p(200).ID, ps(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14))
	for range 14 {
		asked, _ := asks(l, now)
		for _, id := range asked {
			l.Failed(peer.ID(id))
		}
	}
	if r := l.Result(); r.Known != 2 || r.Told != 2 {
		t.Errorf("%d of %d have answered, want the two that exist", r.Told, r.Known)
	}
}

// A lookup that persists ends when the closest have answered or failed, and drops none
// of them; it goes on with what they name.
func TestLookupPersists(t *testing.T) {
	now := time.Unix(0, 0)
	l := NewLookup("self", target, ps(1, 2, 3, 9), LookupConfig{K: 3, Alpha: 1, SlowAfter: time.Second})
	l.Persist(func() bool { return true })
	for range 4 {
		asks(l, now)
		now = now.Add(time.Second)
	}
	if l.Result().Requests != 4 {
		t.Fatalf("%d requests, want all four contacts asked", l.Result().Requests)
	}
	l.Answered(p(9).ID, nil)
	for range 20 {
		now = now.Add(time.Second)
		if a := l.Next(now); a.Kind != Wait {
			t.Fatalf("it says %v while the closest are awaited", a.Kind)
		}
	}
	l.Failed(p(1).ID)
	l.Failed(p(2).ID)
	if !l.Answered(p(3).ID, ps(4)) {
		t.Fatal("the answer of a late contact does not count")
	}
	if a := l.Next(now); a.Kind != Ask || a.Contact.ID != p(4).ID {
		t.Fatalf("it says %v %v, want to ask what a late contact has named", a.Kind, a.Contact.ID)
	}
	l.Answered(p(4).ID, nil)
	if a := l.Next(now); a.Kind != Done {
		t.Errorf("it says %v when none is awaited", a.Kind)
	}

	l = NewLookup("self", target, ps(1, 9), LookupConfig{K: 3, SlowAfter: time.Second})
	l.Persist(func() bool { return true })
	asks(l, now)
	l.Answered(p(9).ID, nil)
	l.Next(now.Add(time.Second))
	l.Persist(func() bool { return false })
	if a := l.Next(now.Add(time.Second)); a.Kind != Done {
		t.Errorf("it says %v when its caller has what it wants", a.Kind)
	}
}
