package routing

import (
	"slices"
	"testing"
	"time"
)

const never = -1

// proveOnline lets somebody who is not in the table answer.
func proveOnline(tab *Table, now time.Time) {
	tab.begin()
	tab.heard(now, Key{})
}

// dueIDs returns whom Due names at now.
func dueIDs(tab *Table, now time.Time) []string {
	probe, _ := tab.Due(now, 100)
	return ids(probe)
}

// fullBucket returns a table with one full bucket of two, and its contacts; the
// third one is a newcomer that is not in the table.
func fullBucket(cfg TableConfig) (*Table, []Contact) {
	self := KeyOf([]byte("self"))
	cfg.K = 2
	tab := NewTable(self, cfg)
	far := withCPL(self, 0, 5)
	seenAll(tab, far[:2]...)
	return tab, far
}

// A newcomer to a full bucket with a live head: the head stays, and the newcomer
// is pending. It makes Due name the head once, and nobody else.
func TestLiveHeadStays(t *testing.T) {
	for name, alive := range map[string]func(tab *Table, now time.Time, c Contact){
		"probe":   func(tab *Table, now time.Time, c Contact) { tab.Checked(now, c, true) },
		"answers": func(tab *Table, now time.Time, c Contact) { tab.Seen(now, c) },
	} {
		t.Run(name, func(t *testing.T) {
			tab, far := fullBucket(TableConfig{ProbeAfter: never})
			now := epoch.Add(time.Minute)
			tab.Seen(now, far[2])
			if got := dueIDs(tab, now); !slices.Equal(got, ids(far[:1])) {
				t.Fatalf("due are %v, want the head", got)
			}
			if got := dueIDs(tab, now); got != nil {
				t.Errorf("due are %v while the head is probed", got)
			}
			alive(tab, now, far[0])
			tab.check(t)
			tab.Seen(now, far[2]) // again: it has had its chance
			if got := dueIDs(tab, now.Add(time.Hour)); got != nil {
				t.Errorf("due are %v, want none: the head is alive", got)
			}
			b := tab.Buckets()[0]
			if b.Contacts[1].ID != far[0].ID || b.Pending != 1 {
				t.Errorf("bucket is %+v, want the head at the end", b)
			}
			tab.Seen(now, far[3]) // another newcomer challenges the next head
			if got := dueIDs(tab, now); !slices.Equal(got, ids(far[1:2])) {
				t.Errorf("due are %v, want the new head", got)
			}
		})
	}
}

// The claim of a newcomer is void if the head answers before it is probed.
func TestHeadAnswersBeforeProbe(t *testing.T) {
	tab, far := fullBucket(TableConfig{ProbeAfter: never})
	tab.Seen(epoch, far[2])
	tab.Seen(epoch.Add(time.Second), far[0])
	if got := dueIDs(tab, epoch.Add(time.Minute)); got != nil {
		t.Errorf("due are %v, want none", got)
	}
}

// A newcomer to a full bucket with a dead head: the head goes, the newest
// pending enters. The others keep their claim on the next head.
func TestDeadHeadIsReplaced(t *testing.T) {
	now := epoch.Add(time.Minute)
	for name, dead := range map[string]func(tab *Table, c Contact){
		"probe fails":   func(tab *Table, c Contact) { tab.Checked(now, c, false) },
		"request fails": func(tab *Table, c Contact) { tab.Failed(now, c) },
		"probe is late": func(tab *Table, _ Contact) { tab.Due(now.Add(time.Minute), 0) },
	} {
		t.Run(name, func(t *testing.T) {
			tab, far := fullBucket(TableConfig{ProbeAfter: never})
			tab.Seen(now, far[2])
			tab.Seen(now.Add(time.Second), far[3])
			dueIDs(tab, now)
			dead(tab, far[0])
			if got := dueIDs(tab, now); got != nil {
				t.Errorf("due are %v, right after the head did not answer", got)
			}
			proveOnline(tab, now)
			tab.check(t)
			if got := ids(slices.Collect(tab.All())); !slices.Equal(got, ids([]Contact{far[1], far[3]})) {
				t.Errorf("contacts are %v", got)
			}
			if got := dueIDs(tab, now.Add(time.Minute)); !slices.Equal(got, ids(far[1:2])) {
				t.Errorf("due are %v, want the next head", got)
			}
		})
	}
}

