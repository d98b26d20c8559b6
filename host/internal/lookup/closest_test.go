package lookup

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// learnSize looks up keys until the size of the network is known.
func (n *node) learnSize(t *testing.T) {
	t.Helper()
	for i := range 20 {
		n.find(t, fmt.Sprint(i))
		time.Sleep(call.StragglerTime)
	}
}

// closestTo finds the closest peers, checks them, and returns how many were asked.
func (n *node) closestTo(t *testing.T, closest Closest, key string, ids []peer.ID) int {
	t.Helper()
	n.net.Asked()
	found, err := closest(t.Context(), []byte(key), nil)
	if err != nil || !slices.Equal(peersOf(found), nearest(key, ids)) {
		t.Errorf("found %v, %v; want %v", peersOf(found), err, nearest(key, ids))
	}
	return len(n.net.Asked())
}

// The same key again costs three requests within a minute, also if it was confirmed
// meanwhile, and then all are asked again.
func TestRecall(t *testing.T) {
	for after, free := range map[time.Duration]bool{time.Minute - time.Second: true, time.Minute: false} {
		synctest.Test(t, func(t *testing.T) {
			n, ids := newNetwork(t)
			if got := n.closestTo(t, n.Closest(0), "key", ids); got < testK {
				t.Errorf("the first lookup took %d requests, want %d at least", got, testK)
			}
			size := n.table.Tune(routing.LookupConfig{K: testK}).Size
			time.Sleep(after / 2)
			n.closestTo(t, n.Closest(0), "key", ids)
			time.Sleep(after / 2)
			if again := n.table.Tune(routing.LookupConfig{K: testK}).Size; again != size {
				t.Errorf("the network has %v, and had %v before the same was found again", again, size)
			}
			if got := n.closestTo(t, n.Closest(0), "key", ids); got <= 3 != free {
				t.Errorf("%d requests after %v, want 3 at most: %v", got, after, free)
			}
		})
	}
}

// A lookup of a key near to an earlier one starts from the result of that.
func TestLookupOfKeyNearby(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, ids := newNetwork(t)
		n.closestTo(t, n.Closest(0), "key", ids)
		rng := rand.New(rand.NewPCG(1, 2))
		for range 5 {
			ctx, trace := WithTrace(t.Context())
			key := routing.PreimageOf(routing.KeyOf([]byte("key")), 6, rng)
			if _, err := n.Closest(0)(ctx, key, nil); err != nil || trace.Stats().Hops > 1 {
				t.Errorf("%v, %d hops; want one", err, trace.Stats().Hops)
			}
		}
	})
}

// What is remembered is checked: peers that have gone since are not in a result.
func TestRecallIsChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, ids := newNetwork(t)
		n.closestTo(t, n.Closest(0), "key", ids)
		for _, id := range nearest("key", ids)[:3] {
			n.net.Disconnect(id)
			n.net.Hang(id)
			ids = slices.DeleteFunc(ids, func(other peer.ID) bool { return other == id })
		}
		for _, id := range ids { // the others know by now
			n.net.Add(id, calltest.Knows(testK, ids...))
		}
		n.closestTo(t, n.Closest(0), "key", ids)
		time.Sleep(call.StragglerTime)
	})
}

// A lookup in which peers could not be asked for a reason of our own is not remembered, and says
// that it is not sure.
func TestOwnFailureTeachesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, ids := newNetwork(t)
		n.learnSize(t)
		if r, _ := n.find(t, "before"); r.Confidence < 0.9 {
			t.Errorf("confidence is %v where all answer", r.Confidence)
		}
		time.Sleep(6 * time.Minute) // these are remembered no more
		for _, id := range nearest("key", ids)[:2] {
			n.net.Add(id, calltest.Fails(syscall.EMFILE))
		}
		if r, _ := n.find(t, "key"); r.Unasked < 2 || r.Confidence != 0 {
			t.Errorf("confidence is %v, %d were not asked", r.Confidence, r.Unasked)
		}
		for _, id := range nearest("key", ids)[:2] {
			n.net.Add(id, calltest.Knows(testK, ids...))
			if n.expected(id).Doubtful {
				t.Error("a peer is in doubt that could not be asked")
			}
		}
		if known, _, _ := n.recall.near(routing.KeyOf([]byte("key"))); known != nil {
			t.Errorf("remembered %v", peersOf(known))
		}
		n.closestTo(t, n.Closest(0), "key", ids)
	})
}

