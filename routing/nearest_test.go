package routing

import (
	"slices"
	"testing"
	"time"
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