// The clock of a head starts when it is named, not when it is challenged: nobody
// is removed who was not asked.
func TestHeadIsAskedBeforeItGoes(t *testing.T) {
	tab, far := fullBucket(TableConfig{ProbeAfter: never, CheckTimeout: time.Minute})
	tab.Seen(epoch, far[2])
	now := epoch.Add(24 * time.Hour)
	probe, next := tab.Due(now, 1)
	if len(probe) != 1 || tab.Len() != 2 {
		t.Errorf("probe %v, %d contacts", ids(probe), tab.Len())
	}
	if want := now.Add(time.Minute); !next.Equal(want) {
		t.Errorf("call again at %v, want %v", next, want)
	}
	tab.Due(next.Add(-1), 0)
	if _, ok := tab.Contact(far[0].Key); !ok {
		t.Error("the head is gone before its time")
	}
	tab.Due(next, 0)
	proveOnline(tab, next)
	if _, ok := tab.Contact(far[0].Key); ok {
		t.Error("the head is there after its time")
	}
}

// A contact that was removed while its check was in flight is not resurrected,
// and one that answered something else meanwhile is not removed.
func TestCheckOfContactThatChanged(t *testing.T) {
	tab, far := fullBucket(TableConfig{ProbeAfter: time.Minute})
	now := epoch.Add(time.Hour)
	dueIDs(tab, now)
	tab.Failed(now, far[0])
	proveOnline(tab, now)
	if tab.Checked(now, far[0], true) || tab.Len() != 1 {
		t.Errorf("a removed contact is back: %v", ids(slices.Collect(tab.All())))
	}
	tab.Seen(now, far[1])
	if tab.Checked(now, far[1], false) || tab.Len() != 1 {
		t.Errorf("a contact that answered is gone")
	}
	if tab.Checked(now, far[4], true) || tab.Checked(now, far[4], false) {
		t.Error("the check of a stranger was awaited")
	}
}

// Contacts that answer are checked less and less often, each a little later by its key; one
// that moves is checked at once, and often again.
func TestProbeInterval(t *testing.T) {
	self := KeyOf([]byte("self"))
	tab := NewTable(self, TableConfig{ProbeAfter: time.Minute})
	c := contact(1)
	c.Wire = []byte("here")
	now := epoch
	tab.Seen(now, c)
	expect := func(want time.Duration) {
		t.Helper()
		want += want / 2 * time.Duration(c.Key[31]) / 256
		probe, next := tab.Due(now, 1)
		if len(probe) != 0 || next.Sub(now) != want {
			t.Fatalf("due %v, again in %v; want %v", ids(probe), next.Sub(now), want)
		}
		now = next
		if probe, _ = tab.Due(now, 1); len(probe) != 1 {
			t.Fatalf("not due after %v", want)
		}
		tab.Checked(now, c, true)
	}
	for _, m := range []int{1, 2, 4, 8, 8} {
		expect(time.Duration(m) * time.Minute)
	}

	tab.Seen(now, c) // an answer to another request changes no interval
	expect(8 * time.Minute)

	c.Wire = []byte("there")
	if !tab.Update(now, c) {
		t.Fatal("the contact is not known")
	}
	if got := dueIDs(tab, now); len(got) != 1 {
		t.Error("a contact that moved is not due")
	}
	tab.Checked(now, c, true)
	expect(2 * time.Minute)

	c.Wire = []byte("elsewhere")
	tab.Seen(now, c) // it answered there: it need not be probed at once
	expect(time.Minute)
}