// Peers that do not answer while this machine is starved may be alive: a lookup is not sure that it
// has found the closest then, and is not remembered.
func TestFailuresOnStarvedMachine(t *testing.T) {
	for _, late := range []time.Duration{tasks.StarvedAfter - 1, tasks.StarvedAfter} {
		synctest.Test(t, func(t *testing.T) {
			n, ids := newNetwork(t)
			n.learnSize(t)
			time.Sleep(6 * time.Minute) // these are remembered no more
			n.net.Add(nearest("key", ids)[1], calltest.Fails(errors.New("gone")))
			n.cfg.Pulse = roomtest.NewPulse(t, late)
			n.cfg.Pulse.Begin()
			defer n.cfg.Pulse.End()
			time.Sleep(2 * time.Second) // until that is measured
			r, _ := n.find(t, "key")
			known, _, _ := n.recall.near(routing.KeyOf([]byte("key")))
			if starved := late >= tasks.StarvedAfter; r.Failed != 1 || starved != (r.Confidence == 0) || starved && known != nil {
				t.Errorf("timers are late by %v: confidence is %v, %d failed, remembered %v", late, r.Confidence, r.Failed, peersOf(known))
			}
		})
	}
}

// A sink gets the closest peers, some of them before the lookup has ended; right after a
// lookup it gets them without another one, unless one of them does not take it.
func TestClosestForSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, ids := newNetwork(t)
		n.learnSize(t)
		var adds int
		taken := true
		sink := &Sink{
			Add: func(_ context.Context, to ...routing.Contact) { adds += min(len(to), 1) },
			Late: func(_ context.Context, to ...routing.Contact) {
				if len(to) > 0 {
					t.Errorf("%v are late", peersOf(to))
				}
			},
			Taken: func(context.Context) bool { return taken },
		}
		for _, step := range []struct {
			taken bool
			late  bool // one of the closest was late meanwhile
			gone  bool // one of the closest has disconnected
			paths int
			asked int // at least; 0: none
		}{
			{taken: true, asked: testK},
			{taken: true},
			{taken: true, paths: 2, asked: testK},
			{taken: true},
			{taken: true, late: true, asked: testK},
			{asked: testK},
			{taken: true, gone: true, asked: testK},
		} {
			adds, taken = 0, step.taken
			if step.late {
				n.table.Heard(calltest.Contact(nearest("key", ids)[0]), table.Late, 0)
			}
			if step.gone {
				n.net.Disconnect(nearest("key", ids)[0])
			}
			n.net.Asked()
			found, err := n.Closest(step.paths)(t.Context(), []byte("key"), sink)
			if err != nil || !slices.Equal(peersOf(found), nearest("key", ids)) {
				t.Errorf("found %v, %v; want %v", peersOf(found), err, nearest("key", ids))
			}
			if asked := len(n.net.Asked()); asked < step.asked || step.asked == 0 && asked > 0 {
				t.Errorf("%+v: %d requests", step, asked)
			}
			if least := min(step.asked, 1) + 1; adds < least {
				t.Errorf("%+v: peers were added %d times, want %d: some before the end", step, adds, least)
			}
		}
	})
}

