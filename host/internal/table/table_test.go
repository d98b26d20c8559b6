package table

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/routing"
)

// A contact that enters the table is named once by Entered, and one that leaves it is
// departed until it enters again. Calls that change no contact repeat nothing.
func TestEnteredAndDeparted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		a, b, other, stopped := calltest.ID(1), calltest.ID(2), calltest.ID(3), calltest.ID(4)
		f.at(a)
		f.speak(t, other, testProtocol)
		f.speak(t, stopped, "/other")
		quiet := func() {
			f.Wants(other)
			f.WantsAsker(other)
			f.Seeds(f.Self(), 3)
			f.Heard(routing.ContactOf(other), Refused, 0)
			f.answer(stopped)
			f.Stats()
		}
		f.answer(a, b)
		quiet()
		if got := idsOf(f.Entered()); !slices.Equal(got, peers(2)) {
			t.Errorf("%v entered, want two peers, each once", got)
		}
		quiet()
		f.answer(a)
		if got := f.Entered(); len(got) > 0 || f.HasDeparted() {
			t.Errorf("%v entered again", idsOf(got))
		}
		f.speak(t, a, "/other")
		f.Wants(a)
		quiet()
		if got := idsOf(f.Departed(10)); !slices.Equal(got, peers(1)) || f.Has(a) || !f.Has(b) {
			t.Errorf("%v departed, want the peer that stopped serving", got)
		}
		f.speak(t, a, testProtocol)
		f.answer(a)
		if f.HasDeparted() || len(f.Entered()) != 1 {
			t.Error("a contact is departed that has entered again")
		}
	})
}

// A newcomer that waits for a place in a full bucket is named once, too.
func TestEnteredNamesWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{K: 1})
		all := peers(20)
		f.answer(all...)
		if s := f.Stats(); s.Pending == 0 {
			t.Fatalf("none of %d contacts waits", len(all))
		}
		got := idsOf(f.Entered())
		for _, id := range all {
			if key := routing.KeyOf([]byte(id)); !slices.Contains(got, id) && (f.Has(id) || key.CPL(f.Self()) > 0) {
				t.Errorf("%v is not named", id)
			}
		}
		if len(got) <= f.Stats().Contacts {
			t.Errorf("%d are named, of %d contacts and %d that wait", len(got), f.Stats().Contacts, f.Stats().Pending)
		}
		f.answer(got...)
		if again := f.Entered(); len(again) > 0 {
			t.Errorf("%v are named again", idsOf(again))
		}
	})
}

// The contacts that wait for Entered are bounded.
func TestEnteredIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{K: 2 * maxEntered})
		f.answer(peers(maxEntered + 10)...)
		if got := len(f.Entered()); got != maxEntered {
			t.Errorf("%d contacts wait, want %d", got, maxEntered)
		}
		if got := f.Stats().Contacts; got != maxEntered+10 {
			t.Errorf("%d contacts", got)
		}
	})
}

// isClosed reports whether a channel is closed.
func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// A node is offline 3s after all contacts have missed. The first answer ends that: the
// time is noted, and no peer is in doubt because of what it missed meanwhile.
func TestOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		if f.Live() || isClosed(f.WhenLive()) {
			t.Fatal("an empty table is live")
		}
		ids := peers(3)
		f.answer(ids...)
		f.miss(ids...)
		if s := f.Stats(); s.Contacts != 3 || s.Suspects != 3 || s.Offline || !f.Live() || !isClosed(f.WhenLive()) || !f.Small() {
			t.Errorf("when all have missed: %+v", s)
		}
		*f.wakes = 0
		time.Sleep(3 * time.Second)
		f.Due(time.Now(), 0)
		now, back := f.Offline()
		if !now || !back.IsZero() || !f.Stats().Offline || f.Live() || isClosed(f.WhenLive()) || *f.wakes != 1 {
			t.Errorf("3s later: offline %v, %+v, %d wakes", now, f.Stats(), *f.wakes)
		}
		time.Sleep(time.Minute)
		f.miss(calltest.ID(9))
		*f.wakes = 0
		f.answer(ids[0])
		now, back = f.Offline()
		if now || !back.Equal(time.Now()) || !f.Live() || !isClosed(f.WhenLive()) || *f.wakes == 0 {
			t.Errorf("after an answer: offline %v, back at %v, %d wakes", now, back, *f.wakes)
		}
		if f.doubtful(calltest.ID(9)) {
			t.Error("a peer is in doubt because of the outage")
		}
	})
}

// A node whose own timers are late waits for answers for longer until it is offline, and not for
// ever. Once they are in time, 3s count again.
func TestLateMachineIsNotOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pulse := roomtest.NewPulse(t, time.Second)
		f := newTable(t, Config{Pulse: pulse})
		pulse.Begin()
		ids := peers(3)
		f.answer(ids...)
		time.Sleep(5 * time.Second)
		f.miss(ids...)
		for _, step := range []struct {
			after   time.Duration
			offline bool
		}{{30 * time.Second, false}, {6 * time.Second, true}} {
			time.Sleep(step.after)
			f.Due(time.Now(), 0)
			if now, _ := f.Offline(); now != step.offline || f.Live() == step.offline || f.Stats().Offline != step.offline {
				t.Errorf("%v later: offline %v, live %v, %+v", step.after, now, f.Live(), f.Stats())
			}
		}
		f.answer(ids...)
		f.miss(ids...)
		pulse.End()
		time.Sleep(5 * time.Second)
		if f.Due(time.Now(), 0); !f.Stats().Offline {
			t.Error("not offline, though the machine is in time")
		}
	})
}

// A contact that missed is not given to other peers, and lookups ask it last, until it
// has answered.
func TestSuspectIsNotHandedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		ids := peers(3)
		f.answer(ids...)
		f.miss(ids[0])
		key := routing.KeyOf([]byte(ids[0]))
		if got := idsOf(f.Closest(key, 3)); len(got) != 2 || slices.Contains(got, ids[0]) {
			t.Errorf("given to other peers: %v", got)
		}
		if seeds := f.Seeds(key, 3); len(seeds) != 3 || seeds[2].ID != ids[0] || !seeds[2].Doubtful {
			t.Errorf("a lookup starts from %v, want the suspect last", seeds)
		}
		if got := f.Neighbours(3); len(got) != 3 {
			t.Errorf("neighbours %v, want the suspect among them", idsOf(got))
		}
		f.answer(ids[0])
		if got := f.Closest(key, 1); f.Stats().Suspects != 0 || got[0].ID != ids[0] {
			t.Errorf("it has answered, and %v is given to other peers", idsOf(got))
		}
	})
}

// A suspect stays in doubt as long as it is one, when another peer names it.
func TestSuspectStaysDoubtful(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		id := calltest.ID(1)
		f.answer(calltest.ID(2))
		for range 10 {
			f.answer(id)
		}
		for range 4 {
			f.miss(id)
		}
		time.Sleep(routing.DoubtAge + time.Second)
		if s := f.Stats(); s.Suspects != 1 || !f.doubtful(id) {
			t.Errorf("%d suspects, in doubt: %v", s.Suspects, f.doubtful(id))
		}
	})
}
