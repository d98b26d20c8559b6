package table

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/events"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/observe"
	"github.com/go-kad/kad/routing"
)

// What became of a request counts against a contact only if the contact is at fault: each
// outcome changes so much, and no more.
func TestHeard(t *testing.T) {
	for name, tt := range map[string]struct {
		outcome                       Outcome
		suspect, doubted, failed, due bool
	}{
		"answered":    {outcome: Answered},
		"refused":     {outcome: Refused},
		"silent":      {outcome: Silent, suspect: true, doubted: true, failed: true},
		"late":        {outcome: Late, doubted: true, failed: true, due: true},
		"unsent":      {outcome: Unsent},
		"own failure": {outcome: OwnFailure},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newTable(t, Config{})
				id, unknown := calltest.ID(1), calltest.ID(9)
				f.answer(id, calltest.ID(2))
				*f.wakes = 0
				f.Heard(routing.ContactOf(id), tt.outcome, 0)
				if failing := tuned(f).Failing; failing > 0 != tt.failed || f.doubtful(id) != tt.doubted {
					t.Errorf("the share of failures is %v, in doubt: %v", failing, f.doubtful(id))
				}
				if woken := *f.wakes > 0; woken != tt.doubted {
					t.Errorf("the loop is woken: %v", woken)
				}
				if s := f.Stats(); s.Suspects == 1 != tt.suspect || !f.Has(id) {
					t.Errorf("%+v, held: %v", s, f.Has(id))
				}
				if got := f.isDue(id); got != tt.due {
					t.Errorf("to be checked: %v", got)
				}
				f.Heard(routing.ContactOf(unknown), tt.outcome, 0)
				if f.Has(unknown) != (tt.outcome == Answered) || f.doubtful(unknown) != tt.doubted {
					t.Errorf("an unknown peer is held: %v, in doubt: %v", f.Has(unknown), f.doubtful(unknown))
				}
			})
		})
	}
}

// A contact that was checked stays if it answered or refused, becomes suspect if it was
// silent, and is due again if the check was given up.
func TestChecked(t *testing.T) {
	for name, tt := range map[string]struct {
		outcome        Outcome
		suspect, again bool // due again after a minute
	}{
		"answered":    {outcome: Answered},
		"refused":     {outcome: Refused},
		"silent":      {outcome: Silent, suspect: true, again: true},
		"late":        {outcome: Late, again: true},
		"unsent":      {outcome: Unsent, again: true},
		"own failure": {outcome: OwnFailure, again: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newTable(t, Config{})
				id := calltest.ID(1)
				f.answer(id, calltest.ID(2), id)
				f.Disconnected(id)
				if !f.doubtful(id) || !f.isDue(id) {
					t.Fatal("it is not to be checked")
				}
				f.Checked(routing.ContactOf(id), tt.outcome, 0)
				if s := f.Stats(); s.Suspects == 1 != tt.suspect || !f.Has(id) {
					t.Errorf("%+v, held: %v", s, f.Has(id))
				}
				if failing := tuned(f).Failing; failing != 0 {
					t.Errorf("the share of failures is %v: checks are of peers in doubt", failing)
				}
				if alive := tt.outcome == Answered || tt.outcome == Refused; f.doubtful(id) == alive {
					t.Errorf("in doubt: %v", f.doubtful(id))
				}
				time.Sleep(time.Minute)
				f.answer(calltest.ID(2))
				if got := f.isDue(id); got != tt.again || !f.Has(id) {
					t.Errorf("to be checked again: %v, held: %v", got, f.Has(id))
				}
				if s := f.Stats(); !tt.again && s.Suspects > 0 {
					t.Error("it is suspect a minute later")
				}
			})
		})
	}
}

// A check that was under way when its contact stopped serving does not bring it back.
func TestCheckDoesNotResurrect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		id := calltest.ID(1)
		f.answer(id)
		f.Disconnected(id)
		if !f.isDue(id) {
			t.Fatal("it is not to be checked")
		}
		f.speak(t, id, "/other")
		f.Wants(id)
		f.Checked(routing.ContactOf(id), Answered, time.Millisecond)
		if f.Has(id) {
			t.Error("the contact is back")
		}
	})
}