// A sink gets the peers that were late too, and may be among the closest: not the ones that
// failed, nor the ones beyond the k closest.
func TestLateForSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, ids := newNetwork(t)
		all := slices.Clone(ids)
		key := routing.KeyOf([]byte("key"))
		slices.SortFunc(all, func(a, b peer.ID) int { return key.Compare(routing.KeyOf([]byte(a)), routing.KeyOf([]byte(b))) })
		n.net.Add(all[1], calltest.Silent)
		n.net.Add(all[2], calltest.Refuses)
		n.net.Add(all[len(all)-1], calltest.Silent)
		var added, late []peer.ID
		sink := &Sink{
			Add:   func(_ context.Context, to ...routing.Contact) { added = peersOf(to) },
			Late:  func(_ context.Context, to ...routing.Contact) { late = append(late, peersOf(to)...) },
			Taken: func(context.Context) bool { return true },
		}
		for _, by := range []struct {
			name    string
			closest Closest
		}{{"engine", n.Closest(0)}, {"survey", n.NewSurvey().Closest}} { // the engine first: later it remembers, and asks none
			name := by.name
			added, late = nil, nil
			found, err := by.closest(t.Context(), []byte("key"), sink)
			if err != nil || len(found) != testK || slices.Contains(peersOf(found), all[1]) || !slices.Equal(added, peersOf(found)) {
				t.Errorf("%s: found %v, %v; added %v; want the %d closest that answer", name, peersOf(found), err, added, testK)
			}
			if !slices.Equal(late, all[1:2]) {
				t.Errorf("%s: late %v, want %v", name, late, all[1:2])
			}
		}
	})
}

// It is an error if no peer answers.
func TestClosestWithoutAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 3)
		for i := range 3 {
			n.net.Add(calltest.ID(i+1), calltest.Refuses)
		}
		if found, err := n.Closest(0)(t.Context(), []byte("key"), nil); err == nil {
			t.Errorf("found %v, though none has answered", found)
		}
	})
}

// A survey finds the closest peers of many keys, with fewer lookups than keys, for 5 minutes.
func TestSurvey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, ids := newNetwork(t)
		s := n.NewSurvey()
		key := func(i int) string { return fmt.Sprint("key", i) }
		if s.Known([]byte(key(0))) {
			t.Error("a key is known before any lookup")
		}
		for i := range 200 {
			n.closestTo(t, s.Closest, key(i), ids)
		}
		if got := n.Lookups(); got > 100 {
			t.Errorf("%d lookups for 200 keys", got)
		}
		if !s.Known([]byte(key(0))) {
			t.Error("a key is not known that was looked up")
		}
		time.Sleep(surveyAge)
		if s.Known([]byte(key(0))) {
			t.Error("a key is known after 5 minutes")
		}
	})
}

