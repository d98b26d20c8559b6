package sim

import (
	"slices"
	"testing"
	"time"
)

// simple is a scenario in which each message takes 50 ms.
func simple(s Scenario) Scenario {
	s.Latency, s.Jitter = Fixed(ms(50)), -1
	return s
}

// ask sends one request, and returns how long it took, and whether there was an
// answer.
func ask(w *World, from, to int) (took time.Duration, ok bool) {
	start := w.Now()
	over := false
	w.request(&call{way: way{from, to}, tally: &Tally{}, done: func(_ reply, answered bool) {
		took, ok, over = w.Now()-start, answered, true
	}})
	w.await(&over)
	return took, ok
}

// find returns two nodes of which the second has that role.
func find(t *testing.T, w *World, r role) (from, to int) {
	t.Helper()
	from = w.Anybody()
	for i := range w.pop.Len() {
		if w.role(i) == r && i != from {
			return from, i
		}
	}
	t.Fatal("nobody has that role")
	return 0, 0
}

// What a first and a second request cost, by what is wrong with the other side.
func TestRequest(t *testing.T) {
	tests := []struct {
		name          string
		give          Scenario
		to            role
		first, second time.Duration // below 0 if it fails then
	}{
		{"connected", Scenario{}, well, ms(100), ms(100)},
		{"a dial is a round trip, once", Scenario{Links: NoneOpen}, well, ms(200), ms(100)},
		{"dead", Scenario{Dead: 0.3}, dead, -5 * time.Second, -5 * time.Second},
		{"dead, other timeout", Scenario{Dead: 0.3, DialTimeout: time.Second}, dead, -time.Second, -time.Second},
		{"silent", Scenario{Silent: 0.3}, silent, -10 * time.Second, -10 * time.Second},
		{"silent, other timeout", Scenario{Silent: 0.3, RequestTimeout: time.Second}, silent, -time.Second, -time.Second},
		{"silent to be dialled", Scenario{Silent: 0.3, Links: NoneOpen}, silent, -10 * time.Second, -10 * time.Second},
		{"slow", Scenario{Slow: 0.3}, slow, ms(2100), ms(2100)},
		{"slow for longer", Scenario{Slow: 0.3, SlowFor: 3 * time.Second}, slow, ms(3100), ms(3100)},
		{"NATed", Scenario{NATed: 0.3}, nated, -5 * time.Second, -5 * time.Second},
		{"lossy", Scenario{Loss: 1}, well, -10 * time.Second, -10 * time.Second},
		{"partition", Scenario{Partitions: []Partition{{For: time.Hour, Share: 1}}}, well, ms(100), ms(100)},
		{"liar", Scenario{Liars: 0.3}, liar, ms(100), ms(100)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := NewWorld(NewPopulation(100, 1), simple(tt.give), seeded(t, 1))
			from, to := find(t, w, tt.to)
			for i, want := range []time.Duration{tt.first, tt.second} {
				took, ok := ask(w, from, to)
				if !ok {
					took = -took
				}
				if took != want {
					t.Errorf("request %d took %v, want %v", i+1, took, want)
				}
				if left := len(w.line.queue); left > 0 && ok {
					t.Errorf("%d events are left of request %d", left, i+1)
				}
			}
			if err := Quiet(w, Report{}); err != nil {
				t.Error(err)
			}
		})
	}
}

// A NATed node reaches others, which reach it over the same connection.
func TestNATedDials(t *testing.T) {
	w := NewWorld(NewPopulation(100, 1), simple(Scenario{NATed: 0.3}), seeded(t, 1))
	other, behind := find(t, w, nated)
	if took, ok := ask(w, behind, other); !ok || took != ms(200) {
		t.Errorf("asks: %v, %v", took, ok)
	}
	if took, ok := ask(w, other, behind); !ok || took != ms(100) {
		t.Errorf("is asked: %v, %v", took, ok)
	}
}

// With TableOpen a node is connected to those it knows, and those who know it.
func TestTableOpen(t *testing.T) {
	p := NewPopulation(300, seeded(t, 1))
	w := NewWorld(p, Scenario{Links: TableOpen}, 1)
	for i := range 5 {
		known := p.view(i, 20).known
		for j := 5; j < p.Len(); j++ {
			want := slices.Contains(known, int32(j)) || slices.Contains(p.view(j, 20).known, int32(i))
			if w.connected(i, j) != want || w.connected(j, i) != want {
				t.Fatalf("%d and %d: connected is %v", i, j, !want)
			}
		}
	}
}

// Requests that want the same dial share it, and each has its own answer; one
// that is given up does not end it.
func TestDialIsShared(t *testing.T) {
	w := NewWorld(NewPopulation(100, 1), simple(Scenario{Links: NoneOpen}), 1)
	var tally Tally
	var answered []time.Duration
	var calls []*call
	for range 3 {
		c := &call{way: way{1, 2}, tally: &tally, done: func(reply, bool) { answered = append(answered, w.Now()) }}
		calls = append(calls, c)
		w.request(c)
	}
	w.giveUp(calls[0])
	w.giveUp(calls[0])
	w.Advance(time.Minute)
	if want := []time.Duration{ms(200), ms(200)}; !slices.Equal(answered, want) {
		t.Errorf("answered at %v, want %v", answered, want)
	}
	if tally != (Tally{Requests: 3, Dials: 1}) || w.inFlight != 0 {
		t.Errorf("%+v, %d in flight", tally, w.inFlight)
	}
}

