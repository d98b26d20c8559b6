package sim

import (
	"errors"
	"fmt"
	"slices"

	"github.com/go-kad/kad/routing"
)

// A Check says what is wrong after an operation in a world, if anything is. Each
// is about one thing that must always hold in the scenarios it is used for.
type Check func(w *World, r Report) error

// Ends checks that the operation ended.
func Ends(_ *World, r Report) error {
	if !r.Over {
		return fmt.Errorf("it has not ended after %v", maxRun)
	}
	return nil
}

// Settles checks that the lookup ended because there was nobody left to ask, and
// not by a limit.
func Settles(_ *World, r Report) error {
	if r.End != routing.Converged && r.End != routing.Exhausted {
		return fmt.Errorf("it ended as %v", r.End)
	}
	return nil
}

// FindsValue checks that a get had a value.
func FindsValue(_ *World, r Report) error {
	if r.First <= 0 {
		return errors.New("the value was not found")
	}
	return nil
}

// FindsClosest checks that the result is exactly the k closest nodes that
// answer, in order. It is for networks in which all are well.
func FindsClosest(w *World, r Report) error {
	want := w.pop.Closest(r.Target, w.scenario.Lookup.K, func(i int) bool { return i != r.From && w.Answers(i) })
	if !slices.Equal(r.Closest, want) {
		return fmt.Errorf("found %v, the closest are %v", r.Closest, want)
	}
	return nil
}

// Costs checks that the operation sent no more than so many requests.
func Costs(most int) Check {
	return func(_ *World, r Report) error {
		if r.Requests > most {
			return fmt.Errorf("%d requests, %d are allowed", r.Requests, most)
		}
		return nil
	}
}

// NoDead checks that all in the result answer. It is for networks that nobody
// leaves.
func NoDead(w *World, r Report) error {
	for _, i := range slices.Concat(r.Closest, r.Answered) {
		if !w.Answers(i) {
			return fmt.Errorf("node %d is in the result, and does not answer", i)
		}
	}
	return nil
}

// Quiet checks that nothing is in flight, and that nobody sends anything from
// then on. It is for networks without upkeep, whose time then goes on.
func Quiet(w *World, _ Report) error {
	if w.inFlight != 0 {
		return fmt.Errorf("%d requests are in flight after the end", w.inFlight)
	}
	sent := w.requests
	for w.line.step() {
	}
	if w.requests != sent || w.inFlight != 0 {
		return fmt.Errorf("%d requests were sent after the end", w.requests-sent)
	}
	return nil
}

// SoundTables checks all tables that something has changed, and one bucket after
// the other.
func SoundTables(w *World, _ Report) error {
	for i, n := range w.nodes {
		if n.table == nil {
			continue
		}
		if err := soundTable(n.table, w.Contact(i).Key, bucketSize(w.scenario.Table)); err != nil {
			return fmt.Errorf("table of node %d: %w", i, err)
		}
	}
	return nil
}

// soundTable checks what can be seen of one table from outside.
func soundTable(t *routing.Table, self routing.Key, k int) error {
	seen := make(map[routing.Key]bool)
	for i, b := range t.Buckets() {
		if len(b.Contacts) > k {
			return fmt.Errorf("bucket %d has %d contacts", i, len(b.Contacts))
		}
		if b.Pending > spares {
			return fmt.Errorf("bucket %d has %d pending", i, b.Pending)
		}
		for _, c := range b.Contacts {
			switch cpl := self.CPL(c.Key); {
			case seen[c.Key]:
				return fmt.Errorf("%v is in it twice", c.Key)
			case c.Key == self:
				return fmt.Errorf("it holds its owner")
			case cpl != b.CPL && (!b.Last || cpl < b.CPL):
				return fmt.Errorf("%v, of CPL %d, is in bucket %d", c.Key, cpl, b.CPL)
			}
			seen[c.Key] = true
		}
	}
	if len(seen) != t.Len() {
		return fmt.Errorf("it counts %d contacts, and has %d", t.Len(), len(seen))
	}
	if got := len(t.Seeds(self, len(seen)+1)); got != len(seen) {
		return fmt.Errorf("finds as seeds %d of %d contacts", got, len(seen))
	}
	return nil
}

// SameTrace checks that two runs did the same at the same times.
func SameTrace(a, b *World) error {
	if a.Trace() != b.Trace() || a.requests != b.requests || a.line.now != b.line.now {
		return fmt.Errorf("trace %x of %d requests by %v, then %x of %d by %v",
			a.Trace(), a.requests, a.line.now, b.Trace(), b.requests, b.line.now)
	}
	return nil
}
