package observe

import (
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
	r.Add(protocol.Ping{}, 7, time.Second)
	r.Add(protocol.FindNode{}, 0, time.Second)
	r.Add(protocol.FindNode{}, 0, time.Second)
	r.Add(protocol.FindNode{}, 8, time.Second) // there is no such outcome
	got := make(map[string]uint64)
	r.Each(func(kind string, outcome uint8, times Times) { got[kind+string('0'+rune(outcome))] = times.Count })
	if len(got) != 2 || got["ping7"] != 1 || got["find_node0"] != 2 || r.Of(protocol.Ping{}, 7).Count != 1 {
		t.Errorf("%v", got)
	}
	var req protocol.Request = protocol.FindNode{}
	if n := testing.AllocsPerRun(100, func() { r.Add(req, 0, time.Second) }); n > 0 {
		t.Errorf("Add allocates %v times", n)
	}
}
