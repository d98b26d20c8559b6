package sim

import (
	"container/heap"
	"time"
)

// An event happens at one instant of virtual time.
type event struct {
	at    time.Duration
	turn  uint64 // among those of one instant, the first planned is the first to happen
	do    func() // nil once it has happened or was called off
	place int    // in the heap; -1 if it is not there
}

// A timeline is the events to come, and the time of the last one that happened.
type timeline struct {
	now   time.Duration
	turns uint64
	queue eventQueue
}

// after plans do for d from now. A d below 0 is 0: nothing happens in the past.
func (t *timeline) after(d time.Duration, do func()) *event {
	e := &event{at: t.now + max(d, 0), turn: t.turns, do: do}
	t.turns++
	heap.Push(&t.queue, e)
	return e
}

// callOff takes an event out, if it has not happened. A nil event is none.
func (t *timeline) callOff(e *event) {
	if e == nil || e.place < 0 {
		return
	}
	heap.Remove(&t.queue, e.place)
	e.do = nil
}

// step lets the next event happen, and reports whether there was one.
func (t *timeline) step() bool {
	if len(t.queue) == 0 {
		return false
	}
	e, _ := heap.Pop(&t.queue).(*event)
	t.now = e.at
	do := e.do
	e.do = nil
	do()
	return true
}

// until lets events happen as long as they are not after end, and moves on to
// end.
func (t *timeline) until(end time.Duration) {
	for len(t.queue) > 0 && t.queue[0].at <= end {
		t.step()
	}
	t.now = max(t.now, end)
}

// An eventQueue is a heap of events, the next one first.
type eventQueue []*event

func (q eventQueue) Len() int { return len(q) }

func (q eventQueue) Less(i, j int) bool {
	if q[i].at != q[j].at {
		return q[i].at < q[j].at
	}
	return q[i].turn < q[j].turn
}

func (q eventQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}

// Push is for container/heap.
func (q *eventQueue) Push(x any) {
	e, _ := x.(*event)
	e.place = len(*q)
	*q = append(*q, e)
}

// Pop is for container/heap.
func (q *eventQueue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	e.place = -1
	return e
}
