package host_test

import (
	"bytes"
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/events"
	"github.com/go-kad/kad/host/kadtest"
	"github.com/go-kad/kad/host/validator"
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

// A node tells what it publishes and with how many peers, to how many peers it has told its
// addresses, and the first time that a limit is reached.
func TestRecordEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := kadtest.New(t, kadtest.Config{Seed: 1})
		cfg := kad.Config{Network: "/test", Validators: map[string]record.Validator{"v": validator.Immutable{}}, MaxBytesPerPeer: 4000}
		holder := n.Add(1, cfg)[0].DHT
		cfg.Mode = kad.ModeClient
		ctx, cancel := context.WithCancel(t.Context())
		atHolder := holder.Events(ctx)
		d := n.Add(1, cfg)[0].DHT
		all := d.Events(ctx)
		n.Settle()
		if _, err := d.Announce(t.Context(), someContent(t)); err != nil {
			t.Fatal(err)
		}
		failed := 0
		for i := range byte(8) {
			value := bytes.Repeat([]byte{i}, 500)
			if _, err := d.Put(t.Context(), validator.ImmutableKey("v", value), value); err != nil {
				failed++
			}
		}
		synctest.Wait()
		n.Settle()
		var values, refused, announcements int
		var presence events.PresenceTold
		var limit events.LimitReached
		done := make(chan struct{})
		go func() { // ends with ctx
			defer close(done)
			for e := range atHolder {
				if what, ok := e.What.(events.LimitReached); ok {
					limit = what
				}
			}
		}()
		time.AfterFunc(time.Minute, cancel)
		for e := range all {
			switch what := e.What.(type) {
			case events.Published:
				switch {
				case what.Kind == "announcement":
					announcements++
				case what.Reason != "":
					refused++
				case what.Stored == 1 && what.Wanted == 1:
					values++
				}
			case events.PresenceTold:
				presence = what
			}
		}
		<-done
		if failed == 0 || refused != failed || values != 8-failed || announcements == 0 {
			t.Errorf("%d values, %d refused of %d, %d announcements", values, refused, failed, announcements)
		}
		if presence.Holders != 1 || presence.Addrs == 0 {
			t.Errorf("presence: %+v; want one holder", presence)
		}
		if limit.Limit != "share" || limit.Times == 0 {
			t.Errorf("limit: %+v; want the share of a peer", limit)
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