// A peer that answers enters the table, unless it has said that it serves no more.
func TestAnswerOfStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		silent, serves, stopped := calltest.ID(1), calltest.ID(2), calltest.ID(3)
		f.speak(t, serves, "/other", testProtocol)
		f.speak(t, stopped, "/other")
		f.answer(silent, serves)
		if f.Heard(routing.ContactOf(stopped), Answered, 50*time.Millisecond); f.Has(stopped) {
			t.Error("a peer that stopped serving is in the table")
		}
		if !f.Has(silent) || !f.Has(serves) {
			t.Error("a peer that serves, or has not said what it speaks, is not in the table")
		}
		named := []routing.Contact{routing.ContactOf(stopped)}
		if f.Expect(named); named[0].RoundTrip != 50*time.Millisecond {
			t.Errorf("round trip %v, want that of its answer", named[0].RoundTrip)
		}
	})
}

// Whatever a peer says of the addresses of a contact, its answer leaves the contact as the
// host knows it: with its own address, in its own network.
func TestAnswerTakesNoClaims(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		id := calltest.ID(1)
		f.at(id)
		named := calltest.Contact(calltest.ID(2)) // with the address of another peer
		named.ID, named.Key = id, routing.KeyOf([]byte(id))
		for range 2 { // when it enters, and when it is there
			f.Heard(named, Answered, 0)
			addrs := addrsOf(f.Buckets()[0].Contacts[0])
			if c, ok := f.contacts.Contact(named.Key); !ok || c.Group != "8.8.0.0" || len(addrs) != 1 || !addrs[0].Equal(calltest.Addr(id)) {
				t.Errorf("it is held at %v, in %q", addrs, c.Group)
			}
		}
	})
}

// By default, two contacts of one public network are admitted to a bucket. A third one is
// noted, for the case that the table is empty.
func TestGroupLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{MaxPerGroup: 2})
		var last string
		for i, n := 1, 0; n < 3; i++ {
			id := calltest.ID(i)
			if f.Self().CPL(routing.KeyOf([]byte(id))) > 0 {
				continue // of another bucket
			}
			f.host.Peerstore().AddAddr(id, multiaddr.StringCast("/ip4/192.0.1.7/tcp/1"), peerstore.PermanentAddrTTL)
			f.answer(id)
			last = id.String()
			n++
		}
		if got := f.Stats().Contacts; got != 2 {
			t.Errorf("%d contacts of one network, want 2", got)
		}
		if text := f.NotReady(nil).Error(); !strings.Contains(text, last) || !strings.Contains(text, "Config.MaxPerGroup") || !strings.Contains(text, "192.0.1.0") {
			t.Errorf("%q does not say by what %s was filtered", text, last)
		}
	})
}

// That no contact answers is told once, with why requests fail here, and once that one answers
// again; also of a single contact.
func TestTellsOffline(t *testing.T) {
	for _, contacts := range []int{1, 4} {
		synctest.Test(t, func(t *testing.T) {
			observer := observe.New(nil)
			f := newTable(t, Config{Observer: observer})
			ctx, cancel := context.WithCancel(t.Context())
			var told []events.What
			read := observer.Events(ctx, t.Context())
			var reading sync.WaitGroup
			reading.Go(func() {
				for e := range read {
					switch e.What.(type) {
					case events.Offline, events.Back:
						told = append(told, e.What)
					}
				}
			})
			ids := peers(contacts)
			f.answer(ids...)
			f.Hindered(routing.ContactOf(ids[0]), errors.New("no route"))
			for range 10 {
				f.miss(ids...)
				time.Sleep(time.Second)
			}
			f.answer(ids...)
			synctest.Wait()
			cancel()
			reading.Wait()
			if want := []events.What{events.Offline{Contacts: contacts, Hindered: "no route"}, events.Back{}}; !slices.Equal(told, want) {
				t.Errorf("%d contacts: told %+v, want %+v", contacts, told, want)
			}
		})
	}
}
