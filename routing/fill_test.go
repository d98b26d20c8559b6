package routing

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// runFill runs a Fill among nodes of which each names the 20 closest to what it is
// asked for, and returns who was asked. Those for which gone is true do not answer.
func runFill(t *testing.T, tab *Table, nodes []Contact, gone func(Contact) bool) (asked []FillRequest) {
	t.Helper()
	rng := seeded(t, 7)
	f := tab.Fill()
	now := epoch.Add(time.Hour)
	for {
		var flying []FillRequest
		for req, ok := f.Next(tab); ok; req, ok = f.Next(tab) {
			flying = append(flying, req)
		}
		if len(flying) == 0 {
			return asked
		}
		asked = append(asked, flying...)
		for _, req := range flying {
			if gone(req.To) {
				tab.Failed(now, req.To)
				f.Ended(req, nil)
				continue
			}
			tab.Seen(now, req.To)
			f.Ended(req, closestOf(KeyOf(Preimage(tab.self, req.CPL, rng)), nodes, 20))
		}
		tab.check(t)
	}
}

// After a lookup of our own key, which knows the 20 closest and one that is far, all
// buckets are full of all there are, with hardly more requests than contacts; and
// nobody is asked twice for one bucket.
func TestFillFillsBuckets(t *testing.T) {
	for name, gone := range map[string]func(Contact) bool{
		"all answer":      func(Contact) bool { return false },
		"a fifth is gone": func(c Contact) bool { return c.Key[31]%5 == 0 },
	} {
		t.Run(name, func(t *testing.T) {
			self := KeyOf([]byte("self"))
			var nodes []Contact
			for i := range 1000 {
				nodes = append(nodes, contact(i))
			}
			tab := NewTable(self, TableConfig{})
			var start []Contact
			for _, c := range closestOf(self, nodes, 40) {
				if !gone(c) && len(start) < 20 {
					start = append(start, c)
				}
			}
			seenAll(tab, append(start, nodes[1])...)
			before := tab.Len()
			asked := runFill(t, tab, nodes, gone)

			there := make(map[int]int)
			for _, c := range nodes {
				if !gone(c) {
					there[self.CPL(c.Key)]++
				}
			}
			for cpl, n := range there {
				if got := tab.heldAt(cpl); cpl <= 4 && got < min(n, 20) {
					t.Errorf("%d contacts at CPL %d, there are %d", got, cpl, n)
				}
			}
			if extra := len(asked) - (tab.Len() - before); name == "all answer" && extra > 20 {
				t.Errorf("%d requests made %d contacts", len(asked), tab.Len()-before)
			}
			seen := make(map[string]bool)
			for _, req := range asked {
				what := fmt.Sprint(req.CPL, req.To.Key)
				if seen[what] {
					t.Errorf("%s is asked twice for CPL %d", req.To.ID, req.CPL)
				}
				seen[what] = true
			}
		})
	}
}

// The bucket that lacks most comes first.
func TestFillOrder(t *testing.T) {
	tab := tableWith(0, 1, 2)
	seenAll(tab, withCPL(tab.self, 0, 5)...)
	if req, ok := tab.Fill().Next(tab); !ok || req.CPL != 1 {
		t.Errorf("first is %+v, want CPL 1, which holds less than CPL 0", req)
	}
}

// Liars who name new ones in each answer get two times K requests for a bucket.
func TestFillIsBounded(t *testing.T) {
	self := KeyOf([]byte("self"))
	tab := NewTable(self, TableConfig{})
	seenAll(tab, slices.Concat(withCPL(self, 0, 1), withCPL(self, 1, 1))...)
	f := tab.Fill()
	n := 0
	for {
		req, ok := f.Next(tab)
		if !ok {
			break
		}
		n++
		tab.Failed(epoch, req.To)
		var named []Contact
		for i := range 20 {
			named = append(named, at(self, 0, fmt.Sprintf("invention %d of %d", i, n)))
		}
		f.Ended(req, append(named, withCPL(self, 3, 1)...))
	}
	if n != fillFactor*20 {
		t.Errorf("%d requests, want %d", n, fillFactor*20)
	}
}

// Who knows nobody asks nobody, and whose neighbours are known leaves them alone.
func TestFillLeavesNeighbours(t *testing.T) {
	if _, ok := NewTable(Key{}, TableConfig{}).Fill().Next(NewTable(Key{}, TableConfig{})); ok {
		t.Error("an empty table asks somebody")
	}
	self := KeyOf([]byte("self"))
	tab := NewTable(self, TableConfig{K: 4})
	seenAll(tab, slices.Concat(withCPL(self, 3, 3), withCPL(self, 5, 2), withCPL(self, 9, 1))...)
	if got, want := tab.Fill().CPLs(), []int{0, 1, 2, 3}; !slices.Equal(got, want) {
		t.Errorf("it fills %v, want %v: the 4 closest are at 3 and beyond", got, want)
	}
}
