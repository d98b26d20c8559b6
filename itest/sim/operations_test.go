package sim

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-kad/kad/routing"
)

// A lookup reports what the log says that it did.
func TestLookupReport(t *testing.T) {
	w := NewWorld(NewPopulation(500, 1), Scenario{Links: NoneOpen, Dead: 0.1, DialTimeout: ms(100)}, seeded(t, 1))
	from := w.Anybody()
	var log strings.Builder
	w.Log = &log
	r := w.Lookup(from, []byte("key"))
	if want := fmt.Sprintf("lookup    %d 80\n", from); !strings.Contains(log.String(), want) {
		t.Errorf("it does not start from 80 contacts")
	}
	if r.From != from || r.Target != routing.KeyOf([]byte("key")) || !r.Over {
		t.Errorf("it is %+v", r)
	}
	if r.Took != w.Now() || r.Requests != w.requests || r.Dials > r.Requests || r.Dials < r.Requests-10 { // contacts asked once more are connected
		t.Errorf("took %v of %v, %d requests of %d, %d dials", r.Took, w.Now(), r.Requests, w.requests, r.Dials)
	}
	if len(r.Closest) != 20 || !slices.Equal(r.Closest, r.Answered[:20]) {
		t.Errorf("closest %v, answered %v", r.Closest, r.Answered)
	}
	if r.Hops < 2 || r.Failed == 0 {
		t.Errorf("%d hops, %d failed", r.Hops, r.Failed)
	}
	want := w.pop.Closest(r.Target, 20, func(i int) bool { return i != from && w.Answers(i) })
	if got := shareOf(want, r.Closest); r.Accuracy != got {
		t.Errorf("accuracy %v, want %v", r.Accuracy, got)
	}
}

// An answer puts a contact in the table of who asked, a failure takes it out, and
// others are not concerned.
func TestLookupFeedsTheTable(t *testing.T) {
	w := NewWorld(NewPopulation(500, 1), Scenario{Dead: 0.2, DialTimeout: ms(100)}, seeded(t, 1))
	from := w.Anybody()
	before := w.pop.table(from, routing.TableConfig{})
	r := w.Lookup(from, []byte("key"))
	seen, failed := 0, 0
	for _, b := range w.Table(from).Buckets() {
		for _, c := range b.Contacts {
			if c.Seen.After(epoch) {
				seen++
			}
		}
	}
	for c := range before.All() {
		if _, ok := w.Table(from).Contact(c.Key); !ok {
			failed++
		}
	}
	if seen == 0 || seen > len(r.Answered) || failed == 0 {
		t.Errorf("%d of %d who answered are fresh in the table, %d are out", seen, len(r.Answered), failed)
	}
	for i, n := range w.nodes {
		if i != from && n.table != nil {
			t.Errorf("the table of node %d has changed", i)
		}
	}
}

// held reports whether a table has a contact.
func held(t *routing.Table, c routing.Contact) bool {
	_, ok := t.Contact(c.Key)
	return ok
}

// A peer that failed is doubted by the node that asked it, for a minute, and by no other.
func TestDoubts(t *testing.T) {
	w := NewWorld(NewPopulation(200, 1), simple(Scenario{}), 1)
	c := w.Contact(7)
	for i := 8; held(w.Table(1), c); i++ { // a contact is a suspect for longer
		c = w.Contact(i)
	}
	doubtful := func(i int) bool {
		contacts := []routing.Contact{c}
		w.judge(i, contacts)
		return contacts[0].Doubtful
	}
	w.learn(1, c, false)
	if !doubtful(1) || doubtful(2) {
		t.Errorf("doubted by 1: %v, by 2: %v", doubtful(1), doubtful(2))
	}
	w.Advance(routing.DoubtAge)
	if doubtful(1) {
		t.Error("it is doubted after a minute")
	}
	w.learn(1, c, false)
	w.learn(1, c, true)
	if doubtful(1) {
		t.Error("it is doubted after it answered")
	}
}