// A partition drops what crosses it, while it lasts.
func TestPartition(t *testing.T) {
	w := NewWorld(NewPopulation(100, 1), simple(Scenario{
		Partitions: []Partition{{From: time.Minute, For: time.Minute, Share: 0.5}},
	}), seeded(t, 1))
	side := w.cuts[0].side
	a, b, c := 0, 1, 1
	for side(b) == side(a) {
		b++
	}
	for side(c) != side(a) {
		c++
	}
	for _, phase := range []struct {
		at    time.Duration
		apart bool
	}{{0, false}, {time.Minute, true}, {2 * time.Minute, false}} {
		w.line.until(phase.at)
		if _, ok := ask(w, a, b); ok == phase.apart {
			t.Errorf("at %v, the other side: %v", phase.at, ok)
		}
		if _, ok := ask(w, a, c); !ok {
			t.Errorf("at %v, no answer from the same side", phase.at)
		}
	}
}

// An outage is a partition of one node.
func TestOutage(t *testing.T) {
	w := NewWorld(NewPopulation(100, 1), simple(Scenario{}), 1)
	w.Outage(1, time.Minute)
	if _, ok := ask(w, 1, 2); ok {
		t.Error("it reaches somebody")
	}
	if _, ok := ask(w, 3, 2); !ok {
		t.Error("others do not reach each other")
	}
	w.Advance(time.Minute)
	if _, ok := ask(w, 1, 2); !ok {
		t.Error("it reaches nobody afterwards")
	}
}

// Sessions alternate, have the given lengths, and end connections: a node that
// is away cannot be dialled, and answers to those before do not arrive.
func TestChurn(t *testing.T) {
	hour := func(uint64) time.Duration { return time.Hour }
	minute := func(uint64) time.Duration { return time.Minute }
	w := NewWorld(NewPopulation(100, 1), simple(Scenario{Churn: Churn{hour, minute}}), seeded(t, 1))
	// The first to leave is asked by the last.
	byEnd := numbers(100)
	slices.SortFunc(byEnd, func(a, b int) int { return int(w.session(a).until - w.session(b).until) })
	from, to := byEnd[99], byEnd[0]
	leaves := w.session(to).until
	if leaves <= 0 || leaves > 10*time.Minute || w.session(from).until > time.Hour {
		t.Fatalf("the first sessions end at %v and %v", leaves, w.session(from).until)
	}
	if took, ok := ask(w, from, to); !ok || took != ms(100) {
		t.Errorf("at first: %v, %v", took, ok)
	}
	w.line.until(leaves - ms(60)) // it hears the request, and is away before its answer is
	if took, ok := ask(w, from, to); ok || took != 10*time.Second {
		t.Errorf("while it leaves: %v, %v", took, ok)
	}
	if s := w.session(to); s.up || s.number != 1 || s.until != leaves+time.Minute {
		t.Errorf("it is away: %+v", s)
	}
	if took, ok := ask(w, from, to); ok || took != 5*time.Second {
		t.Errorf("while it is away: %v, %v", took, ok)
	}
	w.line.until(leaves + time.Minute)
	if took, ok := ask(w, from, to); !ok || took != ms(200) {
		t.Errorf("when it is back: %v, %v", took, ok)
	}
}

// A node that leaves and comes back while it waits for an answer does not hear of
// that: it was another life.
func TestLives(t *testing.T) {
	minute := func(uint64) time.Duration { return time.Minute }
	second := func(uint64) time.Duration { return time.Second }
	w := NewWorld(NewPopulation(100, 1), simple(Scenario{Silent: 0.3, Churn: Churn{minute, second}}), seeded(t, 1))
	from, to := find(t, w, silent)
	w.line.until(w.session(from).until - 5*time.Second)
	if took, ok := ask(w, from, to); took != 0 || ok {
		t.Errorf("an answer of an earlier life comes after %v, %v", took, ok)
	}
	if w.inFlight != 0 {
		t.Errorf("%d in flight", w.inFlight)
	}
}

// About as many nodes have a role as the scenario says, and nobody has two.
func TestRoles(t *testing.T) {
	w := NewWorld(NewPopulation(20_000, 1), Scenario{Dead: 0.1, Silent: 0.15, Slow: 0.2, Liars: 0.05, NATed: 0.25}, seeded(t, 1))
	counts := make(map[role]int)
	answer, honest := 0, 0
	for i := range w.pop.Len() {
		counts[w.role(i)]++
		if w.Answers(i) {
			answer++
		}
		if w.honest(i) {
			honest++
		}
	}
	for r, want := range map[role]int{well: 5000, dead: 2000, silent: 3000, slow: 4000, liar: 1000, nated: 5000} {
		if got := counts[r]; got < want*9/10 || got > want*11/10 {
			t.Errorf("role %d: %d nodes, want %d", r, got, want)
		}
	}
	if want := counts[well] + counts[slow] + counts[liar]; answer != want {
		t.Errorf("%d answer, want %d", answer, want)
	}
	if want := counts[well] + counts[slow]; honest != want {
		t.Errorf("%d are honest, want %d", honest, want)
	}
}
