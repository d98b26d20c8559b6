package host_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/events"
	"github.com/go-kad/kad/host/kadtest"
)

// The events of a node tell that it has joined, which contacts it has, and a lookup from
// its beginning to its end, in which each peer that answers was asked.
func TestEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := kadtest.New(t, kadtest.Config{Seed: 1, Latency: 10 * time.Millisecond})
		n.Add(10, kad.Config{Network: "/test"})
		n.Settle()
		d := n.Add(1, kad.Config{Network: "/test"})[0].DHT
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		all := d.Events(ctx)
		n.Settle()
		if _, err := d.ClosestPeers(t.Context(), []byte("some key")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		enough := time.Now().Add(time.Second)
		seen := make(map[string]int)
		asked := make(map[uint64][]string)
		for e := range all {
			seen[e.What.Type()]++
			if time.Now().After(enough) && seen["lookup_began"] == seen["lookup_ended"] {
				cancel() // between two lookups, which go on
			}
			switch what := e.What.(type) {
			case events.Joined:
				if len(what.Through) == 0 || what.Contacts == 0 {
					t.Errorf("joined: %+v", what)
				}
			case events.LookupAsked:
				asked[what.Lookup] = append(asked[what.Lookup], what.Peer.String())
			case events.LookupAnswered:
				if !slices.Contains(asked[what.Lookup], what.Peer.String()) {
					t.Errorf("lookup %d: %s answered, and was not asked", what.Lookup, what.Peer)
				}
			}
		}
		for _, want := range []string{"joined", "contact_added", "lookup_began", "lookup_asked", "lookup_answered", "lookup_ended"} {
			if seen[want] == 0 {
				t.Errorf("no %s in %v", want, seen)
			}
		}
		if seen["lookup_began"] != seen["lookup_ended"] {
			t.Errorf("events: %v; want as many ends as beginnings", seen)
		}
	})
}

// A node whose bootstrap peer is dead says so at once, and then less and less often.
func TestJoinFailedEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := kadtest.New(t, kadtest.Config{Seed: 1})
		dead := n.Add(1, kad.Config{Network: "/test"})[0]
		info := dead.Info()
		n.Kill(dead)
		host := n.AddHosts(1)[0].Host
		d, err := kad.New(host, kad.Config{Network: "/test", Bootstrap: []peer.AddrInfo{info}})
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		var failed []events.JoinFailed
		for e := range d.Events(ctx) {
			if what, ok := e.What.(events.JoinFailed); ok {
				failed = append(failed, what)
			}
		}
		if len(failed) < 2 || failed[0].Attempt != 1 || failed[0].Bootstrap != 1 || failed[0].Again >= failed[len(failed)-1].Again {
			t.Errorf("failed: %+v", failed)
		}
	})
}
