package observe

import (
	"fmt"
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/go-kad/kad/protocol"
)

const (
	// Intervals is how many bounds the times of a Histogram have: 100 µs, 200 µs, and so on,
	// to 13.1 s.
	Intervals = 18

	shortest = 100 * time.Microsecond // the first bound
)

// Bound returns the bound of an interval, from 0 to Intervals-1.
func Bound(i int) time.Duration { return shortest << i }

// A Histogram counts times by intervals. It is safe for concurrent use, and does not allocate.
type Histogram struct {
	in  [Intervals + 1]atomic.Uint64 // the last is over all bounds
	sum atomic.Int64
}

// Add counts one time.
func (h *Histogram) Add(took time.Duration) {
	took = max(took, 0)
	i := min(Intervals, bits.Len64(uint64((took-1)/shortest)))
	h.in[i].Add(1)
	h.sum.Add(int64(took))
}

// Times are the times that a Histogram has counted.
type Times struct {
	Count  uint64
	Sum    time.Duration
	Within [Intervals]uint64 // how many were at most the Bound of the index
}

// Times returns what was counted. While times are added, Sum may be some ahead, or behind.
func (h *Histogram) Times() Times {
	t := Times{Sum: time.Duration(h.sum.Load())}
	for i := range h.in {
		t.Count += h.in[i].Load()
		if i < Intervals {
			t.Within[i] = t.Count
		}
	}
	return t
}

const (
	kinds    = 6 // of requests
	outcomes = 8 // at most
)

// A row has the Histograms of one kind, by outcome.
type row [outcomes]Histogram

// each calls f with a name, each outcome, and its times, if there are any.
func (r *row) each(kind string, f func(kind string, outcome uint8, t Times)) {
	for outcome := range uint8(outcomes) {
		if t := r[outcome].Times(); t.Count > 0 {
			f(kind, outcome, t)
		}
	}
}

// Requests has a Histogram for each kind of request and each outcome, whose number is from
// 0 to 7.
type Requests struct{ of [kinds]row }

// Add counts one request.
func (r *Requests) Add(req protocol.Request, outcome uint8, took time.Duration) {
	if kind, _ := kindOf(req); int(outcome) < outcomes {
		r.of[kind][outcome].Add(took)
	}
}

// Of returns the times of the requests of the kind of req with an outcome.
func (r *Requests) Of(req protocol.Request, outcome uint8) Times {
	kind, _ := kindOf(req)
	return r.of[kind][outcome].Times()
}

// Each calls f with the name of each kind, each outcome, and its times, if there are any.
func (r *Requests) Each(f func(kind string, outcome uint8, t Times)) {
	for _, req := range []protocol.Request{
		protocol.FindNode{}, protocol.GetValue{}, protocol.PutValue{}, protocol.GetProviders{}, protocol.AddProvider{}, protocol.Ping{},
	} {
		kind, name := kindOf(req)
		r.of[kind].each(name, f)
	}
}

// KindOf returns the name of the kind of a request.
func KindOf(req protocol.Request) string {
	_, name := kindOf(req)
	return name
}

// kindOf returns the number and the name of the kind of a request.
func kindOf(req protocol.Request) (int, string) {
	switch req.(type) {
	case protocol.FindNode:
		return 0, "find_node"
	case protocol.GetValue:
		return 1, "get_value"
	case protocol.PutValue:
		return 2, "put_value"
	case protocol.GetProviders:
		return 3, "get_providers"
	case protocol.AddProvider:
		return 4, "add_provider"
	case protocol.Ping:
		return 5, "ping"
	default:
		panic(fmt.Sprintf("kad: %T is no request", req))
	}
}
