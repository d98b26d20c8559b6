package routing

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// target is what lookups of these tests look for; p(n) is the contact at
// distance n of it.
var target = KeyOf([]byte("target"))

func p(n int) Contact { return away(target, uint64(n), fmt.Sprint(n)) }

// ps returns the contacts at those distances.
func ps(distances ...int) []Contact {
	var out []Contact
	for _, d := range distances {
		out = append(out, p(d))
	}
	return out
}

// span returns the contacts at distances from first to last.
func span(first, last int) []Contact {
	var out []Contact
	for d := first; d <= last; d++ {
		out = append(out, p(d))
	}
	return out
}

// asks returns whom l asks at now, until it waits or is done.
func asks(l *Lookup, now time.Time) (asked []string, last Action) {
	for {
		a := l.Next(now)
		if a.Kind != Ask {
			return asked, a
		}
		asked = append(asked, string(a.Contact.ID))
	}
}

// expectAsks fails the test if l does not ask exactly those contacts, in order.
func expectAsks(t *testing.T, l *Lookup, now time.Time, want ...Contact) Action {
	t.Helper()
	got, last := asks(l, now)
	if !slices.Equal(got, ids(want)) {
		t.Fatalf("asks %v, want %v", got, ids(want))
	}
	return last
}

// expectEnd fails the test if l has not ended so, with those contacts.
func expectEnd(t *testing.T, l *Lookup, want End, closest ...Contact) {
	t.Helper()
	if a := l.Next(epoch.Add(time.Hour)); a.Kind != Done {
		t.Fatalf("next is %v, want %v", a.Kind, Done)
	}
	got := l.Result()
	if got.End != want || !sameContacts(got.Closest, closest) {
		t.Errorf("ended %v with %v, want %v with %v", got.End, ids(got.Closest), want, ids(closest))
	}
}

// Never more than alpha outstanding while progressing, closest first.
func TestLookupAsksAlphaClosest(t *testing.T) {
	l := NewLookup("self", target, ps(5, 3, 9, 7), LookupConfig{Alpha: 2})
	last := expectAsks(t, l, epoch, ps(3, 5)...)
	if last.Kind != Wait || !last.Until.Equal(epoch.Add(5*time.Second)) {
		t.Errorf("next is %v until %v", last.Kind, last.Until)
	}
	l.Answered("3", ps(1))
	expectAsks(t, l, epoch, p(1))
}

// A lookup never asks itself, nor anybody twice, however often it is named.
func TestLookupIgnoresSelfAndDuplicates(t *testing.T) {
	self := p(0)
	l := NewLookup(self.ID, target, append(ps(3, 3), self, Contact{}), LookupConfig{})
	expectAsks(t, l, epoch, p(3))
	l.Answered("3", append(ps(3, 1, 1), self))
	expectAsks(t, l, epoch, p(1))
	l.Answered("1", append(ps(3, 1), self))
	expectEnd(t, l, Exhausted, ps(1, 3)...)
}

// Of an answer longer than 2k, the closest are kept, wherever they are in it.
func TestLookupCutsLongAnswers(t *testing.T) {
	l := NewLookup("self", target, ps(100), LookupConfig{K: 2})
	asks(l, epoch)
	long := ps(9, 8, 7, 6, 5, 4, 3)
	l.Answered("100", long)
	expectAsks(t, l, epoch, ps(3, 4)...)
	if long[0].ID != p(9).ID {
		t.Error("the answer was changed")
	}
	l.Answered("3", nil)
	l.Answered("4", nil)
	expectEnd(t, l, Converged, ps(3, 4)...)
}

// A lookup without seeds ends at once, and says so.
func TestLookupWithoutSeeds(t *testing.T) {
	for _, seeds := range [][]Contact{nil, {ContactOf("self")}} {
		expectEnd(t, NewLookup("self", target, seeds, LookupConfig{}), NoSeeds)
	}
}

