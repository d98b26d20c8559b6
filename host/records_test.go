package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A put with a quorum returns when that is reached; the rest goes on without the
// caller, and its receipt can be awaited.
func TestPutQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTestNet(t)
		d, puppets := crowd(t, n, 4)
		for i, p := range puppets {
			p.will(func(s network.Stream, req protocol.Request) {
				if _, ok := req.(protocol.PutValue); ok {
					time.Sleep(time.Duration(i) * time.Second)
					if i == 3 {
						resets(s, req)
						return
					}
				}
				gives("1")(s, req)
			})
		}
		ctx, cancel := context.WithCancel(t.Context())
		var receipt Receipt
		var err error
		waited := took(func() { receipt, err = d.Put(ctx, "/v/key", []byte("1"), Quorum(2)) })
		cancel()
		if err != nil || len(receipt.Stored) != 2 || receipt.Wanted != 4 || waited > 1500*time.Millisecond {
			t.Fatalf("Put() = %+v, %v after %v; want it stored by 2 after a second", receipt, err, waited)
		}
		impatient, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer stop()
		if early, err := receipt.Wait(impatient); !errors.Is(err, context.DeadlineExceeded) || len(early.Stored) != 2 {
			t.Errorf("Wait() with less time = %+v, %v", early, err)
		}
		all, err := receipt.Wait(t.Context())
		if err != nil || len(all.Stored) != 3 || len(all.Failed) != 1 {
			t.Errorf("Wait() = %+v, %v; want it stored by 3, refused by 1", all, err)
		}
		if again, err := all.Wait(t.Context()); err != nil || len(again.Stored) != 3 {
			t.Errorf("Wait() again = %+v, %v", again, err)
		}
		receipt, err = d.Put(t.Context(), "/v/key", []byte("1"), Quorum(4))
		var failed *PutError
		if !errors.As(err, &failed) || len(receipt.Stored) != 3 {
			t.Errorf("Put() with a quorum that is not reached = %+v, %v", receipt, err)
		}
	})
}

// A key of a Reducer holds what all have put: every node gets all of it, and those
// who want one value get the best. Each value expires by itself.
func TestSetOfValues(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, link)
		cfg := Config{
			Validators: map[string]record.Validator{"s": authors{}}, K: 4,
			RecordAge: 10 * time.Hour, RepublishInterval: 4 * time.Hour, RefreshInterval: time.Hour,
		}
		nodes := n.nodes(12, cfg)
		for i, values := range [][]string{{"a1", "b1"}, {"c1"}, {"a3", "a2"}} {
			for _, value := range values {
				_, err := nodes[i].Put(t.Context(), "/s/key", []byte(value))
				if (value == "a2") != errors.Is(err, ErrOldRecord) || value != "a2" && err != nil {
					t.Fatalf("Put(%q) = %v", value, err)
				}
			}
		}
		want := func(when string, wanted ...string) {
			t.Helper()
			for i, d := range nodes {
				got, err := d.GetValues(t.Context(), "/s/key")
				if err != nil {
					t.Fatalf("%s: node %d: %v", when, i, err)
				}
				if string(got[0]) != wanted[0] {
					t.Errorf("%s: the best one is %q, want %q", when, got[0], wanted[0])
				}
				if one, err := d.GetValue(t.Context(), "/s/key"); err != nil || !bytes.Equal(one, got[0]) {
					t.Errorf("%s: GetValue() = %q, %v", when, one, err)
				}
				slices.SortFunc(got, bytes.Compare)
				slices.Sort(wanted[1:])
				sorted := slices.Sorted(slices.Values(wanted))
				if fmt.Sprintf("%s", got) != fmt.Sprint(sorted) {
					t.Errorf("%s: node %d: %s, want %s", when, i, got, sorted)
				}
			}
		}
		want("at first", "a3", "b1", "c1")
		time.Sleep(24 * time.Hour)
		want("after a day in which their publishers published all again", "a3", "b1", "c1")
		if err := nodes[1].StopPublishing(t.Context(), "/s/key"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(11 * time.Hour)
		want("when one has stopped", "a3", "b1")
	})
}

// The addresses of an announcement are told for a day, and the provider for longer:
// whoever wants it then looks it up.
func TestAddressesAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTestNet(t)
		d := n.inert(Config{})
		_, provider := keyPair(t, crypto.Ed25519)
		content := []byte(testCID("content").Hash())
		add := protocol.AddProvider{Key: content, Providers: []protocol.Peer{{ID: provider, Addrs: addrOf(1)}}}
		start := time.Now()
		if err := tell(t, d, provider, add); err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			after time.Duration
			addrs int
			found int
		}{{0, 1, 1}, {23 * time.Hour, 1, 1}, {25 * time.Hour, 0, 1}, {47 * time.Hour, 0, 1}, {48 * time.Hour, 0, 0}} {
			time.Sleep(tt.after - time.Since(start))
			got := answered(t, d, aPeer, scopePrivate, protocol.GetProviders{Key: content}).Providers
			if len(got) != tt.found || tt.found > 0 && len(got[0].Addrs) != tt.addrs {
				t.Errorf("after %v: %v, want %d with %d addresses", tt.after, got, tt.found, tt.addrs)
			}
		}
	})
}

