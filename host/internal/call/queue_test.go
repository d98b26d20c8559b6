package call

import (
	"slices"
	"testing"
)

// Turns alternate, the items of one are in order, and what was removed is passed over; once,
// however often it is removed.
func TestTurnsAlternate(t *testing.T) {
	var q queue[string]
	a, b := NewTurn(), NewTurn()
	for _, x := range []string{"a0", "a1", "a2", "a3"} {
		q.push(a, x)
	}
	b0 := q.push(b, "b0")
	q.push(b, "b1")
	q.push(nil, "n0")
	gone := q.push(NewTurn(), "gone")
	for range 2 {
		q.remove(b0)
		q.remove(gone)
	}
	var got []string
	for q.len > 0 {
		x, _ := q.first()
		q.pop()
		if got = append(got, x); x == "a1" {
			q.push(b, "b2")
		}
	}
	if want := []string{"a0", "b1", "n0", "a1", "a2", "b2", "a3"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if _, ok := q.first(); ok || len(q.of) > 0 || q.turns.Len() > 0 {
		t.Error("something is left")
	}
}

// A change of a queue takes as long with many items as with few: a burst of lookups queues
// tens of thousands of dials.
func BenchmarkQueue(b *testing.B) {
	var q queue[int]
	for i := range 30_000 {
		q.push(&Turn{}, i)
	}
	for i := 0; b.Loop(); i++ {
		q.remove(q.push(&Turn{}, i))
		q.push(&Turn{}, i)
		q.pop()
	}
}