// With fewer contacts than wanted, it ends once all have been asked.
func TestLookupExhausts(t *testing.T) {
	l := NewLookup("self", target, ps(3, 4), LookupConfig{})
	asks(l, epoch)
	l.Answered("3", nil)
	if a := l.Next(epoch); a.Kind != Wait {
		t.Errorf("next is %v with a contact that has not answered", a.Kind)
	}
	l.Failed("4")
	expectEnd(t, l, Exhausted, p(3))
}

// All seeds fail: the lookup ends, with nobody.
func TestLookupAllFail(t *testing.T) {
	l := NewLookup("self", target, ps(3, 4), LookupConfig{})
	asks(l, epoch)
	l.Failed("3")
	l.Failed("4")
	expectEnd(t, l, Exhausted)
	if r := l.Result(); r.Requests != 2 || r.Failed != 2 || r.Hops != 0 {
		t.Errorf("result is %+v", r)
	}
}

// It ends when the beta closest have answered, and returns up to k.
func TestLookupBeta(t *testing.T) {
	l := NewLookup("self", target, ps(3, 4, 5, 6, 7), LookupConfig{K: 4, Beta: 2, Alpha: 3})
	expectAsks(t, l, epoch, ps(3, 4, 5)...)
	l.Answered("5", nil)
	l.Answered("3", nil)
	expectAsks(t, l, epoch, p(6))
	l.Answered("4", nil)
	expectEnd(t, l, Converged, ps(3, 4, 5)...)
}

// A failed contact never appears in the result, however often it is named; the
// next one is asked in its place.
func TestLookupReplacesFailed(t *testing.T) {
	l := NewLookup("self", target, ps(1, 2, 3), LookupConfig{K: 2})
	expectAsks(t, l, epoch, ps(1, 2)...)
	l.Failed("1")
	l.Answered("2", ps(1))
	expectAsks(t, l, epoch, p(3))
	l.Answered("3", ps(1, 2))
	expectEnd(t, l, Converged, ps(2, 3)...)
}

// When two answers or failures in a row bring nobody closer, parallelism widens
// to twice alpha; it returns to alpha on progress.
func TestLookupWidens(t *testing.T) {
	l := NewLookup("self", target, span(101, 120), LookupConfig{K: 8, Alpha: 2})
	expectAsks(t, l, epoch, ps(101, 102)...)
	l.Failed("101")
	expectAsks(t, l, epoch, p(103))
	l.Answered("102", ps(119, 130)) // nobody closer than the 8th
	expectAsks(t, l, epoch, span(104, 106)...)

	l.Answered("105", ps(50, 51, 52)) // progress: back to two
	expectAsks(t, l, epoch)
	for i, id := range []peer.ID{"103", "104"} {
		l.Answered(id, ps(53+i))
	}
	expectAsks(t, l, epoch, p(50))
}

// A slow contact frees its slot, is passed over, and its late answer counts.
func TestLookupSlow(t *testing.T) {
	l := NewLookup("self", target, ps(1, 2, 3), LookupConfig{K: 2, Alpha: 1, SlowAfter: time.Second})
	last := expectAsks(t, l, epoch, p(1))
	if want := epoch.Add(time.Second); !last.Until.Equal(want) {
		t.Errorf("wait until %v, want %v", last.Until, want)
	}
	expectAsks(t, l, last.Until.Add(-1))
	now := last.Until
	expectAsks(t, l, now, p(2))
	l.Answered("2", nil)
	expectAsks(t, l, now, p(3))
	if !l.Answered("1", ps(0)) {
		t.Fatal("a late answer does not count")
	}
	expectAsks(t, l, now) // 3 has dropped out of the closest, but has the slot
	l.Failed("3")
	expectAsks(t, l, now, p(0))
	l.Answered("0", nil)
	expectEnd(t, l, Converged, ps(0, 1)...)
}

// Nobody waits for a slow contact once the others have answered.
func TestLookupEndsWithoutSlow(t *testing.T) {
	l := NewLookup("self", target, ps(1, 2), LookupConfig{SlowAfter: time.Second})
	asks(l, epoch)
	l.Answered("2", nil)
	if a := l.Next(epoch.Add(time.Second - 1)); a.Kind != Wait {
		t.Errorf("next is %v before anybody is slow", a.Kind)
	}
	expectEnd(t, l, Exhausted, p(2))
	if r := l.Result(); r.Late != 1 || r.Confidence != 0.5 {
		t.Errorf("%d are late, and the confidence is %v; want 1 and 0.5", r.Late, r.Confidence)
	}
	if l.Answered("1", nil) || l.Failed("1") {
		t.Error("an answer counts after the end")
	}
}

