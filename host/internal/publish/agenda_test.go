package publish

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/validate"
	"github.com/go-kad/kad/host/store"
)

// The earliest publications come first. A publication that was dropped or moved does not
// come when it was due before, and a ticket is good for as long as its publication was
// neither dropped nor added again.
func TestAgenda(t *testing.T) {
	var a agenda
	at := func(h int) time.Time { return time.Unix(0, 0).Add(time.Duration(h) * time.Hour) }
	id := func(key string) publicationID { return publicationID{store.KindValue, key} }
	for key, h := range map[string]int{"a": 3, "b": 1, "c": 2, "d": 9} {
		a.add(id(key), at(h))
	}
	a.add(id("b"), at(4))
	a.drop(id("c"))
	if due, next := a.due(at(2), 10); len(due) != 0 || !next.Equal(at(3)) {
		t.Errorf("due at 2: %v, then %v", due, next)
	}
	first, next := a.due(at(5), 1)
	if len(first) != 1 || first[0].publicationID != id("a") || !next.IsZero() {
		t.Fatalf("due at 5: %v, then %v; want a, and more when there is room", first, next)
	}
	second, next := a.due(at(5), 10)
	if len(second) != 1 || second[0].publicationID != id("b") || !next.Equal(at(9)) {
		t.Fatalf("due at 5: %v, then %v; want b", second, next)
	}
	a.drop(id("a"))
	if a.current(first[0]) || !a.current(second[0]) || a.len() != 2 {
		t.Error("a ticket is good for what was dropped, or not for what is under way")
	}
	a.add(id("b"), at(6))
	if a.current(second[0]) {
		t.Error("a ticket is good for what was added again")
	}
	for range 10_000 {
		a.add(id("b"), at(6))
	}
	if len(a.heap.order) > a.len() {
		t.Errorf("%d entries for %d publications", len(a.heap.order), a.len())
	}
	if due, _ := a.due(at(6), 10); len(due) != 1 || due[0].publicationID != id("b") {
		t.Errorf("due at 6: %v, want b", due)
	}
}

// Whatever is added, dropped and due, publications come in the order of their times, each once
// until it is added again.
func TestAgendaOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a agenda
		when, now := map[publicationID]int{}, 0 // when it is due; -1: under way
		start := time.Unix(1, 0)
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			id := publicationID{store.KindValue, rapid.SampledFrom([]string{"a", "b", "c", "d", "a key that is longer than that of a content, which is short"}).Draw(t, "key")}
			switch rapid.IntRange(0, 3).Draw(t, "step") {
			case 0, 1:
				when[id] = now + rapid.IntRange(0, 9).Draw(t, "in")
				a.add(id, start.Add(time.Duration(when[id])))
			case 2:
				delete(when, id)
				a.drop(id)
			default:
				now += rapid.IntRange(0, 5).Draw(t, "later")
				tickets, _ := a.due(start.Add(time.Duration(now)), 2)
				last := 0
				for _, ticket := range tickets {
					if at, ok := when[ticket.publicationID]; !ok || at < last || at > now || !a.current(ticket) {
						t.Fatalf("at %d: %v is due, of %v", now, ticket, when)
					}
					last, when[ticket.publicationID] = when[ticket.publicationID], -1
				}
				for id, at := range when {
					if at >= 0 && at <= now && (len(tickets) < 2 || at < last) {
						t.Fatalf("at %d: %v is not due, of %v", now, id, when)
					}
				}
			}
		}
		if a.len() != len(when) {
			t.Fatalf("%d publications, want %d", a.len(), len(when))
		}
	})
}

// Each agenda has fingerprints of its own: names that a stranger has made to have the same one
// have two here.
func TestAgendaIsSalted(t *testing.T) {
	var a, b agenda
	id := publicationID{store.KindProvider, "key"}
	for _, a := range []*agenda{&a, &b} {
		a.add(id, time.Unix(0, 0))
	}
	if a.fingerprint(id.name()) == b.fingerprint(id.name()) {
		t.Error("two agendas have the same fingerprint of a name")
	}
}

// A million publications take at most 100 MB. What was dropped makes room for others.
func TestAgendaMemory(t *testing.T) {
	const count = 100_000
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	a, now := new(agenda), time.Now()
	id := func(i int) publicationID {
		sum := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
		return publicationID{store.KindProvider, "\x12\x20" + string(sum[:])}
	}
	for i := range count {
		a.add(id(i), now.Add(time.Duration(i)))
	}
	each := (heap() - before) / count
	t.Logf("%d bytes for each publication", each)
	if !roomtest.RaceEnabled && each > 100 {
		t.Errorf("want at most 100")
	}
	for i := range 1000 {
		a.drop(id(i))
		a.add(id(count+i), now)
	}
	if made := a.heap.slots.made; made != count {
		t.Errorf("%d slots for %d publications", made, count)
	}
	runtime.KeepAlive(a)
	long := func(i int) publicationID {
		return publicationID{store.KindValue, fmt.Sprintf("/v/a name that finds no room in a slot %d", i)}
	}
	for i := range 1000 {
		a.add(long(i), now)
		a.drop(long(i))
	}
	if kept := len(a.heap.slots.long); kept > 0 {
		t.Errorf("%d long names are kept of what was dropped", kept)
	}
}

// A publication is due when one of the two clocks says so: the machine may have slept for as
// long as holders keep a record, and the clock may have gone back by years.
func TestAgendaWhenClockJumps(t *testing.T) {
	const year = 365 * 24 * time.Hour
	start := time.Now()
	for _, tt := range []struct {
		name  string
		after time.Duration
		set   time.Duration
		want  int
	}{
		{"in time", 21 * time.Hour, 0, 0},
		{"slept", 2 * time.Hour, 21 * time.Hour, 1},
		{"ahead", time.Hour, 10 * year, 1},
		{"back, before its time", 21 * time.Hour, -10 * year, 0},
		{"back", 22 * time.Hour, -10 * year, 1},
	} {
		var a agenda
		a.add(publicationID{store.KindValue, "key"}, start.Add(22*time.Hour))
		if due, _ := a.due(roomtest.SetClock(start.Add(tt.after), tt.set), 10); len(due) != tt.want {
			t.Errorf("%s: %d are due, want %d", tt.name, len(due), tt.want)
		}
	}
}

// A value whose validator refuses it now is given up, and one whose validator is missing is not.
func TestMissingValidator(t *testing.T) {
	pub := store.Publication{Kind: store.KindValue, Key: []byte("/v/key"), Data: []byte("x")}
	for name, tt := range map[string]struct {
		rules validate.Rules
		want  bool
	}{"refused": {validate.Rules{"v": roomtest.Digits{}}, true}, "no validator": {validate.Rules{"w": roomtest.Digits{}}, false}} {
		if got := New(Config{Rules: tt.rules}).superseded(pub, errors.New("no answer")); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