// Where there are fewer than k peers, a survey learns from a lookup that all of them have
// answered, and from no other: the one that has not may know more.
func TestSurveyOfFew(t *testing.T) {
	for name, tt := range map[string]struct {
		last calltest.Answer
		want bool
	}{
		"all answer":     {calltest.Names(), true},
		"one refuses":    {calltest.Refuses, false},
		"one is silent":  {calltest.Silent, false},
		"one is late":    {calltest.After(5*time.Second, calltest.Names()), false},
		"one has failed": {calltest.Fails(errors.New("broken")), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, 3)
				n.net.Add(calltest.ID(3), tt.last)
				s := n.NewSurvey()
				if _, err := s.Closest(t.Context(), []byte("key"), nil); err != nil {
					t.Error(err)
				}
				if got := s.Known([]byte("key")); got != tt.want {
					t.Errorf("the key is known: %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// The closest peers are waited for until more than half of them have answered, however late;
// if fewer do, they come with an error that says so.
func TestClosestNeedsAnswers(t *testing.T) {
	for _, c := range []struct {
		name  string
		mute  func(known []peer.ID) (answer calltest.Answer, of int) // of how many of the closest
		want  int                                                    // how many of the closest are found, at least
		whole bool
	}{
		{"all late", func(ids []peer.ID) (calltest.Answer, int) {
			return calltest.After(4*time.Second, calltest.Knows(testK, ids...)), testK
		}, testK/2 + 1, true},
		{"half silent", func([]peer.ID) (calltest.Answer, int) { return calltest.Silent, (testK + 1) / 2 }, testK / 2, false},
		{"fewer silent", func([]peer.ID) (calltest.Answer, int) { return calltest.Silent, testK/2 - 1 }, testK/2 + 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, ids := newNetwork(t)
				near := nearest("key", ids)
				answer, of := c.mute(ids)
				for _, id := range near[:of] {
					n.net.Add(id, answer)
				}
				found, err := n.Closest(0)(t.Context(), []byte("key"), nil)
				var few *UnansweredError
				if c.whole != (err == nil) || err != nil && !errors.As(err, &few) {
					t.Errorf("the error is %v", err)
				}
				there := 0
				for _, contact := range found {
					if slices.Contains(near, contact.ID) {
						there++
					}
				}
				if there < c.want {
					t.Errorf("%d of the %d closest are found, want %d", there, testK, c.want)
				}
				time.Sleep(20 * time.Second)
			})
		})
	}
}

// On a machine whose timers are late, all of the closest peers are waited for, as they may be late
// for the same reason.
func TestClosestOnLateMachine(t *testing.T) {
	for late, whole := range map[time.Duration]bool{0: false, 3 * patientFrom: true} {
		synctest.Test(t, func(t *testing.T) {
			n, ids := newNetwork(t)
			n.cfg.Pulse = roomtest.NewPulse(t, late)
			n.cfg.Pulse.Begin()
			defer n.cfg.Pulse.End()
			near := nearest("key", ids)
			for _, id := range near[:testK/2-1] {
				n.net.Add(id, calltest.After(6*time.Second, calltest.Knows(testK, ids...)))
			}
			time.Sleep(5 * time.Second) // until the lateness is known
			found, err := n.Closest(0)(t.Context(), []byte("key"), nil)
			if err != nil || slices.Equal(peersOf(found), near) != whole {
				t.Errorf("timers are late by %v: found %v, %v; all of %v: %v", n.cfg.Pulse.Lateness(), peersOf(found), err, near, whole)
			}
			time.Sleep(20 * time.Second)
		})
	}
}

// Peers that an earlier lookup found count as if they had answered only while the ones that are
// asked again may answer in time. Once one of these is late, all are waited for, like in any lookup.
func TestLateAfterRecall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, ids := newNetwork(t)
		n.closestTo(t, n.Closest(0), "key", ids)
		near := nearest("key", ids)
		for _, id := range ids {
			if id != near[0] {
				n.net.Add(id, calltest.After(8*time.Second, calltest.Knows(testK, ids...)))
			}
		}
		found, err := n.Closest(0)(t.Context(), []byte("key"), nil)
		if err != nil || len(found) <= testK/2 || !slices.Contains(peersOf(found), near[0]) {
			t.Errorf("found %v, %v; want most of %v", peersOf(found), err, near)
		}
	})
}

// Where fewer than k peers answer, a sink gets the contacts, too, that have entered the table
// meanwhile.
func TestFewForSink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 3)
		newcomer := calltest.ID(9)
		n.net.Add(calltest.ID(1), func(context.Context, protocol.Request) (resp protocol.Response, _ error) {
			n.table.Heard(calltest.Contact(newcomer), table.Answered, 0)
			return resp, nil
		})
		var late []peer.ID
		found, err := n.Closest(0)(t.Context(), []byte("key"), &Sink{
			Add:   func(context.Context, ...routing.Contact) {},
			Late:  func(_ context.Context, to ...routing.Contact) { late = append(late, peersOf(to)...) },
			Taken: func(context.Context) bool { return true },
		})
		if err != nil || len(found) != 3 || !slices.Contains(late, newcomer) {
			t.Errorf("found %v, %v; late %v, want %v among them", peersOf(found), err, late, newcomer)
		}
	})
}

// While peers cannot be asked for a reason of our own, a survey looks each key up, once, and
// knows nothing.
func TestSurveyWithoutResources(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, ids := newNetwork(t)
		for _, id := range nearest("key", ids)[:2] {
			n.net.Add(id, calltest.Fails(syscall.EMFILE))
		}
		s := n.NewSurvey()
		for i := range 3 {
			if _, err := s.Closest(t.Context(), []byte("key"), nil); err != nil {
				t.Error(err)
			}
			if got := n.Lookups(); got != uint64(i+1) || s.Known([]byte("key")) {
				t.Errorf("%d lookups for the key %d times; it is known: %v", got, i+1, s.Known([]byte("key")))
			}
		}
	})
}