// If nobody else answers, slow contacts are waited for after all.
func TestLookupWaitsForSlowRatherThanNobody(t *testing.T) {
	l := NewLookup("self", target, ps(1, 2), LookupConfig{SlowAfter: time.Second})
	asks(l, epoch)
	now := epoch.Add(time.Hour)
	if a := l.Next(now); a.Kind != Wait || !a.Until.After(now) {
		t.Fatalf("next is %v until %v", a.Kind, a.Until)
	}
	l.Failed("1")
	if a := l.Next(now); a.Kind != Wait {
		t.Fatalf("next is %v", a.Kind)
	}
	l.Answered("2", nil)
	expectEnd(t, l, Exhausted, p(2))
}

// With a negative SlowAfter nobody is ever slow.
func TestLookupNeverSlow(t *testing.T) {
	l := NewLookup("self", target, ps(1, 2), LookupConfig{Alpha: 1, SlowAfter: -1})
	expectAsks(t, l, epoch, p(1))
	now := epoch.Add(time.Hour)
	if last := expectAsks(t, l, now); !last.Until.After(now) {
		t.Errorf("wait until %v, which has passed", last.Until)
	}
}

// Answers from peers not asked, second ones, and those after the end change
// nothing. A failure cannot overwrite an earlier success, nor the reverse.
func TestLookupStrayAnswers(t *testing.T) {
	l := NewLookup("self", target, ps(4, 5, 6, 7), LookupConfig{Alpha: 2})
	asks(l, epoch)
	for _, id := range []peer.ID{"6", "99", "self"} { // known but not asked, unknown, ourselves
		if l.Answered(id, ps(1)) || l.Failed(id) {
			t.Errorf("an answer of %s was awaited", id)
		}
	}
	if !l.Answered("4", nil) || l.Answered("4", ps(1)) || l.Failed("4") {
		t.Error("4 does not count once as answered")
	}
	if !l.Failed("5") || l.Failed("5") || l.Answered("5", ps(1)) {
		t.Error("5 does not count once as failed")
	}
	expectAsks(t, l, epoch, ps(6, 7)...)
	l.Stop()
	before := l.Result()
	if l.Answered("6", ps(1)) || l.Failed("7") {
		t.Error("an answer was awaited after the end")
	}
	expectEnd(t, l, Stopped, p(4))
	if after := l.Result(); after.Failed != before.Failed || after.Requests != before.Requests {
		t.Errorf("result was %+v, is %+v", before, after)
	}
}

// A caller who has what it wants ends the lookup, and gets what was found.
func TestLookupStop(t *testing.T) {
	l := NewLookup("self", target, ps(4, 5), LookupConfig{})
	if got := l.Result().End; got != Running {
		t.Errorf("end is %v, want %v", got, Running)
	}
	asks(l, epoch)
	l.Answered("5", ps(1, 2))
	l.Stop()
	l.StopPath("5")
	expectEnd(t, l, Stopped, p(5))
}

// The depth limit stops the walk and is reported.
func TestLookupDepthLimit(t *testing.T) {
	for _, tt := range []struct{ limit, asked int }{{1, 1}, {3, 3}, {0, 20}, {-1, 30}} {
		l := NewLookup("self", target, ps(100), LookupConfig{MaxDepth: tt.limit})
		asked := 0
		for a := l.Next(epoch); a.Kind == Ask; a = l.Next(epoch) {
			asked++
			if a.Depth != asked {
				t.Errorf("request %d is at depth %d", asked, a.Depth)
			}
			var closer []Contact
			if asked < 30 { // a chain of that many
				closer = ps(100 - asked)
			}
			l.Answered(a.Contact.ID, closer)
		}
		r := l.Result()
		want := DepthLimit
		if tt.limit < 0 {
			want = Converged
		}
		if asked != tt.asked || r.Hops != tt.asked || r.End != want {
			t.Errorf("limit %d: asked %d, %d hops, %v", tt.limit, asked, r.Hops, r.End)
		}
	}
}

