package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kad/kad/routing"
)

// An outage of five minutes under constant lookups costs no contact, whether it is
// seen or silent: Ready names it, the first lookup after it succeeds within 3s, and
// within 3s more nobody is suspect any more.
func TestOutage(t *testing.T) {
	for name, silent := range map[string]bool{"seen": false, "silent": true} {
		for _, patience := range []time.Duration{time.Second, 2 * time.Second} { // of who looks up
			t.Run(fmt.Sprint(name, patience), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { testOutage(t, silent, patience) })
			})
		}
	}
}

func testOutage(t *testing.T, silent bool, patience time.Duration) {
	n := newMemNet(t, link)
	d := n.nodes(60, Config{})[0]
	n.silent.Store(silent)
	before := d.peers.stats().Contacts

	n.partition(func(a, b *DHT) bool { return a != d && b != d })
	cut := time.Now()
	named := false
	for time.Since(cut) < 5*time.Minute {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err := d.ClosestPeers(ctx, []byte(time.Now().String()))
		cancel()
		var notReady *NotReadyError
		if errors.As(err, &notReady) && notReady.Offline && strings.Contains(err.Error(), "offline") {
			named = true
		}
		if !named && time.Since(cut) > time.Minute {
			t.Fatalf("after %v: %v, %+v", time.Since(cut), err, d.peers.stats())
		}
	}
	if s := d.Stats(); s.Contacts != before || !s.Offline {
		t.Errorf("%d of %d contacts are left, offline: %v", s.Contacts, before, s.Offline)
	}

	n.partition(nil)
	healed := time.Now()
	if _, err := d.ClosestPeers(t.Context(), []byte("key")); err != nil || time.Since(healed) > 3*time.Second {
		t.Errorf("the first lookup ended after %v: %v", time.Since(healed), err)
	}
	time.Sleep(3*time.Second - time.Since(healed))
	if s := d.Stats(); s.Suspects > 0 || s.Contacts < before || s.Offline {
		t.Errorf("after 3s there are %d of %d contacts, %d suspects, offline: %v", s.Contacts, before, s.Suspects, s.Offline)
	}
}

// A contact that misses is not handed to others, and is again when it answers.
func TestSuspectIsNotHandedOut(t *testing.T) { synctest.Test(t, testSuspectIsNotHandedOut) }

func testSuspectIsNotHandedOut(t *testing.T) {
	n := newTestNet(t)
	d, puppets := crowd(t, n, 3)
	c := routing.ContactOf(puppets[0].ID())
	d.peers.failed(c)
	if knows(d, puppets[0]) || !d.peers.has(c) || d.Stats().Suspects != 1 {
		t.Errorf("handed out: %v, %+v", knows(d, puppets[0]), d.peers.stats())
	}
	if seeds := d.peers.seeds(c.Key, 3); len(seeds) != 3 || seeds[2].ID != c.ID || !seeds[2].Doubtful {
		t.Errorf("a lookup starts from %v, want the suspect last", seeds)
	}
	time.Sleep(15 * time.Second)
	if !knows(d, puppets[0]) {
		t.Error("it was probed, and is still suspect")
	}
}

// A small network is back within 3s of the end of a silent outage.
func TestSmallOutage(t *testing.T) {
	for _, size := range []int{2, 3, 4, 8} {
		for _, extra := range []time.Duration{0, 3 * time.Second, 7 * time.Second} {
			t.Run(fmt.Sprint(size, extra), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := newMemNet(t, link)
					d := n.nodes(size, Config{})[0]
					n.silent.Store(true)
					n.partition(func(a, b *DHT) bool { return a != d && b != d })
					cut := time.Now()
					for time.Since(cut) < 5*time.Minute+extra {
						ctx, cancel := context.WithTimeout(t.Context(), time.Second)
						_, _ = d.ClosestPeers(ctx, []byte(time.Now().String()))
						cancel()
					}
					n.partition(nil)
					healed := time.Now()
					if _, err := d.ClosestPeers(t.Context(), []byte("key")); err != nil { // it waits for that
						t.Error(err)
					}
					if spent := time.Since(healed); spent > 3*time.Second {
						t.Errorf("%d nodes: the first success came %v after the outage", size, spent)
					}
				})
			})
		}
	}
}

// A suspect stays doubtful for lookups as long as it is one.
func TestSuspectStaysDoubtful(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTestNet(t)
		d := n.inert(Config{})
		c := routing.ContactOf("contact")
		d.peers.seen(routing.ContactOf("other"))
		for range 10 {
			d.peers.seen(c)
		}
		for range 4 { // later and later probes, as checkDue makes them
			d.peers.failed(c)
		}
		time.Sleep(routing.DoubtAge + time.Second)
		named := []routing.Contact{c}
		d.judge(named)
		if s := d.Stats(); s.Suspects == 1 && !named[0].Doubtful {
			t.Errorf("%d suspects, and it is not doubtful when somebody names it", s.Suspects)
		}
	})
}