// The k closest nodes hold a value, and the first of them that is asked has it.
func TestGetReport(t *testing.T) {
	w := NewWorld(NewPopulation(1000, 1), Scenario{}, seeded(t, 1))
	r := w.Get(w.Anybody(), []byte("key"))
	if r.First <= 0 || r.First >= r.Took {
		t.Errorf("first value after %v of %v", r.First, r.Took)
	}
	holders := 0
	for i, n := range w.nodes {
		if n.holds[r.Target] {
			holders++
			if !slices.Contains(r.Closest, i) {
				t.Errorf("node %d holds it, and is not among the closest", i)
			}
		}
	}
	if holders != 20 {
		t.Errorf("%d nodes hold it", holders)
	}
}

// Provide is over at the quorum, and goes on to the others.
func TestProvideReport(t *testing.T) {
	pop := NewPopulation(1000, 1)
	seed := seeded(t, 1)
	took := make(map[int]time.Duration)
	for _, quorum := range []int{1, 15, 20, 100} {
		w := NewWorld(pop, Scenario{}, seed)
		r := w.Provide(w.Anybody(), []byte("key"), quorum)
		took[quorum] = r.Took
		if !r.Over || r.Accuracy != 1 || len(r.Closest) != 20 {
			t.Errorf("quorum %d: over %v, accuracy %v, %d stored", quorum, r.Over, r.Accuracy, len(r.Closest))
		}
		if err := Quiet(w, r); err != nil {
			t.Error(err)
		}
		for _, i := range r.Closest {
			if !w.node(i).holds[r.Target] {
				t.Errorf("node %d does not hold it", i)
			}
		}
	}
	if took[1] >= took[15] || took[15] >= took[20] || took[20] != took[100] {
		t.Errorf("took %v", took)
	}
}

// A newcomer dials everybody it asks, knows its k closest in the end, and has
// little left to fill.
func TestJoinReport(t *testing.T) {
	w := NewWorld(NewPopulation(500, 1), Scenario{}, seeded(t, 1))
	r := w.Join(w.Anybody())
	if !r.Over || r.Accuracy != 1 || r.Filled < 0.9 || r.Filled > 1 {
		t.Errorf("over %v, accuracy %v, filled %v", r.Over, r.Accuracy, r.Filled)
	}
	if r.First <= 0 || r.First >= r.Took || r.Dials < 50 || r.Dials > r.Requests {
		t.Errorf("first %v of %v, %d dials of %d requests", r.First, r.Took, r.Dials, r.Requests)
	}
}

// A newcomer whose bootstrap peers do not answer tries again.
func TestJoinTriesAgain(t *testing.T) {
	w := NewWorld(NewPopulation(100, 1), Scenario{}, seeded(t, 1))
	i := w.Anybody()
	w.Outage(i, time.Minute)
	if r := w.Join(i); !r.Over || r.Took < time.Minute || r.Accuracy != 1 {
		t.Errorf("over %v, took %v, accuracy %v", r.Over, r.Took, r.Accuracy)
	}
}

// The share of a table that is filled is of the places for which there are nodes.
func TestFilled(t *testing.T) {
	w := NewWorld(NewPopulation(500, 1), Scenario{}, 1)
	if got := w.filled(3); got != 1 {
		t.Errorf("a full table is filled by %v", got)
	}
	n := w.Table(3).Len()
	gone := 0
	for _, c := range w.Table(3).Closest(w.Contact(3).Key, 10) { // of these no other waits
		if w.Table(3).Remove(c) {
			gone++
		}
	}
	left := w.Table(3).Len()
	if got, want := w.filled(3), float64(left)/float64(n); gone != 10 || left >= n || got != want {
		t.Errorf("with %d of %d left, it is filled by %v", left, n, got)
	}
}

