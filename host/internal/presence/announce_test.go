package presence

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/reach"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// The closest peers hold the addresses of a client: at once after a change, the last of
// many changes, as long as it runs, and no more when it has withdrawn them.
func TestPresence(t *testing.T) { synctest.Test(t, testPresence) }

func testPresence(t *testing.T) {
	n := newNode(t, 10)
	n.host.move(firstAddr, privateAddr) // peers of the internet have no use of the private one
	n.run()
	holds := func(what, addr string, within time.Duration) {
		t.Helper()
		n.loop.Wake()
		time.Sleep(within)
		synctest.Wait()
		if count, closest := n.holds(addr); !closest {
			t.Errorf("%s: %d hold %s, and not all of the closest", what, count, addr)
		}
	}
	holds("at first", firstAddr, time.Second)
	n.host.move(secondAddr)
	holds("moved", secondAddr, 2*time.Second)
	for range 10 {
		for _, addr := range []string{firstAddr, secondAddr} {
			n.host.move(addr)
			n.loop.Wake()
			time.Sleep(50 * time.Millisecond)
		}
	}
	n.host.move(firstAddr)
	holds("many changes", firstAddr, 10*time.Second)
	if count, _ := n.holds(secondAddr); count != 0 {
		t.Errorf("%d still hold an older address", count)
	}
	n.sentSince()
	time.Sleep(announce.PresenceLifetime)
	if sent := n.sentSince(); sent < 2*testK {
		t.Errorf("sent %d times in its lifetime, want it renewed twice", sent)
	}
	start := time.Now()
	if err := n.Withdraw(t.Context(), time.Now(), true); err != nil {
		t.Error(err)
	}
	if count, _ := n.holds(firstAddr); count != 0 || time.Since(start) > withdrawTimeout {
		t.Errorf("%d hold it after the withdrawal, which took %v", count, time.Since(start))
	}
	n.host.move(secondAddr)
	n.loop.Wake()
	time.Sleep(time.Hour)
	if count, _ := n.holds(secondAddr); count != 0 {
		t.Errorf("announced to %d after the last withdrawal", count)
	}
}

// A server has no presence, nor has a node that is not to; it goes when a client becomes
// a server, or has no address, and comes back after that.
func TestPresenceFollowsMode(t *testing.T) { synctest.Test(t, testPresenceFollowsMode) }

func testPresenceFollowsMode(t *testing.T) {
	n := newNode(t, 5)
	n.cfg.Reach.SetMode(reach.Server)
	n.run()
	settled := func(what, addr string, want bool) {
		t.Helper()
		n.loop.Wake()
		time.Sleep(calm + 3*time.Second)
		synctest.Wait()
		if count, closest := n.holds(addr); want && !closest || !want && count > 0 {
			t.Errorf("%s: %d hold it, want %v", what, count, want)
		}
	}
	settled("server", firstAddr, false)
	n.cfg.Reach.SetMode(reach.Client)
	settled("client", firstAddr, true)
	n.cfg.Reach.SetMode(reach.Server)
	settled("server again", firstAddr, false)
	n.cfg.Reach.SetMode(reach.Client)
	settled("client again", firstAddr, true)
	n.host.move()
	settled("without an address", firstAddr, false)
	n.host.move("/ip4/192.168.1.2/tcp/4001")
	settled("without a public address", "/ip4/192.168.1.2/tcp/4001", false)
	n.host.move(secondAddr)
	settled("with another", secondAddr, true)

	shy := newNode(t, 5)
	shy.cfg.Disabled = true
	shy.run()
	time.Sleep(time.Hour)
	if sent := shy.sentSince(); sent > 0 {
		t.Errorf("sent %d times, though it is not to be", sent)
	}
}

// An announcement that fails is made again, soon; one that hangs delays neither newer
// addresses nor the withdrawal.
func TestPresenceIsTriedAgain(t *testing.T) { synctest.Test(t, testPresenceIsTriedAgain) }

func testPresenceIsTriedAgain(t *testing.T) {
	n := newNode(t, 2)
	n.answers(calltest.Refuses)
	n.run()
	time.Sleep(10 * time.Second)
	n.answers(nil)
	time.Sleep(20 * time.Second)
	if count, _ := n.holds(firstAddr); count != 2 {
		t.Errorf("%d hold it after refusals, want 2", count)
	}
	n.answers(calltest.Silent)
	n.host.move(secondAddr)
	n.loop.Wake()
	time.Sleep(3 * time.Second)
	n.answers(nil)
	n.host.move("/ip4/50.3.0.1/tcp/4001")
	n.loop.Wake()
	time.Sleep(2 * time.Second)
	if count, _ := n.holds("/ip4/50.3.0.1/tcp/4001"); count != 2 {
		t.Errorf("%d hold the newest address while an older announcement hangs, want 2", count)
	}
	n.answers(calltest.Silent)
	start := time.Now()
	_ = n.Withdraw(t.Context(), time.Now(), true)
	if spent := time.Since(start); spent > withdrawTimeout {
		t.Errorf("the withdrawal took %v", spent)
	}
}

// A contact that enters later is sent the presence, once.
func TestNewcomers(t *testing.T) { synctest.Test(t, testNewcomers) }

