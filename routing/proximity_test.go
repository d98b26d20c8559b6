package routing

import (
	"slices"
	"testing"
	"time"
)

// withRTT returns contacts with these round trips, in milliseconds.
func withRTT(contacts []Contact, rtts ...int) []Contact {
	out := slices.Clone(contacts[:len(rtts)])
	for i, rtt := range rtts {
		out[i].RoundTrip = time.Duration(rtt) * time.Millisecond
	}
	return out
}

// A free place goes to the newest that waits, or to one whose round trip is half of that or
// less, and no contact makes way for a quicker one.
func TestProximity(t *testing.T) {
	self := KeyOf([]byte("self"))
	far := withCPL(self, 0, 9)
	for _, tt := range []struct {
		name    string
		rtts    [3]int // of the ones that wait, oldest first
		group   string // of the oldest
		entered int
	}{
		{"clearly nearer", [3]int{50, 120, 100}, "", 4},
		{"not clearly", [3]int{51, 120, 100}, "", 6},
		{"nearest of all", [3]int{20, 50, 100}, "", 4},
		{"unknown", [3]int{0, 0, 100}, "", 6},
		{"the newest is unknown", [3]int{10, 20, 0}, "", 6},
		{"too many of its group", [3]int{10, 120, 100}, "evil", 6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tab := NewTable(self, TableConfig{K: 4, MaxPerGroup: 1})
			held := withRTT(far, 500, 2000, 600, 0)
			held[0].Group = "evil"
			seenAll(tab, held...)
			seenAll(tab, slices.Concat(withCPL(self, 1, 1), withCPL(self, 2, 4))...)
			for i, c := range withRTT(far[4:], tt.rtts[:]...) {
				if i == 0 {
					c.Group = tt.group
				}
				if got := tab.Seen(epoch.Add(time.Hour+time.Duration(i)*time.Minute), c); got != Pending && tt.group == "" {
					t.Fatalf("a newcomer to a full bucket is %v", got)
				}
				tab.check(t)
			}
			tab.Remove(held[1])
			tab.check(t)
			for i := range 3 {
				_, in := tab.Contact(far[4+i].Key)
				if in != (4+i == tt.entered) {
					t.Errorf("contact %d has a place: %v; want contact %d alone", 4+i, in, tt.entered)
				}
			}
		})
	}
}

// However many quick ones come, and places become free, half of a bucket does not go by round
// trip.
func TestProximityIsBounded(t *testing.T) {
	self := KeyOf([]byte("self"))
	tab := NewTable(self, TableConfig{K: 4})
	far := withCPL(self, 0, 60)
	seenAll(tab, slices.Concat(withRTT(far, 1000, 1000, 1000, 1000), withCPL(self, 1, 1), withCPL(self, 2, 4))...)
	for i, c := range far[4:] {
		c.RoundTrip = time.Second >> (i%10 + 1)
		tab.Seen(epoch.Add(time.Hour+time.Duration(i)*time.Minute), c)
		tab.check(t)
		if i%10 == 9 {
			tab.Remove(tab.Buckets()[0].Contacts[i/10%4].Contact)
			tab.check(t)
		}
	}
}