// A contact that sends requests is alive: it is due later, and when it has not answered for two
// intervals all the same. One that is due, is being probed or has missed is due as before.
func TestAsked(t *testing.T) {
	self := KeyOf([]byte("self"))
	tab := NewTable(self, TableConfig{ProbeAfter: 10 * time.Minute, CheckTimeout: time.Minute})
	c := contact(1)
	c.Key[31] = 0
	next := func() time.Duration {
		_, next := tab.Due(epoch, 0)
		return next.Sub(epoch)
	}
	tab.Asked(epoch, c) // it is no contact
	tab.Seen(epoch, c)
	for asked, want := range map[time.Duration]time.Duration{
		0: 10 * time.Minute, 4 * time.Minute: 14 * time.Minute, 9 * time.Minute: 19 * time.Minute,
	} {
		tab.Seen(epoch, c)
		tab.Asked(epoch.Add(asked), c)
		if got := next(); got != want {
			t.Errorf("it asked after %v, and is due after %v; want %v", asked, got, want)
		}
	}
	tab.Seen(epoch, c)
	for m := range 20 {
		tab.Asked(epoch.Add(time.Duration(m)*time.Minute), c)
	}
	if got := next(); got != 20*time.Minute {
		t.Errorf("it asked each minute, and is due after %v", got)
	}

	due := epoch.Add(20 * time.Minute)
	tab.Asked(due, c)
	if got := dueIDs(tab, due); len(got) != 1 {
		t.Error("a contact that is due is not probed, since it asked")
	}
	tab.Asked(due, c)
	tab.Failed(due, c)
	tab.Asked(due, c)
	if got := dueIDs(tab, due.Add(time.Minute)); len(got) != 1 {
		t.Error("a contact that has missed is not probed, since it asked")
	}
}

// A contact in doubt is due at once, and stays if it answers; for doubt alone it
// is not probed more than once per ProbeAfter.
func TestDoubt(t *testing.T) {
	for _, tt := range []struct {
		name       string
		probeAfter time.Duration
		rest       time.Duration
	}{
		{"once per ProbeAfter", 10 * time.Minute, 10 * time.Minute},
		{"once per CheckTimeout without probes of the silent", never, time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tab := NewTable(KeyOf([]byte("self")), TableConfig{ProbeAfter: tt.probeAfter, CheckTimeout: time.Minute})
			c, now := contact(1), epoch
			if tab.Doubt(now, c) {
				t.Error("a stranger is in doubt")
			}
			tab.Seen(now, c)
			if !tab.Doubt(now, c) || len(dueIDs(tab, now)) != 1 {
				t.Fatal("a contact in doubt is not due")
			}
			if tab.Doubt(now, c) {
				t.Error("a contact is in doubt that is being probed")
			}
			tab.Checked(now, c, true)
			if tab.Len() != 1 {
				t.Fatal("it answered, and is gone")
			}
			now = now.Add(tt.rest - 1)
			if tab.Doubt(now, c) {
				t.Error("it is in doubt again too soon")
			}
			tab.Seen(now, c)
			now = now.Add(1)
			if !tab.Doubt(now, c) || len(dueIDs(tab, now)) != 1 {
				t.Error("it is not in doubt again")
			}
			tab.Checked(now, c, false)
			if tab.Stats(now).Suspects != 1 {
				t.Error("it did not answer, and is not suspect")
			}
			for range 2 { // it has answered three times
				proveOnline(tab, now)
				tab.Failed(now, c)
			}
			proveOnline(tab, now)
			if tab.Len() != 0 {
				t.Error("it did not answer, and is still there")
			}
		})
	}
}

func TestUpdate(t *testing.T) {
	tab, far := fullBucket(TableConfig{ProbeAfter: never, MaxPerGroup: 1})
	tab.Seen(epoch, far[2])
	if tab.Update(epoch, far[3]) || tab.Len() != 2 {
		t.Error("a stranger is updated")
	}
	wire := func(c Contact, group, wire string) Contact {
		c.Group, c.Wire = group, []byte(wire)
		return c
	}
	if !tab.Update(epoch, wire(far[2], "b", "pending")) {
		t.Error("a pending contact is not known")
	}
	if !tab.Update(epoch, wire(far[1], "a", "1")) {
		t.Error("a held contact is not known")
	}
	if probe, next := tab.Due(epoch, 1); len(probe) != 1 || probe[0].ID != far[0].ID || next.IsZero() {
		t.Errorf("due are %v: to learn an address is not to move", ids(probe))
	}
	if tab.Update(epoch, wire(far[0], "a", "2")) {
		t.Error("a contact moved to a group at its limit")
	}
	tab.check(t)
	if got, ok := tab.Contact(far[2].Key); !ok || string(got.Wire) != "pending" || got.Group != "b" {
		t.Errorf("the pending contact did not move up: %+v", got)
	}
}

// With nothing pending and no probes, there is nothing to come back for.
func TestDueNever(t *testing.T) {
	tab, _ := fullBucket(TableConfig{ProbeAfter: never})
	if probe, next := tab.Due(epoch.Add(1000*time.Hour), 9); probe != nil || !next.IsZero() {
		t.Errorf("due are %v, again at %v", ids(probe), next)
	}
}

