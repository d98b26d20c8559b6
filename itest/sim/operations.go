package sim

import (
	"time"

	"github.com/go-kad/kad/routing"
)

// A Report is what one operation did.
type Report struct {
	Tally
	From       int           // the node that did it
	Target     routing.Key   // what was looked up, or stored
	Took       time.Duration // until it was over
	First      time.Duration // Get: until the first value; Join: until our own lookup was over; 0 if never
	Hops       int           // to the farthest contact that answered
	End        routing.End   // why the lookup ended
	Closest    []int         // the nodes it found, or that stored
	Answered   []int         // the nodes that answered
	Confidence float64       // what the lookup said of its result
	Accuracy   float64       // share of the true k closest that are among Closest
	Reached    bool          // the closest honest node answered
	Crowded    bool          // the lookup has seen a crowd around the target
	Filled     float64       // Join: share of the places in the table that are taken, of those that can be
	Over       bool          // it ended
}

// maxRun is when a world stops waiting for an operation: far beyond any that
// ends at all.
const maxRun = 10 * time.Minute

// await lets the world run until the operation is over.
func (w *World) await(over *bool) {
	for end := w.line.now + maxRun; !*over && w.line.now < end && w.line.step(); {
	}
}

// Lookup looks up the key of a preimage, and returns when that is over.
func (w *World) Lookup(from int, preimage []byte) Report {
	return w.Lookups(from, [][]byte{preimage})[0]
}

// Lookups looks up several keys at once.
func (w *World) Lookups(from int, preimages [][]byte) []Report {
	reports := make([]Report, len(preimages))
	for i, preimage := range preimages {
		w.begin(&reports[i], from, routing.KeyOf(preimage), findNode, nil, nil)
	}
	for i := range reports {
		w.await(&reports[i].Over)
		w.judgeReport(&reports[i])
	}
	return reports
}

// Get looks up the value of a key, which the k nodes closest to it are given
// before. As package host does, it asks all of them; the report says when the
// first value was there.
func (w *World) Get(from int, preimage []byte) Report {
	target := routing.KeyOf(preimage)
	for _, i := range w.pop.Closest(target, w.scenario.Lookup.K, func(i int) bool { return i != from }) {
		w.node(i).holds = map[routing.Key]bool{target: true}
	}
	var r Report
	start := w.line.now
	w.begin(&r, from, target, getValue, func(_ int, got reply) {
		if got.value && r.First == 0 {
			r.First = w.line.now - start
		}
	}, nil)
	w.await(&r.Over)
	w.judgeReport(&r)
	return r
}

// Provide looks up the k nodes closest to a key and then has all of them store
// something under it, as package host does. It is over when quorum of them have
// said that they did, or all have answered or failed. The others are then waited
// for, and count for the accuracy.
func (w *World) Provide(from int, preimage []byte, quorum int) Report {
	var r Report
	target := routing.KeyOf(preimage)
	start := w.line.now
	sent, settled := 0, false
	var stored []int
	w.begin(&r, from, target, findNode, nil, func() {
		waiting := len(r.Closest)
		r.Over = waiting == 0
		sent = waiting
		for _, to := range r.Closest {
			contact := w.Contact(to)
			w.request(&call{way: way{from, to}, errand: store, target: target, tally: &r.Tally, done: func(_ reply, ok bool) {
				w.learn(from, contact, ok)
				waiting--
				if ok {
					stored = append(stored, to)
				}
				if !r.Over && (len(stored) >= quorum || waiting == 0) {
					r.Over, r.Took = true, w.line.now-start
				}
				settled = waiting == 0
			}})
		}
		settled = sent == 0
	})
	w.await(&r.Over)
	w.await(&settled)
	r.Closest = stored
	w.judgeReport(&r)
	return r
}

// begin starts a lookup, whose end is written to r before then is called.
func (w *World) begin(r *Report, from int, target routing.Key, e errand, heard func(int, reply), then func()) {
	start := w.line.now
	r.From, r.Target = from, target
	s := &search{w: w, from: from, target: target, errand: e, tally: &r.Tally, heard: heard}
	s.confirm = e == findNode && then == nil // what is to be stored or found, all are asked
	s.done = func(result routing.Result) {
		r.Took = w.line.now - start
		r.Hops, r.End, r.Confidence, r.Crowded = result.Hops, result.End, result.Confidence, result.Crowded
		r.Closest, r.Answered = w.numbers(result.Closest), w.numbers(result.Answered)
		r.Over = true
		if then != nil {
			then()
		}
	}
	s.start()
}

// numbers returns which nodes contacts are.
func (w *World) numbers(contacts []routing.Contact) []int {
	out := make([]int, len(contacts))
	for i, c := range contacts {
		out[i] = w.number(c)
	}
	return out
}

// judgeReport compares what was found with what is there.
func (w *World) judgeReport(r *Report) {
	others := func(i int) bool { return i != r.From && w.Answers(i) && !w.apart(i, r.From) }
	truth := w.pop.Closest(r.Target, w.scenario.Lookup.K, others)
	r.Accuracy = shareOf(truth, r.Closest)
	best := w.pop.Closest(r.Target, 1, func(i int) bool { return others(i) && w.honest(i) })
	r.Reached = shareOf(best, r.Answered) == 1
}

// shareOf returns the share of wanted that is in got; 1 if nothing is wanted.
func shareOf(wanted, got []int) float64 {
	if len(wanted) == 0 {
		return 1
	}
	have := make(map[int]bool, len(got))
	for _, i := range got {
		have[i] = true
	}
	found := 0
	for _, i := range wanted {
		if have[i] {
			found++
		}
	}
	return float64(found) / float64(len(wanted))
}
