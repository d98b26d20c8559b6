package call

import "container/list"

// A Turn is the operation that requests are made for. Requests of one turn dial, and enter
// a lane, in order, and turns alternate. All requests that belong to no operation have the
// nil turn.
type Turn struct {
	over chan struct{} // closed by Leave
}

// NewTurn returns the turn of an operation.
func NewTurn() *Turn { return &Turn{make(chan struct{})} }

// Leave gives up what has not begun of the turn. Call it once.
func (t *Turn) Leave() { close(t.over) }

// left returns a channel that is closed when the operation has left.
func (t *Turn) left() <-chan struct{} {
	if t == nil {
		return nil
	}
	return t.over
}

// A queue has what waits: the items of one turn in order, and those of several turns
// alternately. No method walks it: thousands of lookups may wait. It has no lock.
type queue[T any] struct {
	turns list.List               // of *turnItems; the next turn first; none is empty
	of    map[*Turn]*list.Element // of turns
	len   int                     // items
}

// turnItems are the items of one turn, in order.
type turnItems struct {
	turn  *Turn
	items list.List // of *queued
}

// A queued is an item that waits in a queue.
type queued[T any] struct {
	item T
	turn *list.Element // of queue.turns
	at   *list.Element // of turnItems.items; nil if it does not wait any more
}

// push appends x to the items of a turn.
func (q *queue[T]) push(turn *Turn, x T) *queued[T] {
	t := q.of[turn]
	if t == nil {
		if q.of == nil {
			q.of = make(map[*Turn]*list.Element)
		}
		t = q.turns.PushBack(&turnItems{turn: turn})
		q.of[turn] = t
	}
	e := &queued[T]{item: x, turn: t}
	e.at = t.Value.(*turnItems).items.PushBack(e) //nolint:forcetypeassert // see turns
	q.len++
	return e
}

// first returns the next item; false if there is none.
func (q *queue[T]) first() (x T, ok bool) {
	if q.len == 0 {
		return x, false
	}
	return q.next().item, true
}

func (q *queue[T]) next() *queued[T] {
	return q.turns.Front().Value.(*turnItems).items.Front().Value.(*queued[T]) //nolint:forcetypeassert // see turnItems
}

// pop removes the next item. The item after it is one of another turn, if there is one.
func (q *queue[T]) pop() {
	e := q.next()
	q.turns.MoveToBack(e.turn)
	q.remove(e)
}

// remove removes an item, if it waits.
func (q *queue[T]) remove(e *queued[T]) {
	if e.at == nil {
		return
	}
	t := e.turn.Value.(*turnItems) //nolint:forcetypeassert // see turns
	t.items.Remove(e.at)
	e.at = nil
	if q.len--; t.items.Len() == 0 {
		q.turns.Remove(e.turn)
		delete(q.of, t.turn)
	}
}