// A key with more providers than an answer holds has others in each answer, and all
// of them fit.
func TestManyProviders(t *testing.T) {
	n := newTestNet(t)
	d := n.inert(Config{MaxBytesPerPeer: -1})
	content := []byte(testCID("content").Hash())
	const providers = 1000
	for i := range providers + 10 {
		add := protocol.AddProvider{Key: content, Providers: []protocol.Peer{{ID: idOf(i), Addrs: addrOf(i)}}}
		if err := tell(t, d, idOf(i), add); err != nil {
			t.Fatal(err)
		}
	}
	if _, held := d.store.Len(); held != providers {
		t.Errorf("%d announcements are held, want %d", held, providers)
	}
	seen := make(map[peer.ID]bool)
	for range 30 {
		got := answered(t, d, aPeer, scopePrivate, protocol.GetProviders{Key: content}).Providers
		if len(got) != maxServedProviders {
			t.Fatalf("%d providers in an answer", len(got))
		}
		for _, p := range got {
			seen[p.ID] = true
		}
	}
	if len(seen) < providers*9/10 {
		t.Errorf("30 answers name %d providers", len(seen))
	}
	for i := range 10 {
		if seen[idOf(i)] {
			t.Errorf("provider %d, which announced itself first, was not dropped for later ones", i)
		}
	}
}

// A full store drops what is farthest from the node for what is nearer, and refuses
// what is farther still.
func TestFullStoreSheds(t *testing.T) {
	n := newTestNet(t)
	const room = 50
	d := n.inert(Config{Store: store.NewMemory(store.Limits{Values: room, Providers: room}), RecordAge: time.Hour})
	type held struct {
		distance routing.Key
		stored   bool
	}
	self := routing.KeyOf([]byte(d.self))
	var all []held
	refused := 0
	for i := range 4 * room {
		key := []byte(recordKey(i))
		err := tell(t, d, "a peer", protocol.PutValue{Record: protocol.Record{Key: key, Value: []byte("1")}})
		if err != nil {
			if refused++; codeOf(err) != codeFull {
				t.Fatal(err)
			}
		}
		all = append(all, held{distance: routing.KeyOf(key)})
	}
	values, err := d.store.Values(t.Context(), time.Now(), nil, 0)
	if err != nil || len(values) != room {
		t.Fatalf("%d values are held, %v", len(values), err)
	}
	for _, v := range values {
		i := slices.IndexFunc(all, func(h held) bool { return h.distance == routing.KeyOf(v.Key) })
		all[i].stored = true
	}
	slices.SortFunc(all, func(a, b held) int { return self.Compare(a.distance, b.distance) })
	for i, h := range all {
		if h.stored != (i < room) {
			t.Errorf("the record that is number %d in distance: stored %v", i, h.stored)
		}
	}
	if got := d.Stats().Shed; refused == 0 || got != uint64(3*room-refused) {
		t.Errorf("%d were dropped and %d refused, of %d too many", got, refused, 3*room)
	}
	for i := range 2 * room {
		content := []byte(testCID(strconv.Itoa(i)).Hash())
		err := tell(t, d, "a peer", protocol.AddProvider{Key: content, Providers: []protocol.Peer{{ID: "a peer", Addrs: addrOf(1)}}})
		if err != nil && codeOf(err) != codeFull && !errors.Is(err, errBadProvider) {
			t.Fatal(err)
		}
	}
}

// An announcement that was passed on is as good as one of the provider itself, until
// there is a later one; and it does not make an older one come back.
func TestPassedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTestNet(t)
		d := n.inert(Config{})
		private, provider := keyPair(t, crypto.Ed25519)
		content := []byte(testCID("content").Hash())
		add := func(port int) protocol.AddProvider {
			p := proof{network: d.protocol, key: content, published: time.Now()}
			return protocol.AddProvider{
				Key: content, Providers: []protocol.Peer{{ID: provider, Addrs: addrOf(port)}}, Proof: p.sign(private),
			}
		}
		first := add(1)
		time.Sleep(time.Hour)
		second := add(2)
		time.Sleep(time.Hour)
		want := func(step string, port int, left time.Duration) {
			t.Helper()
			got := answered(t, d, aPeer, scopePrivate, protocol.GetProviders{Key: content}).Providers
			if len(got) != 1 || len(got[0].Addrs) != 1 || !got[0].Addrs[0].Equal(addrOf(port)[0]) {
				t.Errorf("%s: %v, want port %d", step, got, port)
			}
			p, err := d.store.Provider(t.Context(), content, string(provider), time.Now())
			if err != nil || time.Until(p.Expires).Round(time.Second) != left {
				t.Errorf("%s: it lives for %v, %v; want %v", step, time.Until(p.Expires), err, left)
			}
		}
		for _, step := range []struct {
			name string
			from peer.ID
			give protocol.AddProvider
			port int
			left time.Duration
		}{
			{"the older one, passed on", "a holder", first, 1, 46 * time.Hour},
			{"the newer one, passed on", "a holder", second, 2, 47 * time.Hour},
			{"the older one again", "another", first, 2, 47 * time.Hour},
			{"by the provider", provider, add(3), 3, 48 * time.Hour},
			{"the newer one again", "another", second, 3, 48 * time.Hour},
		} {
			if err := tell(t, d, step.from, step.give); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
			want(step.name, step.port, step.left)
		}
	})
}