// The depth of a contact is that of the shortest way to it.
func TestLookupDepthIsOfTheShortestWay(t *testing.T) {
	l := NewLookup("self", target, ps(5, 6), LookupConfig{Alpha: 1})
	asks(l, epoch)
	l.Answered("5", ps(2, 6, 7))
	asks(l, epoch)
	l.Answered("2", ps(6, 7))
	depths := make(map[string]int)
	for a := l.Next(epoch); a.Kind == Ask; a = l.Next(epoch) {
		depths[string(a.Contact.ID)] = a.Depth
		l.Answered(a.Contact.ID, nil)
	}
	if depths["6"] != 1 || depths["7"] != 2 {
		t.Errorf("depths are %v, want 6 at 1 and 7 at 2", depths)
	}
}

// What is too far to be asked, but not among the closest, limits nobody.
func TestLookupDepthLimitThatDoesNotMatter(t *testing.T) {
	l := NewLookup("self", target, ps(1, 2), LookupConfig{K: 2, MaxDepth: 1})
	asks(l, epoch)
	l.Answered("1", ps(3))
	l.Answered("2", ps(3))
	expectEnd(t, l, Converged, ps(1, 2)...)
}

// The calls and actions of a lookup are its events: they rebuild the run. Each
// contact is asked, then answers or fails, and there is one reason for the end.
func TestLookupEventsRebuildTheRun(t *testing.T) {
	rng := seeded(t, 4)
	net := newNetwork(100, rng)
	from := net.nodes[0]
	l := NewLookup(from.ID, target, net.tables[from.Key].Closest(target, 20), LookupConfig{Paths: 3})
	fate := make(map[peer.ID]string)
	var waiting []Contact
	var end Action
	for end.Kind != Done {
		switch a := l.Next(epoch); a.Kind {
		case Ask:
			if fate[a.Contact.ID] != "" || a.Path < 0 || a.Path >= 3 || a.Depth < 1 {
				t.Errorf("%v is asked by path %d at depth %d, was %q", a.Contact.ID, a.Path, a.Depth, fate[a.Contact.ID])
			}
			fate[a.Contact.ID] = "waiting"
			waiting = append(waiting, a.Contact)
		case Wait:
			i := rng.IntN(len(waiting))
			c := waiting[i]
			waiting = slices.Delete(waiting, i, i+1)
			if rng.IntN(4) == 0 {
				fate[c.ID] = "failed"
				l.Failed(c.ID)
			} else {
				fate[c.ID] = "answered"
				l.Answered(c.ID, net.tables[c.Key].Closest(target, 20))
			}
		case Done:
			end = a
		}
	}
	r := l.Result()
	count := make(map[string]int)
	for _, f := range fate {
		count[f]++
	}
	if len(fate) != r.Requests || count["failed"] != r.Failed || count["answered"] != len(r.Answered) || r.End == Running {
		t.Errorf("fates are %v, the result %d requests, %d failed, %d answered, %v",
			count, r.Requests, r.Failed, len(r.Answered), r.End)
	}
}

func TestNewLookupPanics(t *testing.T) {
	for _, cfg := range []LookupConfig{{K: -1}, {Alpha: -1}, {Beta: -1}, {Paths: -1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%+v does not panic", cfg)
				}
			}()
			NewLookup("self", target, nil, cfg)
		}()
	}
}

func TestNames(t *testing.T) {
	for got, want := range map[fmt.Stringer]string{
		Rejected: "rejected", Added: "added", Refreshed: "refreshed", Pending: "pending", Outcome(9): "invalid",
		Ask: "ask", Wait: "wait", Done: "done", Drop: "drop", Also: "also", ActionKind(9): "invalid",
		Running: "running", Converged: "converged", Exhausted: "exhausted", Stopped: "stopped",
		DepthLimit: "depth limit", NoSeeds: "no seeds", Overrun: "overrun", End(9): "invalid",
	} {
		if got.String() != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