// Liars name friends, sybils that all of them know, or inventions of their own.
func TestLies(t *testing.T) {
	lie := func(l Lie) (w *World, first, second []routing.Contact, target routing.Key) {
		w = NewWorld(NewPopulation(1000, 1), Scenario{Liars: 0.2, Lie: l}, seeded(t, 1))
		target = routing.KeyOf([]byte("key"))
		from, to := find(t, w, liar)
		other := to + 1
		for w.role(other) != liar {
			other++
		}
		first = w.answer(&call{way: way{from, to}, target: target}).closer
		second = w.answer(&call{way: way{from, other}, target: target}).closer
		if len(first) != 20 || len(second) != 20 {
			t.Fatalf("%d and %d contacts are named", len(first), len(second))
		}
		return w, first, second, target
	}
	w, friends, _, _ := lie(LieFriends)
	for _, c := range friends {
		if w.role(w.number(c)) != liar {
			t.Errorf("a friend is %d, not a liar", w.role(w.number(c)))
		}
	}
	for _, l := range []Lie{LieSybils, LieInvent} {
		w, first, second, target := lie(l)
		closest := w.pop.Closest(target, 1, nil)[0]
		for _, c := range first {
			if target.Compare(c.Key, w.pop.keys[closest]) >= 0 {
				t.Errorf("lie %d: an invention is not closer than the closest", l)
			}
			if got := w.Contact(w.number(c)); got.Key != c.Key || got.ID != c.ID {
				t.Errorf("lie %d: an invention has the number of another", l)
			}
			if got, want := w.Answers(w.number(c)), l == LieSybils; got != want {
				t.Errorf("lie %d: an invention answers: %v", l, got)
			}
		}
		same := slices.EqualFunc(first, second, func(a, b routing.Contact) bool { return a.Key == b.Key })
		if want := l == LieSybils; same != want {
			t.Errorf("lie %d: two liars name the same: %v", l, same)
		}
	}
}

// With upkeep, a contact that is due is probed at once: it stays if it answers,
// and goes if it does not.
func TestUpkeepProbes(t *testing.T) {
	w := NewWorld(NewPopulation(60, 1), simple(Scenario{Dead: 0.3, Upkeep: true}), seeded(t, 1))
	i := w.Anybody()
	table := w.Table(i)
	held := w.numbers(slices.Collect(table.All()))
	for c := range table.All() {
		table.Doubt(w.time(), c)
	}
	w.node(i).refreshing = true // keeps it from asking them otherwise
	w.tendTable(i)
	for _, at := range []time.Duration{4999 * time.Millisecond, time.Minute - 1, 2 * time.Minute} {
		w.line.until(at)
		for _, j := range held {
			_, ok := table.Contact(w.pop.keys[j])
			stays := w.role(j) != dead || at < 5*time.Second
			if ok != stays {
				t.Errorf("at %v, node %d, of role %d, is in the table: %v", at, j, w.role(j), ok)
			}
		}
	}
	if n := w.node(i).probes; n != 0 {
		t.Errorf("%d probes are under way", n)
	}
}

// With upkeep, a node meets those who ask it, and a stranger that answers enters
// its table.
func TestUpkeepMeets(t *testing.T) {
	w := NewWorld(NewPopulation(60, 1), simple(Scenario{NATed: 0.3, Upkeep: true}), seeded(t, 1))
	i, stranger := w.Anybody(), w.Anybody()
	for stranger == i {
		stranger = w.Anybody()
	}
	_, hidden := find(t, w, nated)
	w.node(i).table = routing.NewTable(w.Contact(i).Key, routing.TableConfig{})
	w.node(i).refreshing = true
	for _, asker := range []int{stranger, hidden, stranger} {
		w.met(i, asker)
	}
	if got := len(w.node(i).greeting); got != 2 {
		t.Errorf("%d are greeted", got)
	}
	w.request(&call{way: way{stranger, i}, tally: &Tally{}, done: func(reply, bool) {}})
	w.Advance(ms(200))
	if _, ok := w.Table(i).Contact(w.pop.keys[stranger]); !ok {
		t.Error("it has not met who answers")
	}
	if _, ok := w.Table(i).Contact(w.pop.keys[hidden]); ok {
		t.Error("it has met who does not")
	}
}

