package join

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/events"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/observe"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/routing"
)

// A node that knows no peer tries its bootstrap peer less and less often, every 0.2s to
// 30s, and joins when the peer is there.
func TestJoinAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed := calltest.ID(1)
		n := newNode(t, through(seed), "")
		n.start()
		time.Sleep(5 * time.Minute)
		dials := n.dialsOf(seed)
		if len(dials) < 10 || len(dials) > 30 {
			t.Fatalf("%d attempts in 5 minutes, want 7 while the wait doubles, and one every 30s", len(dials))
		}
		want := routing.JoinAfter(0)
		for i := 1; i < len(dials); i++ {
			wait := dials[i].Sub(dials[i-1]) - calltest.RoundTrip // the dial
			if wait < want*9/10 || wait > want*11/10 {
				t.Errorf("wait %d was %v, want %v give or take a tenth", i, wait, want)
			}
			want = routing.JoinAfter(want)
		}
		n.serve(t, calltest.Names(), seed)
		time.Sleep(35 * time.Second)
		if !n.table.Has(seed) {
			t.Error("it has not joined")
		}
	})
}

// A node that went offline joins again when a contact answers. Until then it tells that it is
// offline, and of no join that has failed.
func TestJoinAfterOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed := calltest.ID(1)
		cfg := through(seed)
		cfg.Observer = observe.New(nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		told := cfg.Observer.Events(ctx, ctx)
		go func() {
			for e := range told {
				if e, ok := e.What.(events.JoinFailed); ok {
					t.Errorf("an outage is told as %+v", e)
				}
			}
		}()
		n := newNode(t, cfg, "")
		n.serve(t, calltest.Names(), seed)
		n.start()
		time.Sleep(time.Minute)
		joins := n.Joins()
		if joins != 1 || !n.table.Live() {
			t.Fatalf("%d joins, live: %v", joins, n.table.Live())
		}
		n.gone(seed)
		time.Sleep(10 * time.Minute)
		if n.table.Live() || n.Joins() == joins {
			t.Errorf("live: %v, %d joins", n.table.Live(), n.Joins())
		}
		n.serve(t, calltest.Names(), seed)
		time.Sleep(35 * time.Second)
		if !n.table.Live() {
			t.Error("it is not back")
		}
		n.asked()
		joins = n.Joins()
		time.Sleep(30 * time.Minute)
		if n.Joins() > joins+1 {
			t.Errorf("%d more joins while it is well", n.Joins()-joins)
		}
	})
}

// A peer that is named again while it is introduced is introduced once, and once more if
// that failed.
func TestIntroduce(t *testing.T) {
	for name, again := range map[string]bool{"answers": false, "fails first": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				id := calltest.ID(1)
				n := newNode(t, through(), "")
				n.start()
				time.Sleep(time.Second)
				answer := calltest.Names()
				if again {
					answer = calltest.Fails(os.ErrInvalid)
				}
				n.serve(t, calltest.After(200*time.Millisecond, answer), id)
				n.net.Connect(id)
				n.Introduce(id)
				time.Sleep(100 * time.Millisecond)
				n.Introduce(id)
				n.Introduce(id)
				n.serve(t, calltest.Names(), id)
				time.Sleep(150 * time.Millisecond)
				_, _, probes := n.call.Stats()
				if want := map[bool]uint64{false: 1, true: 2}[again]; probes != want || !n.table.Has(id) {
					t.Errorf("%d probes, want %d; it is held: %v", probes, want, n.table.Has(id))
				}
			})
		})
	}
}

