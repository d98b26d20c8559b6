package call

import "slices"

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
// alternately. The zero value is empty. It has no lock.
type queue[T comparable] struct {
	turns []*turnItems[T] // the next turn first; none is empty
}

// turnItems are the items of one turn, in order.
type turnItems[T comparable] struct {
	turn  *Turn
	items []T
}

// push appends x to the items of a turn.
func (q *queue[T]) push(turn *Turn, x T) {
	for _, t := range q.turns {
		if t.turn == turn {
			t.items = append(t.items, x)
			return
		}
	}
	q.turns = append(q.turns, &turnItems[T]{turn, []T{x}})
}

// first returns the next item; false if there is none.
func (q *queue[T]) first() (x T, ok bool) {
	if len(q.turns) == 0 {
		return x, false
	}
	return q.turns[0].items[0], true
}

// pop removes the next item. The item after it is one of another turn, if there is one.
func (q *queue[T]) pop() {
	t := q.turns[0]
	q.turns = q.turns[1:]
	if t.items = t.items[1:]; len(t.items) > 0 {
		q.turns = append(q.turns, t)
	}
}

// remove removes x from the items of a turn, if it is there.
func (q *queue[T]) remove(turn *Turn, x T) {
	for _, t := range q.turns {
		if i := slices.Index(t.items, x); t.turn == turn && i >= 0 {
			t.items = slices.Delete(t.items, i, i+1)
		}
	}
	q.dropEmpty()
}

// len returns how many items there are.
func (q *queue[T]) len() (n int) {
	for _, t := range q.turns {
		n += len(t.items)
	}
	return n
}

// take removes the items of all turns that match.
func (q *queue[T]) take(match func(T) bool) {
	for _, t := range q.turns {
		t.items = slices.DeleteFunc(t.items, match)
	}
	q.dropEmpty()
}

func (q *queue[T]) dropEmpty() {
	q.turns = slices.DeleteFunc(q.turns, func(t *turnItems[T]) bool { return len(t.items) == 0 })
}
