package network_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
)

// keepAlives are when the ends of a connection notice an outage: at once, as a host
// whose interface is gone; after the idle timeout of QUIC; never.
var keepAlives = map[string]time.Duration{"seen": time.Nanosecond, "late": 30 * time.Second, "silent": -1}

// An outage of five minutes under constant lookups costs no contact, whether it is
// seen or silent: Ready names it, the first lookup after it succeeds within 3s, and
// within 3s more no contact is suspect any more.
func TestOutage(t *testing.T) {
	for name, keepAlive := range keepAlives {
		for _, patience := range []time.Duration{time.Second, 2 * time.Second} { // of lookups
			t.Run(fmt.Sprint(name, patience), func(t *testing.T) {
				bubble(t, func(t *testing.T) { testOutage(t, keepAlive, patience) })
			})
		}
	}
}

func testOutage(t *testing.T, keepAlive, patience time.Duration) {
	n := kadtest.New(t, kadtest.Config{Latency: link, KeepAlive: keepAlive})
	d := joined(n, 60, kad.Config{})[0]
	before := d.DHT.Stats().Contacts

	n.Unplug(d)
	cut := time.Now()
	named := false
	for time.Since(cut) < 5*time.Minute {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		_, err := d.DHT.ClosestPeers(ctx, []byte(time.Now().String()))
		cancel()
		var notReady *kad.NotReadyError
		if errors.As(err, &notReady) && notReady.Offline && strings.Contains(err.Error(), "offline") {
			named = true
		}
		if !named && time.Since(cut) > time.Minute {
			t.Fatalf("after %v: %v, %+v", time.Since(cut), err, d.DHT.Stats())
		}
	}
	if s := d.DHT.Stats(); s.Contacts != before || !s.Offline {
		t.Errorf("%d of %d contacts are left, offline: %v", s.Contacts, before, s.Offline)
	}

	n.Heal()
	healed := time.Now()
	if _, err := d.DHT.ClosestPeers(t.Context(), []byte("key")); err != nil || time.Since(healed) > 3*time.Second {
		t.Errorf("the first lookup ended after %v: %v", time.Since(healed), err)
	}
	time.Sleep(3*time.Second - time.Since(healed))
	if s := d.DHT.Stats(); s.Suspects > 0 || s.Contacts < before || s.Offline {
		t.Errorf("after 3s there are %d of %d contacts, %d suspects, offline: %v", s.Contacts, before, s.Suspects, s.Offline)
	}
}

// A small network is back within 3s of the end of a silent outage.
func TestSmallOutage(t *testing.T) {
	for _, size := range []int{2, 3, 4, 8} {
		for _, extra := range []time.Duration{0, 3 * time.Second, 7 * time.Second} {
			t.Run(fmt.Sprint(size, extra), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					n := kadtest.New(t, kadtest.Config{Latency: link, KeepAlive: -1})
					d := joined(n, size, kad.Config{})[0]
					n.Unplug(d)
					cut := time.Now()
					for time.Since(cut) < 5*time.Minute+extra {
						ctx, cancel := context.WithTimeout(t.Context(), time.Second)
						_, _ = d.DHT.ClosestPeers(ctx, []byte(time.Now().String()))
						cancel()
					}
					n.Heal()
					healed := time.Now()
					if _, err := d.DHT.ClosestPeers(t.Context(), []byte("key")); err != nil { // it waits for that
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