// A head whose challenger has gone, before there was room to probe it, is due when it has been
// silent for its interval.
func TestDueAfterChallengerHasGone(t *testing.T) {
	for name, goes := range map[string]func(tab *Table, c Contact) bool{
		"it does not answer": func(tab *Table, c Contact) bool { return tab.Failed(epoch, c) },
		"it does not serve":  func(tab *Table, c Contact) bool { return tab.Remove(c) },
	} {
		t.Run(name, func(t *testing.T) {
			tab, far := fullBucket(TableConfig{ProbeAfter: time.Hour})
			tab.Seen(epoch, far[2])
			if probe, _ := tab.Due(epoch, 0); probe != nil || !goes(tab, far[2]) {
				t.Fatalf("due are %v, of at most none", ids(probe))
			}
			if _, next := tab.Due(epoch, 0); next.Before(epoch.Add(time.Hour)) || next.After(epoch.Add(90*time.Minute)) {
				t.Errorf("call again at %v, want after an hour, or a little more", next)
			}
		})
	}
}

// A contact whose Group changes keeps its place: the head that was probed for a newcomer is the
// head, and no other one is probed for it.
func TestGroupChangesInPlace(t *testing.T) {
	self := KeyOf([]byte("self"))
	tab, far := NewTable(self, TableConfig{K: 2, ProbeAfter: never}), withCPL(self, 0, 3)
	for _, c := range far { // at the same time
		tab.Seen(epoch, c)
	}
	dueIDs(tab, epoch)
	far[0].Group = "another"
	tab.Update(epoch, far[0])
	tab.scanned = false // so that Due looks at all contacts
	if got := dueIDs(tab, epoch); got != nil {
		t.Errorf("due are %v, want none", got)
	}
	tab.check(t)
}

// Due names no more than it is asked for: heads first, then those silent for
// longest. The others stay due, and do not make the caller spin.
func TestDueLimit(t *testing.T) {
	self := KeyOf([]byte("self"))
	tab := NewTable(self, TableConfig{K: 2, ProbeAfter: time.Minute})
	near, far := withCPL(self, 3, 2), withCPL(self, 0, 3)
	for i, c := range append(near, far...) {
		tab.Seen(epoch.Add(time.Duration(i)*time.Minute), c)
	}
	now := epoch.Add(time.Hour)
	var got []string
	for range 5 {
		probe, next := tab.Due(now, 1)
		got = append(got, ids(probe)...)
		if !next.After(now) {
			t.Errorf("call again at %v, which is not after %v", next, now)
		}
	}
	if want := ids([]Contact{far[0], near[0], near[1], far[1]}); !slices.Equal(got, want) {
		t.Errorf("due were %v, want %v", got, want)
	}
}

// A probe that could not be made is no failure: the contact is due later.
func TestPostponed(t *testing.T) {
	tab, far := fullBucket(TableConfig{ProbeAfter: time.Minute, CheckTimeout: time.Minute})
	now := epoch.Add(time.Hour)
	if tab.Postponed(now, far[0]) {
		t.Error("postponed a probe that was not asked for")
	}
	dueIDs(tab, now)
	for _, c := range far[:2] {
		if !tab.Postponed(now, c) {
			t.Errorf("the probe of %v was not awaited", c.ID)
		}
	}
	if got := dueIDs(tab, now.Add(59*time.Second)); got != nil || tab.Len() != 2 {
		t.Errorf("due are %v, %d contacts", got, tab.Len())
	}
	if got := dueIDs(tab, now.Add(time.Minute)); len(got) != 2 {
		t.Errorf("due are %v, want both", got)
	}
}

// Budget: 10 µs for a full table in which nothing is due.
func BenchmarkTableDue(b *testing.B) {
	tab := NewTable(KeyOf([]byte("self")), TableConfig{})
	for i := range 10_000 {
		tab.Seen(epoch, contact(i))
	}
	for _, c := range slices.Collect(tab.All()) {
		tab.Seen(epoch, c) // voids the claims of the pending
	}
	b.ReportAllocs()
	for b.Loop() {
		tab.Due(epoch, 8)
	}
	b.ReportMetric(float64(tab.Len()), "contacts")
}