// So many peers are introduced at a time, each for 2s at most. A peer that does not answer,
// or does not say that it serves, does not enter the table.
func TestIntroductionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed, mute := calltest.ID(998), calltest.ID(999)
		n := newNode(t, through(seed), "")
		n.serve(t, calltest.Names(), seed)
		n.start()
		time.Sleep(time.Second)
		n.net.Add(mute, calltest.Names())
		n.net.Asked()
		for i := range 2 * routing.MaxIntroductions {
			id := calltest.ID(i + 1)
			n.serve(t, calltest.Silent, id)
			n.net.Connect(id)
			n.Introduce(id)
		}
		n.net.Connect(mute)
		n.Introduce(mute)
		for range 2 {
			time.Sleep(time.Millisecond)
			if got := len(n.net.Asked()); got != routing.MaxIntroductions {
				t.Errorf("%d peers are introduced at a time, want %d", got, routing.MaxIntroductions)
			}
			time.Sleep(introduceTimeout)
		}
		if got := n.table.Stats().Contacts; got != 1 {
			t.Errorf("%d contacts, want the seed", got)
		}
	})
}

// A contact whose connection ended is checked. It stays if it answers, and leaves the table
// if it does not, and another contact does.
func TestCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		good, bad := calltest.ID(1), calltest.ID(2)
		n := newNode(t, through(good, bad), "")
		n.serve(t, calltest.Names(good, bad), good, bad)
		n.start()
		time.Sleep(time.Minute)
		if !n.table.Has(good) || !n.table.Has(bad) {
			t.Fatal("it has not joined")
		}
		n.net.Asked()
		n.net.Disconnect(good)
		n.table.Disconnected(good)
		time.Sleep(time.Second)
		if asked := n.net.Asked(); len(asked) != 1 || asked[0].To != good || n.table.Stats().Suspects != 0 {
			t.Errorf("asked %v, want one check", asked)
		}
		n.gone(bad)
		time.Sleep(3 * time.Hour)
		if n.table.Has(bad) || !n.table.Has(good) {
			t.Errorf("held: the dead contact %v, the other one %v", n.table.Has(bad), n.table.Has(good))
		}
	})
}

// A bootstrap peer that has left the table is dialled after a second, then less and less
// often, every 30s at least while the table is small. When it is back, the node looks
// itself up.
func TestReunite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed, other := calltest.ID(1), calltest.ID(2)
		cfg := through(seed)
		cfg.RefreshInterval = -1 // no other lookups
		n := newNode(t, cfg, "")
		n.serve(t, calltest.Names(other), seed)
		n.serve(t, calltest.Names(), other)
		n.start()
		time.Sleep(time.Minute)
		n.gone(seed)
		time.Sleep(3 * time.Hour)
		if n.table.Has(seed) || !n.table.Has(other) {
			t.Fatal("the seed is not apart")
		}
		n.dialsOf(seed)
		time.Sleep(10 * time.Minute)
		if got := len(n.dialsOf(seed)); got < 17 || got > 45 {
			t.Errorf("%d dials in 10 minutes, want one in 30s, or two with the departed contact", got)
		}
		third := calltest.ID(3) // has entered the network meanwhile
		n.serve(t, calltest.Names(third), seed)
		n.serve(t, calltest.Names(), third)
		time.Sleep(maxReuniteAfter*11/10 + time.Second)
		if !n.table.Has(seed) || !n.table.Has(third) {
			t.Errorf("held: the seed %v, the peer that it names %v", n.table.Has(seed), n.table.Has(third))
		}
		n.dialsOf(seed)
		if time.Sleep(10 * time.Minute); len(n.dialsOf(seed)) > 0 {
			t.Error("it is dialled, though it is in the table")
		}
	})
}

// While enough other contacts answer, a bootstrap peer that is gone costs a dial per
// RefreshInterval.
func TestReuniteIsRareInALargeNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seed, ids := calltest.ID(1), []peer.ID{calltest.ID(2), calltest.ID(3), calltest.ID(4), calltest.ID(5), calltest.ID(6)}
		n := newNode(t, through(seed, ids[0]), "")
		n.serve(t, calltest.Names(ids...), ids...)
		n.start()
		time.Sleep(time.Minute)
		n.dialsOf(seed)
		time.Sleep(10 * time.Hour)
		if got := len(n.dialsOf(seed)); got < 9 || got > 12 {
			t.Errorf("%d dials in 10 hours, want about 10", got)
		}
	})
}

