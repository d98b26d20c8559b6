package observe

import (
	"maps"
	"testing"
	"time"

	"github.com/go-kad/kad/protocol"
)

// A time counts within the bounds that are not below it.
func TestHistogram(t *testing.T) {
	for i := range Intervals {
		for _, tt := range []struct {
			took  time.Duration
			first int // interval that it is in
		}{{Bound(i), i}, {Bound(i) + 1, i + 1}} {
			var h Histogram
			h.Add(tt.took)
			got := h.Times()
			if got.Count != 1 || got.Sum != tt.took {
				t.Errorf("%v: %+v", tt.took, got)
			}
			for j, n := range got.Within {
				if (n == 1) != (j >= tt.first) {
					t.Errorf("%v: %d within %v", tt.took, n, Bound(j))
				}
			}
		}
	}
	var h Histogram
	h.Add(-time.Second) // a clock that was set back
	h.Add(time.Hour)
	if got := h.Times(); got.Count != 2 || got.Within[0] != 1 || got.Within[Intervals-1] != 1 || got.Sum != time.Hour {
		t.Errorf("%+v; want one below all bounds and one above", got)
	}
}

// Requests are counted by kind and outcome, without allocation.
func TestRequests(t *testing.T) {
	var r Requests
	want := make(map[string]uint64)
	for i, req := range []protocol.Request{
		protocol.FindNode{}, protocol.GetValue{}, protocol.PutValue{}, protocol.GetProviders{}, protocol.AddProvider{}, protocol.Ping{},
	} {
		outcome := uint8(7 - i)
		want[KindOf(req)+string('0'+rune(outcome))] = uint64(i + 1)
		for range i + 1 {
			r.Add(req, outcome, time.Second)
		}
		r.Add(req, 8, time.Second) // there is no such outcome
		if got := r.Of(req, outcome).Count; got != uint64(i+1) {
			t.Errorf("%s: %d, want %d", KindOf(req), got, i+1)
		}
	}
	got := make(map[string]uint64)
	r.Each(func(kind string, outcome uint8, times Times) { got[kind+string('0'+rune(outcome))] = times.Count })
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	var req protocol.Request = protocol.FindNode{}
	if n := testing.AllocsPerRun(100, func() { r.Add(req, 0, time.Second) }); n > 0 {
		t.Errorf("Add allocates %v times", n)
	}
}

// Operations are counted by their names and outcomes.
func TestOperations(t *testing.T) {
	var o Operations
	o.Add(Put, 0, time.Second)
	o.Add(Connect, 7, time.Second)
	o.Add(Connect, 7, time.Second)
	got := make(map[string]uint64)
	o.Each(func(kind string, outcome uint8, times Times) { got[kind+string('0'+rune(outcome))] = times.Count })
	if want := map[string]uint64{"put0": 1, "connect7": 2}; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
