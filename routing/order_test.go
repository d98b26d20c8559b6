package routing

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/libp2p/go-libp2p/core/peer"
)

// connected returns contacts that need no dial.
func connected(contacts []Contact) []Contact {
	out := slices.Clone(contacts)
	for i := range out {
		out[i].Connected = true
	}
	return out
}

// unit is the size of a network in which one node is at each distance of p.
var unit = Estimate{Nodes: 0x1p256, Error: 0.05}

func TestQuicker(t *testing.T) {
	const ms = time.Millisecond
	best := []Contact{ // the quickest first
		{Connected: true, RoundTrip: 20 * ms},
		{Connected: true, RoundTrip: 90 * ms},
		{Connected: true},
		{RoundTrip: 10 * ms},
		{},
		{Doubtful: true, Connected: true, RoundTrip: 10 * ms},
		{Doubtful: true},
	}
	for i, a := range best {
		for j, b := range best {
			a, b := candidate{Contact: a}, candidate{Contact: b}
			if got := a.quicker(&b); got != (i < j) {
				t.Errorf("%d is quicker than %d: %v", i, j, got)
			}
		}
	}
}

// Whoever is asked next is the closest, unless somebody closer is in flight; then
// it shares as many bits with the target as the closest that is left.
func TestLookupAsksTheClosestGroup(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seeds := span(1, rapid.IntRange(1, 60).Draw(t, "seeds"))
		for i := range seeds {
			seeds[i].RoundTrip = time.Duration(rapid.IntRange(0, 9).Draw(t, "round trip"))
		}
		l := NewLookup("self", target, seeds, LookupConfig{Alpha: 60, K: 60})
		left := slices.Clone(seeds)
		for i := 0; len(left) > 0; i++ {
			a := l.Next(epoch)
			if a.Kind != Ask {
				t.Fatalf("next is %v, with %d left", a.Kind, len(left))
			}
			if i == 0 && a.Contact.ID != seeds[0].ID || target.CPL(a.Contact.Key) != target.CPL(left[0].Key) {
				t.Fatalf("asks %v, the closest left is %v", a.Contact.ID, left[0].ID)
			}
			left = slices.DeleteFunc(left, func(c Contact) bool { return c.ID == a.Contact.ID })
		}
	})
}

// Far from the target half of the slots are used.
func TestLookupAsksFewFromAfar(t *testing.T) {
	for _, tt := range []struct {
		name string
		give []Contact
		size Estimate
		want int
	}{
		{"near", span(1, 30), unit, 10},
		{"at the limit", span(71, 100), unit, 10},
		{"far", span(81, 110), unit, 5},
		{"some of them", append(span(50, 55), span(81, 110)...), unit, 6},
		{"size unknown", span(81, 110), Estimate{}, 10},
		{"size uncertain", span(81, 110), Estimate{Nodes: unit.Nodes, Error: 0.3}, 10},
	} {
		l := NewLookup("self", target, tt.give, LookupConfig{Size: tt.size})
		if got, _ := asks(l, epoch); len(got) != tt.want {
			t.Errorf("%s: asks %v, want %d", tt.name, got, tt.want)
		}
	}
}

// Where most are connected, one who is not is likely gone: the next one is asked
// at once, nobody's slot is taken, and it is awaited.
func TestLookupMakesUpForTheDisconnected(t *testing.T) {
	seeds := append(connected(span(1, 4)), ps(5, 6)...)
	seeds = append(seeds, connected(span(7, 12))...)
	l := NewLookup("self", target, seeds, LookupConfig{K: 6, Alpha: 8, SlowAfter: time.Second})
	expectAsks(t, l, epoch, ps(1, 2, 3, 4, 7, 5, 6, 8)...)
	for _, c := range append(span(1, 4), ps(7, 8)...) {
		l.Answered(c.ID, nil)
	}
	if a := l.Next(epoch); a.Kind != Wait {
		t.Fatalf("next is %v, with two closer that may answer", a.Kind)
	}
	l.Connected(epoch, "5")
	l.Answered("5", nil)
	expectEnd(t, l, Converged, append(span(1, 5), p(7))...)

	l = NewLookup("self", target, span(1, 12), LookupConfig{K: 6, Alpha: 8})
	expectAsks(t, l, epoch, span(1, 6)...) // nobody is connected: that tells nothing
}