// A request is how nodes with upkeep meet.
func TestUpkeepNotices(t *testing.T) {
	w := NewWorld(NewPopulation(60, 1), simple(Scenario{Upkeep: true}), seeded(t, 1))
	w.node(1).table = routing.NewTable(w.Contact(1).Key, routing.TableConfig{})
	w.node(1).refreshing = true
	w.request(&call{way: way{2, 1}, tally: &Tally{}, done: func(reply, bool) {}})
	w.Advance(ms(151))
	if _, ok := w.Table(1).Contact(w.pop.keys[2]); !ok {
		t.Error("who asked is not in the table")
	}
}

// What is left of a table is what there is at the end of a blackout, and a node
// is back with the first answer after it.
func TestBlackoutReport(t *testing.T) {
	w := NewWorld(NewPopulation(200, 1), simple(Scenario{}), seeded(t, 1))
	i := w.Anybody()
	before := w.Table(i).Len()
	w.line.after(time.Minute-1, func() {
		table := routing.NewTable(w.Contact(i).Key, routing.TableConfig{})
		for j := range 7 {
			table.Seen(w.time(), w.Contact((i+j)%200)) // one of them is itself
		}
		w.node(i).table = table
	})
	r := w.Blackout(i, time.Minute)
	if want := 6 / float64(before); r.Filled != want {
		t.Errorf("%.3f of the table is left, want %.3f", r.Filled, want)
	}
	if !r.Over || r.Took < ms(100) || r.Took > blackoutLookups+ms(100) {
		t.Errorf("over %v, back after %v", r.Over, r.Took)
	}
}

// After an outage under constant lookups the table is whole within 3 s, also where
// a tenth of the others had died meanwhile.
func TestWholeAfterBlackout(t *testing.T) {
	for _, dead := range []float64{0, 0.1} {
		w := NewWorld(NewPopulation(1000, 1), Scenario{Dead: dead}, seeded(t, 1))
		i := w.Anybody()
		before := w.Table(i).Len()
		r := w.Blackout(i, 5*time.Minute+1234*time.Millisecond)
		if r.Filled < 0.99 || r.Took > 3*time.Second {
			t.Errorf("with %v dead, %.2f of the table is left, and back after %v", dead, r.Filled, r.Took)
		}
		w.Advance(3*time.Second - (w.Now() - 5*time.Minute - 1234*time.Millisecond))
		sound := 0
		for _, c := range w.Table(i).Closest(w.Contact(i).Key, before) {
			if w.Answers(w.number(c)) {
				sound++
			}
		}
		if share := float64(sound) / float64(before); share < 0.99*(1-dead)-0.05 {
			t.Errorf("with %v dead, %.2f of the table answer and are handed out", dead, share)
		}
	}
}

// With upkeep, tables follow who comes and goes: nearly all contacts of a table
// are there, and a node that comes back has joined.
func TestUpkeep(t *testing.T) {
	long(t)
	const nodes = 40
	w := NewWorld(NewPopulation(nodes, 1), Scenario{
		Churn:  Churn{Session: Exponential(20 * time.Minute), Absence: Exponential(5 * time.Minute)},
		Upkeep: true,
	}, seeded(t, 1))
	w.Advance(30 * time.Minute)
	there, held, returned := 0, 0, 0
	for i := range nodes {
		if s := w.session(i); !s.up || !w.node(i).joined {
			continue
		} else if s.number > 0 {
			returned++
		}
		for c := range w.Table(i).All() {
			held++
			if w.session(w.number(c)).up {
				there++
			}
		}
		if w.node(i).probes < 0 {
			t.Errorf("node %d has %d probes under way", i, w.node(i).probes)
		}
	}
	if returned < nodes/4 || held < nodes*nodes/4 {
		t.Errorf("%d nodes have returned, tables hold %d", returned, held)
	}
	if share := float64(there) / float64(held); share < 0.8 {
		t.Errorf("%.2f of the contacts are there", share)
	}
	if err := SoundTables(w, Report{}); err != nil {
		t.Error(err)
	}
}