func testNewcomers(t *testing.T) {
	n := newNode(t, 2)
	inLoop := n.run()
	time.Sleep(time.Minute)
	n.sentSince()
	late := calltest.ID(9)
	n.enter(t, late)
	inLoop(func() { n.Entered(time.Now(), []routing.Contact{routing.ContactOf(late)}) })
	time.Sleep(newcomerPause - time.Second)
	if sent := n.sentSince(); sent != 0 {
		t.Errorf("sent %d times at once: several contacts enter at a time", sent)
	}
	time.Sleep(2 * time.Second)
	if sent := n.sentSince(); sent != 1 || len(n.at[late]) != 1 {
		t.Errorf("sent %d times, want to the newcomer alone", sent)
	}
	inLoop(func() { n.Entered(time.Now(), []routing.Contact{routing.ContactOf(late)}) })
	time.Sleep(2 * newcomerPause)
	if sent := n.sentSince(); sent != 0 {
		t.Errorf("sent %d times to a contact that has it", sent)
	}
}

// A peer that is too late for the lookup is a neighbour, and is sent the presence too.
func TestLateNeighbour(t *testing.T) { synctest.Test(t, testLateNeighbour) }

func testLateNeighbour(t *testing.T) {
	n := newNode(t, 2)
	n.enter(t, calltest.ID(9))
	n.late = calltest.ID(9)
	n.run()
	time.Sleep(2 * time.Second)
	synctest.Wait()
	if count, closest := n.holds(firstAddr); count != 3 || !closest {
		t.Errorf("%d hold it, want all three neighbours", count)
	}
}

// A peer that was sent older addresses, and is no contact any more, is sent the new ones.
func TestFormerHolder(t *testing.T) { synctest.Test(t, testFormerHolder) }

func testFormerHolder(t *testing.T) {
	n := newNode(t, 2)
	former := calltest.ID(9)
	n.add(t, former)
	n.hold(time.Now(), []routing.Contact{calltest.Contact(former)}, n.host.Addrs())
	n.host.move(secondAddr)
	n.run()
	time.Sleep(2 * time.Second)
	synctest.Wait()
	if count, _ := n.holds(secondAddr); count != 3 {
		t.Errorf("%d hold the new address, want the two closest, and the one that had an older address", count)
	}
}

// A presence is renewed once the machine has slept for longer than it would last, and in its
// time after the clock was set back.
func TestPresenceWhenClockJumps(t *testing.T) {
	for _, tt := range []struct {
		set   time.Duration
		after time.Duration // when the presence is renewed at the latest, and not 2m before
	}{{8 * time.Hour, 2 * time.Minute}, {-10 * 365 * 24 * time.Hour, 21 * time.Minute}} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, testK)
			inLoop := n.run()
			time.Sleep(time.Minute)
			inLoop(func() {
				n.schedule.next = roomtest.SetClock(time.Now().Add(20*time.Minute), 0)
				n.clockSet = tt.set
			})
			n.sentSince()
			time.Sleep(tt.after - 2*time.Minute)
			if n.sentSince() > 0 {
				t.Errorf("clock set by %v: renewed too early", tt.set)
			}
			n.loop.Wake()
			time.Sleep(2 * time.Minute)
			if n.sentSince() == 0 {
				t.Errorf("clock set by %v: not renewed after %v", tt.set, tt.after)
			}
		})
	}
}

// After the last withdrawal, nothing is announced any more, whatever is withdrawn later.
func TestLastWithdrawal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 6)
		if _, err := n.announce(t.Context(), time.Now(), n.host.Addrs()); err != nil || n.sentSince() == 0 {
			t.Fatalf("not announced: %v", err)
		}
		for _, last := range []bool{true, false} {
			if err := n.Withdraw(t.Context(), time.Now(), last); err != nil {
				t.Fatal(err)
			}
		}
		n.sentSince()
		if _, err := n.announce(t.Context(), time.Now(), n.host.Addrs()); err == nil || n.sentSince() > 0 {
			t.Errorf("announced after the last withdrawal: %v", err)
		}
	})
}

// In a private network, holders have the private addresses.
func TestPrivatePresence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 6)
		n.cfg.Reach = reach.New(reach.Config{Host: n.host, Table: n.cfg.Table, Mode: reach.Client, Switched: func(_, _ reach.Decision) {}})
		n.cfg.Reach.Start()
		n.host.move(privateAddr)
		n.run()
		time.Sleep(time.Second)
		if count, closest := n.holds(privateAddr); !closest {
			t.Errorf("%d hold it, and not all of the closest", count)
		}
	})
}

// A withdrawal ends the announcement that is under way, however long its peers take, and is what
// they hear last.
func TestWithdrawalDuringAnnouncement(t *testing.T) {
	for _, takes := range []time.Duration{100 * time.Millisecond, 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, 6)
			n.answers(func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
				add, after := req.(protocol.AddProvider), takes
				if len(add.Providers[0].Addrs) == 0 {
					after = 0
				}
				return calltest.After(after, func(context.Context, protocol.Request) (protocol.Response, error) {
					n.keep(t, "", add)
					return protocol.Response{}, nil
				})(ctx, req)
			})
			announced := make(chan error)
			go func() {
				_, err := n.announce(t.Context(), time.Now(), n.host.Addrs())
				announced <- err
			}()
			time.Sleep(90 * time.Millisecond) // all have been asked
			spent := roomtest.Took(func() {
				if err := n.Withdraw(t.Context(), time.Now(), false); err != nil {
					t.Error(err)
				}
			})
			if err := <-announced; err == nil || spent > calltest.RoundTrip {
				t.Errorf("withdrawn after %v, announced with %v", spent, err)
			}
			if n.mu.Lock(); n.sent == 0 || len(n.at[""]) > 0 {
				t.Errorf("sent %d times, the last one is %v", n.sent, n.at[""])
			}
			n.mu.Unlock()
		})
	}
}