// With the size of the network known, as many more are asked as are expected to
// fail, and some more for what those who fail hide.
func TestLookupMakesUpForFailures(t *testing.T) {
	for _, tt := range []struct {
		failing float64
		size    Estimate
		want    int
	}{
		{0, unit, 10},
		{0, Estimate{}, 10},
		{0.5, Estimate{}, 10},
		{0.04, unit, 11},
		{0.5, unit, 20 + 1},
		{1, unit, 30}, // all
		{7, unit, 30},
		{-1, unit, 10},
	} {
		cfg := LookupConfig{K: 10, Alpha: 30, Size: tt.size, Failing: tt.failing}
		l := NewLookup("self", target, span(1, 30), cfg)
		if got, _ := asks(l, epoch); len(got) != tt.want {
			t.Errorf("failing %v of %v nodes: asks %d, want %d", tt.failing, tt.size.Nodes, len(got), tt.want)
		}
	}
}

// A network in which all that were asked are silent does not stop a lookup, nor
// make it ask without bound.
func TestLookupAmongTheSilent(t *testing.T) {
	l := NewLookup("self", target, span(1, 100), LookupConfig{K: 4, Alpha: 2, SlowAfter: time.Second})
	inFlight := make(map[peer.ID]bool)
	now := epoch
	dropped := 0
	for i := 0; l.Result().Requests < 40; i++ {
		switch a := l.Next(now); a.Kind {
		case Ask:
			inFlight[a.Contact.ID] = true
		case Drop:
			if want := fmt.Sprint(dropped + 1); string(a.Contact.ID) != want {
				t.Fatalf("drops %v, want %v, who has been slow for longest", a.Contact.ID, want)
			}
			dropped++
			delete(inFlight, a.Contact.ID)
		case Wait:
			now = a.Until
		case Done:
			t.Fatalf("done after %d requests", len(inFlight))
		}
		if len(inFlight) > 4 {
			t.Fatalf("%d in flight", len(inFlight))
		}
	}
	if r := l.Result(); r.Failed != dropped || dropped != 36 {
		t.Errorf("%d dropped, %d failed", dropped, r.Failed)
	}
	if took := now.Sub(epoch); took > 20*time.Second {
		t.Errorf("took %v for 40 contacts, two at a time", took)
	}
}

// Most is more than half; and however many are likely gone, requests are bounded.
func TestLookupBoundsTheDisconnected(t *testing.T) {
	l := NewLookup("self", target, span(1, 30), LookupConfig{Alpha: 5})
	for _, tt := range []struct {
		requests, dialled int
		want              bool
	}{{0, 0, false}, {2, 1, false}, {3, 1, true}, {100, 0, true}} {
		l.requests, l.dialled = tt.requests, tt.dialled
		if got := l.likelyGone(l.known["1"]); got != tt.want {
			t.Errorf("%d of %d were dialled: likely gone is %v", tt.dialled, tt.requests, got)
		}
	}
	if got, _ := asks(l, epoch); len(got) != 10 {
		t.Errorf("asks %v, want 10", got)
	}
}

// Nobody is given more time than SlowAfter, whatever is expected of it.
func TestLookupExpectsAtMostSlowAfter(t *testing.T) {
	c := p(1)
	c.Expect = 10 * time.Second
	l := NewLookup("self", target, []Contact{c}, LookupConfig{SlowAfter: time.Second})
	if last := expectAsks(t, l, epoch, c); !last.Until.Equal(epoch.Add(time.Second)) {
		t.Errorf("wait until %v", last.Until)
	}
}