// After a join, the node looks itself up again after 10s, and while the table is small,
// less and less often, every 10 minutes at least.
func TestSettle(t *testing.T) {
	for name, small := range map[string]bool{"small": true, "large": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ids := []peer.ID{calltest.ID(1), calltest.ID(2), calltest.ID(3), calltest.ID(4), calltest.ID(5)}
				if small {
					ids = ids[:2]
				}
				cfg := through(ids[0])
				cfg.RefreshInterval = 100 * time.Hour
				n := newNode(t, cfg, "")
				n.serve(t, calltest.Names(ids...), ids...)
				n.start()
				time.Sleep(table.SettleTime / 2)
				joined := n.cfg.Lookup.Lookups() // with those of buckets that no join looks up
				time.Sleep(table.SettleTime)
				if got := n.cfg.Lookup.Lookups() - joined; got != 1 {
					t.Errorf("%d lookups within %v, want one", got, table.SettleTime)
				}
				time.Sleep(10 * time.Hour)
				switch got := n.cfg.Lookup.Lookups() - joined; {
				case small && (got < 50 || got > 80): // after 10s, 20s, ... 10m, 10m
					t.Errorf("%d lookups in 10 hours, want about 65", got)
				case !small && got != 1:
					t.Errorf("%d lookups, want no more", got)
				}
			})
		})
	}
}

// A bucket that was not looked up for RefreshInterval is, at a random key: after 20
// minutes three times, then after 40, 80 and 160 if nothing changes in it. Lookups of the user count, and a negative
// interval ends it.
func TestRefresh(t *testing.T) {
	ids := []peer.ID{peerAt(0, 0), peerAt(0, 1), peerAt(1, 0), peerAt(1, 1), peerAt(2, 0)}
	const age = 20 * time.Minute
	for name, tt := range map[string]struct {
		interval time.Duration
		lookups  bool // of the user, in CPL 0
		want     [2]int
	}{
		"refreshes":        {interval: age, want: [2]int{5, 4}},
		"looked up anyway": {interval: age, lookups: true, want: [2]int{0, 4}},
		"off":              {interval: -1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := through(ids[0])
				cfg.RefreshInterval = tt.interval
				n := newNode(t, cfg, "")
				n.serve(t, calltest.Names(ids...), ids...)
				n.start()
				time.Sleep(time.Minute)
				key := n.table.Self()
				key[0] ^= 0x80
				n.asked()
				var got [2]int
				for range 48 { // 4 hours
					if tt.lookups {
						n.table.LookedUp(key)
					}
					before := n.cfg.Lookup.Lookups()
					time.Sleep(5 * time.Minute)
					asked := n.asked()
					if n.cfg.Lookup.Lookups() == before {
						continue // only checks
					}
					for cpl := range got {
						if count(asked, cpl) > 0 {
							got[cpl]++
						}
					}
				}
				for cpl, want := range tt.want {
					if got[cpl] != want {
						t.Errorf("CPL %d was looked up %d times in 4 hours, want %d", cpl, got[cpl], want)
					}
				}
			})
		})
	}
}

// The contacts are saved 10s after the join, and every 10 minutes.
func TestSaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, seed := t.TempDir(), calltest.ID(1)
		n := newNode(t, through(seed), dir)
		files := func() int { entries, _ := os.ReadDir(dir); return len(entries) }
		n.start()
		time.Sleep(time.Minute)
		if files() != 0 {
			t.Error("saved before the join")
		}
		n.serve(t, calltest.Names(), seed)
		time.Sleep(time.Minute)
		if files() != 1 {
			t.Fatalf("%d files are saved", files())
		}
		if err := os.RemoveAll(filepath.Join(dir, "contacts.json")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(saveAfter - time.Minute)
		if files() != 0 {
			t.Error("saved too soon")
		}
		if time.Sleep(time.Minute); files() != 1 {
			t.Error("not saved again")
		}
	})
}
