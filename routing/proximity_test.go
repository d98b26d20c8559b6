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

// A newcomer to a full bucket takes the place of the slowest if its round trip is
// half of that or less, and nobody else's.
func TestProximity(t *testing.T) {
	self := KeyOf([]byte("self"))
	far := withCPL(self, 0, 9)
	tests := []struct {
		name  string
		near  int // CPL of the others, so that the far bucket is one of two or of more
		rtt   int // of the newcomer
		group string
		want  Outcome
	}{
		{"clearly nearer", 2, 100, "", Added},
		{"not clearly", 2, 101, "", Pending},
		{"unknown", 2, 0, "", Pending},
		{"one of the nearest two buckets", 0, 10, "", Pending},
		{"too many of its group", 2, 10, "evil", Rejected},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tab := NewTable(self, TableConfig{K: 4, MaxPerGroup: 1})
			held := withRTT(far, 50, 200, 60, 0)
			held[0].Group = "evil"
			seenAll(tab, held...)
			if tt.near > 0 {
				seenAll(tab, slices.Concat(withCPL(self, 1, 1), withCPL(self, tt.near, 4))...)
			}
			newcomer := withRTT(far[5:], tt.rtt)[0]
			newcomer.Group = tt.group
			if got := tab.Seen(epoch.Add(time.Hour), newcomer); got != tt.want {
				t.Fatalf("the newcomer is %v, want %v", got, tt.want)
			}
			tab.check(t)
			if tt.want != Added {
				return
			}
			if tab.Buckets()[0].Pending != 1 {
				t.Error("the slowest does not wait")
			}
			if got, want := showChanges(tab), "left cpl 0 number 1, entered cpl 0 number 5"; got != want {
				t.Errorf("changes are %q, want %q", got, want)
			}
		})
	}
}

// However many quick ones come, half of a bucket stays as it is.
func TestProximityIsBounded(t *testing.T) {
	self := KeyOf([]byte("self"))
	tab := NewTable(self, TableConfig{K: 4})
	far := withCPL(self, 0, 40)
	held := withRTT(far, 1000, 1000, 1000, 1000)
	seenAll(tab, slices.Concat(held, withCPL(self, 1, 1), withCPL(self, 2, 4))...)
	for i, c := range far[4:] {
		c.RoundTrip = time.Second >> (i%10 + 1)
		tab.Seen(epoch.Add(time.Hour), c)
		tab.check(t)
	}
	stayed := 0
	for _, c := range held {
		if _, ok := tab.Contact(c.Key); ok {
			stayed++
		}
	}
	if stayed != 2 {
		t.Errorf("%d of 4 stayed, want 2", stayed)
	}
}
