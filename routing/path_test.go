package routing

import (
	"fmt"
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Slots are shared out to paths, and each path has at least one.
func TestPathsShareAlpha(t *testing.T) {
	for _, tt := range []struct{ alpha, paths, want int }{{10, 1, 10}, {10, 4, 10}, {10, 8, 10}, {2, 4, 4}} {
		l := NewLookup("self", target, span(1, 30), LookupConfig{Alpha: tt.alpha, Paths: tt.paths})
		byPath := make(map[int]int)
		n := 0
		for a := l.Next(epoch); a.Kind == Ask; a = l.Next(epoch) {
			byPath[a.Path]++
			n++
		}
		if n != tt.want || len(byPath) != tt.paths {
			t.Errorf("alpha %d, %d paths: %d requests, by path %v", tt.alpha, tt.paths, n, byPath)
		}
	}
}

// The referrals of a peer reach one path only: the one that asked it.
func TestReferralsReachOnePath(t *testing.T) {
	l := NewLookup("self", target, ps(10, 11), LookupConfig{Alpha: 2, Paths: 2})
	expectAsks(t, l, epoch, ps(10, 11)...)
	l.Answered("10", ps(5, 6))
	expectAsks(t, l, epoch, p(5)) // path 1 has a slot, and nobody to ask
	l.Answered("11", ps(7))
	expectAsks(t, l, epoch, p(7)) // not 6, of which path 1 has not heard
}

// A contact is claimed by the path that asks it, not by the one that hears of it
// first; the other sees that it answered.
func TestContactIsClaimedWhenAsked(t *testing.T) {
	l := NewLookup("self", target, ps(10, 11), LookupConfig{Alpha: 2, Paths: 2})
	asks(l, epoch)
	l.Answered("10", ps(5, 6)) // path 0 asks 5, and has heard of 6
	l.Answered("11", ps(6))    // path 1 has heard of 6, and asks it
	expectAsks(t, l, epoch, ps(5, 6)...)
	l.Answered("5", nil)
	if a := l.Next(epoch); a.Kind != Wait { // path 0 waits for 6 as well
		t.Fatalf("next is %v", a.Kind)
	}
	l.Answered("6", nil)
	expectEnd(t, l, Exhausted, ps(5, 6, 10, 11)...)
}

// A lying path cannot hide the peers of an honest one.
func TestLyingPathHidesNobody(t *testing.T) {
	liars := span(1, 40) // closer than everybody else
	for paths, wantHonest := range map[int]bool{1: false, 2: true} {
		l := NewLookup("self", target, ps(100, 101), LookupConfig{K: 4, Alpha: 2, Paths: paths})
		asked := make(map[peer.ID]bool)
		for a := l.Next(epoch); a.Kind != Done; a = l.Next(epoch) {
			if a.Kind == Wait {
				t.Fatal("waits for nobody")
			}
			asked[a.Contact.ID] = true
			switch a.Contact.ID {
			case "101":
				l.Answered("101", ps(50, 51))
			default: // 100 lies, and its friends answer
				l.Answered(a.Contact.ID, liars[:8])
			}
		}
		if got := asked["50"]; got != wantHonest {
			t.Errorf("%d paths: the honest contact was asked: %v, want %v", paths, got, wantHonest)
		}
	}
}

// A quorum under disjoint paths needs an answer on each path.
func TestStopPath(t *testing.T) {
	l := NewLookup("self", target, ps(10, 11), LookupConfig{Alpha: 2, Paths: 2})
	asks(l, epoch)
	l.StopPath("99") // nobody asked it
	l.Answered("10", ps(5))
	l.StopPath("10")
	expectAsks(t, l, epoch) // its path does not go on
	l.Answered("11", ps(6))
	expectAsks(t, l, epoch, p(6))
	l.StopPath("10") // again, of the same path
	if a := l.Next(epoch); a.Kind != Wait {
		t.Fatalf("next is %v, with one path stopped of two", a.Kind)
	}
	l.Answered("6", nil)
	l.StopPath("6")
	expectEnd(t, l, Stopped, ps(6, 10, 11)...)
}

// A lookup some of whose paths were stopped ends as the others do.
func TestStopPathAndConverge(t *testing.T) {
	l := NewLookup("self", target, ps(10, 11), LookupConfig{K: 2, Alpha: 2, Paths: 2})
	asks(l, epoch)
	l.StopPath("10")
	if !l.Answered("10", ps(5)) { // an answer on a stopped path still counts
		t.Error("the answer was not awaited")
	}
	l.Answered("11", nil)
	expectEnd(t, l, Converged, ps(10, 11)...)
}

// The memory of a path is bounded: the farthest contacts are forgotten, and
// those that were asked are not asked again.
func TestPathForgetsFarthest(t *testing.T) {
	l := NewLookup("self", target, ps(1_000_000), LookupConfig{K: 600, Alpha: 1})
	expectAsks(t, l, epoch, p(1_000_000))
	var many []Contact
	for i := range 1200 {
		many = append(many, p(2000+i))
	}
	l.Answered("1000000", many)
	if got := len(l.paths[0].candidates); got != maxCandidates {
		t.Errorf("%d candidates, want %d", got, maxCandidates)
	}
	if got := len(l.known); got != maxCandidates+1 {
		t.Errorf("%d contacts are known, want %d and the one that was asked", got, maxCandidates)
	}
	expectAsks(t, l, epoch, p(2000))
	l.Answered("2000", append(span(1, 10), p(1_000_000)))
	expectAsks(t, l, epoch, p(1))
	if got := len(l.known); got != maxCandidates+1 {
		t.Errorf("%d contacts are known", got)
	}
	if !slices.IsSortedFunc(l.paths[0].candidates, func(a, b *candidate) int { return target.Compare(a.Key, b.Key) }) {
		t.Error("candidates are not sorted")
	}
	if got := ids(l.Result().Answered); fmt.Sprint(got) != "[2000 1000000]" {
		t.Errorf("answered are %v", got)
	}
}

// What one path forgets, the others still know.
func TestOtherPathsDoNotForget(t *testing.T) {
	l := NewLookup("self", target, ps(10, 11, 1_000_000), LookupConfig{K: 600, Alpha: 2, Paths: 2})
	asks(l, epoch)
	var many []Contact
	for i := range 1200 {
		many = append(many, p(2000+i))
	}
	l.Answered("10", many)
	if c := l.known["1000000"]; c == nil || c.paths != 1 {
		t.Errorf("the contact is %+v, want it known to one path", c)
	}
}

// Budget: 30 µs for an answer of 20 contacts a path has not heard of.
func BenchmarkLookupAnswered(b *testing.B) {
	closer := make([]Contact, 20)
	for i := range closer {
		closer[i] = contact(i)
	}
	b.ReportAllocs()
	for b.Loop() {
		l := NewLookup("self", target, closer[:1], LookupConfig{})
		l.Next(epoch)
		l.Answered(closer[0].ID, closer)
	}
}
