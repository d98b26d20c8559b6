package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/reach"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// one publishes one of many items.
func (n *node) one(ctx context.Context, item Item) (result Published) {
	for r := range n.Many(ctx, slices.Values([]Item{item})) {
		result = r
	}
	return result
}

// The only server of a network publishes an announcement by holding it, and says so; where it has
// no room, or cannot read, it says that.
func TestAnnounceAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 0, 22*time.Hour)
		n.table.WantsAsker(calltest.ID(1)) // a client
		n.table.FoundNone()
		time.Sleep(time.Minute)
		n.table.FoundNone()
		for _, full := range []error{nil, store.ErrFull, syscall.EIO} {
			if n.store.add.set(full); errors.Is(full, syscall.EIO) {
				n.store.add.set(nil)
				n.store.provider.set(full)
			}
			one, err := n.Announce(t.Context(), time.Now(), fmt.Append(nil, "one", full), 0)
			many := n.one(t.Context(), Item{Kind: store.KindProvider, Key: fmt.Append(nil, "many", full)})
			if !errors.Is(err, full) || !errors.Is(many.Err, full) {
				t.Errorf("Announce() = %v, Many() = %v; want %v", err, many.Err, full)
			}
			want := []peer.ID{n.cfg.Self}
			if full != nil {
				want = nil
			}
			if !slices.Equal(one.Stored, want) || !slices.Equal(many.Receipt.Stored, want) {
				t.Errorf("stored by %v and %v, want %v", one.Stored, many.Receipt.Stored, want)
			}
		}
	})
}

// A store that cannot say for a moment what was published loses none of it.
func TestPublishedIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 3, 22*time.Hour)
		put := func(value string) {
			t.Helper()
			if _, err := n.Put(t.Context(), time.Now(), []byte("/s/key"), []byte(value), 0, 0); err != nil {
				t.Fatal(err)
			}
		}
		put("a1")
		n.store.read.set(syscall.EIO)
		put("b1")
		n.store.read.set(nil)
		pub, err := n.store.Publication(t.Context(), store.KindValue, []byte("/s/key"))
		if err != nil || !strings.Contains(string(pub.Data), "a1") {
			t.Errorf("%q is published again, %v; want a1", pub.Data, err)
		}
		put("c1")
		pub, err = n.store.Publication(t.Context(), store.KindValue, []byte("/s/key"))
		if err != nil || !strings.Contains(string(pub.Data), "a1") || !strings.Contains(string(pub.Data), "c1") {
			t.Errorf("%q is published again, %v; want a1 and c1", pub.Data, err)
		}
	})
}

// Where records never expire, what is put has no lifetime.
func TestPutForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 3, 22*time.Hour)
		n.cfg.RecordAge = -1
		if _, err := n.Put(t.Context(), time.Now(), []byte("/v/key"), []byte("1"), 0, 0); err != nil {
			t.Fatal(err)
		}
		for _, req := range n.writes() {
			if ttl := req.(protocol.PutValue).Record.TTL; ttl != 0 {
				t.Errorf("put for %v", ttl)
			}
		}
	})
}

// Many reads ahead by no more items, and bytes, than it keeps in memory.
func TestManyReadsAhead(t *testing.T) {
	for size, want := range map[int]int{1 << 20: manyBytes >> 20, 1: manyBatch} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, 1, 22*time.Hour)
			bad, read := make([]byte, size), 0 // no digit
			for range n.Many(t.Context(), func(yield func(Item) bool) {
				for read = range manyBatch + 100 {
					if !yield(Item{Kind: store.KindValue, Key: []byte("/v/key"), Value: bad}) {
						return
					}
				}
			}) {
				break
			}
			if read++; read > want {
				t.Errorf("%d items of %d bytes are read before the first is published, want %d", read, size, want)
			}
		})
	}
}

// In a network of fewer than k peers, each of many items is sent once to each of them, also to
// one that has not answered the lookup, and its receipt has the closest peer first.
func TestManyInSmallNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 4, 22*time.Hour)
		n.net.Add(n.peers[0], func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
			if _, ok := req.(protocol.FindNode); ok {
				return calltest.Silent(ctx, req)
			}
			return protocol.Response{}, nil
		})
		for r := range n.Many(t.Context(), slices.Values(items(20, 0)[:20])) {
			want := slices.Clone(n.peers)
			key := routing.KeyOf(r.Key)
			slices.SortFunc(want, func(a, b peer.ID) int { return key.Compare(routing.KeyOf([]byte(a)), routing.KeyOf([]byte(b))) })
			if r.Err != nil || !slices.Equal(r.Receipt.Stored, want) {
				t.Errorf("%q is stored by %v, want %v; %v", r.Key, r.Receipt.Stored, want, r.Err)
			}
		}
		synctest.Wait()
		if got := len(n.writes()); got != 20*len(n.peers) {
			t.Errorf("%d announcements, want %d", got, 20*len(n.peers))
		}
	})
}

// What the store cannot keep is published, and the caller is told that it is not published again.
// Where nothing is published again, nothing is kept.
func TestUnkept(t *testing.T) {
	errDisk := errors.New("disk")
	for _, tt := range []struct {
		interval  time.Duration
		fails     error
		want      error
		published int
	}{{22 * time.Hour, errDisk, errDisk, 0}, {22 * time.Hour, nil, nil, 1}, {-1, errDisk, nil, 0}, {-1, nil, nil, 0}} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, 3, tt.interval)
			n.store.publish.set(tt.fails)
			r := n.one(t.Context(), Item{Kind: store.KindValue, Key: []byte("/v/key"), Value: []byte("1")})
			if !errors.Is(r.Err, tt.want) || len(r.Receipt.Stored) != 3 || n.Len() != tt.published {
				t.Errorf("%v, %v: %v, stored by %d, %d publications", tt.interval, tt.fails, r.Err, len(r.Receipt.Stored), n.Len())
			}
		})
	}
}

// What is being published again when the node is closed is due at its next start, and not later.
func TestClosedDuringRepublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 3, 22*time.Hour)
		if _, err := n.Announce(t.Context(), time.Now(), []byte("key"), 0); err != nil {
			t.Fatal(err)
		}
		before, err := n.cfg.Store.Publication(t.Context(), store.KindProvider, []byte("key"))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(before.Next))
		n.will(n.toWrites(calltest.Silent))
		due, _ := n.agenda.due(time.Now(), 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := n.republishAll(ctx, time.Now(), due); len(due) != 1 || len(n.writes()) == 0 {
			t.Errorf("%d are due, %v", len(due), err)
		}
		if after, err := n.cfg.Store.Publication(t.Context(), store.KindProvider, []byte("key")); err != nil || !after.Next.Equal(before.Next) {
			t.Errorf("due at %v, and at %v after it was given up, %v", before.Next, after.Next, err)
		}
	})
}

// What is due soon is published with what is due now.
func TestRepublishTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 3, 50*time.Hour)
		now := time.Now()
		for i, after := range []time.Duration{time.Hour, time.Hour + 50*time.Minute, 3 * time.Hour} {
			key := fmt.Append(nil, i)
			if _, err := n.Announce(t.Context(), now, key, 0); err != nil {
				t.Fatal(err)
			}
			n.agenda.add(publicationID{store.KindProvider, string(key)}, now.Add(after))
		}
		n.run()
		time.Sleep(time.Hour + time.Minute)
		if got := n.Republished(); got != 2 {
			t.Errorf("%d are published again, want what is due within an hour, too", got)
		}
	})
}

// Values that are due go to each peer together.
func TestRepublishValuesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const values = 200
		n := newNode(t, 20, 22*time.Hour)
		n.net.TakeTogether(values, true)
		for range n.Many(t.Context(), slices.Values(items(0, values))) {
		}
		now := time.Now()
		for i := range values {
			n.agenda.add(publicationID{store.KindValue, fmt.Sprintf("/v/%d", i)}, now.Add(time.Hour))
		}
		n.net.Asked()
		n.run()
		time.Sleep(time.Hour + time.Minute)
		type burst struct {
			at time.Time
			to peer.ID
		}
		writes, bursts := 0, make(map[burst]bool)
		for _, a := range n.net.Asked() {
			if _, ok := a.Req.(protocol.PutValue); ok {
				writes++
				bursts[burst{a.At, a.To}] = true
			}
		}
		if got := n.Republished(); got != values || writes != values*testK || len(bursts) > 2*len(n.peers) {
			t.Errorf("%d values are published again, with %d writes that are sent in %d bursts; want %d, %d, and at most 2 to each of %d peers",
				got, writes, len(bursts), values, values*testK, len(n.peers))
		}
	})
}

// A publication that the store has lost is not under way for ever.
func TestRepublishLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 3, 22*time.Hour)
		n.run()
		_, _ = n.Announce(t.Context(), time.Now(), []byte("key"), 0)
		if err := n.store.Unpublish(t.Context(), store.KindProvider, []byte("key")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(22*time.Hour + time.Minute)
		if s := n.Status(); s.UnderWay != 0 || n.Len() != 0 {
			t.Errorf("%d are under way, of %d; want none", s.UnderWay, n.Len())
		}
	})
}

// A publication that the store cannot read when it is due is tried again.
func TestRepublishUnread(t *testing.T) {
	for _, key := range []string{"/v/key", "key"} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, 3, 22*time.Hour)
			n.run()
			if key == "key" {
				_, _ = n.Announce(t.Context(), time.Now(), []byte(key), 0)
			} else {
				_, _ = n.Put(t.Context(), time.Now(), []byte(key), []byte("1"), 0, 0)
			}
			n.store.read.set(errors.New("disk"))
			time.Sleep(22 * time.Hour)
			n.store.read.set(nil)
			if got := n.Republished(); got != 0 {
				t.Errorf("%q is published again %d times, unread", key, got)
			}
			time.Sleep(republishRetry * 11 / 10)
			kept := 0
			for _, kind := range []store.Kind{0, store.KindValue, store.KindProvider} { // 0: of none
				pubs, _ := n.cfg.Store.Publications(t.Context(), kind, nil, 0)
				kept += len(pubs)
			}
			if got := n.Republished(); got != 1 || kept != 1 || n.Len() != 1 {
				t.Errorf("%q is published again %d times; %d publications, the store has %d", key, got, n.Len(), kept)
			}
		})
	}
}

// A value is in doubt, although a copy of it, or another value that is equally good, has arrived
// just now.
func TestArrivedIsNotPut(t *testing.T) {
	for _, arrives := range []string{"1b", "1a"} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, 3, 22*time.Hour)
			n.run()
			key := []byte("/v/key")
			if _, err := n.Put(t.Context(), time.Now(), key, []byte("1b"), 0, 0); err != nil {
				t.Fatal(err)
			}
			pub, err := n.cfg.Store.Publication(t.Context(), store.KindValue, key)
			if err != nil {
				t.Fatal(err)
			}
			left := n.cfg.RecordAge - time.Until(pub.Next)
			time.Sleep(time.Until(pub.Next.Add(-time.Minute)))
			others := calltest.Knows(testK, n.peers...)
			n.will(func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
				resp, err := others(ctx, req)
				if get, ok := req.(protocol.GetValue); ok {
					resp.Record = &protocol.Record{Key: get.Key, Value: []byte("1a"), TTL: n.cfg.RecordAge}
				}
				return resp, err
			})
			ttl := map[string]time.Duration{"1b": left, "1a": n.cfg.RecordAge}[arrives]
			copied := protocol.Record{Key: key, Value: []byte(arrives), TTL: ttl, Publisher: []byte("its publisher")}
			if err := n.holder.Store(t.Context(), time.Now(), "a peer", copied); err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * time.Minute)
			if n.Len() != 0 || n.Republished() != 0 {
				t.Errorf("%q arrives: %d publications, published again %d times, though holders have a value that was put later", arrives, n.Len(), n.Republished())
			}
		})
	}
}

// What was cut off for a reason that is ours, as when the host is closed meanwhile, is published
// again soon, and what a peer has refused is not.
func TestCutOffIsPublishedSoon(t *testing.T) {
	one := func(kind store.Kind) func(n *node, key string) error {
		return func(n *node, key string) error {
			return n.one(context.Background(), Item{Kind: kind, Key: []byte(key), Value: []byte("1")}).Err
		}
	}
	for name, publishing := range map[string]struct {
		kind store.Kind
		do   func(n *node, key string) error
	}{
		"put": {store.KindValue, func(n *node, key string) error {
			_, err := n.Put(context.Background(), time.Now(), []byte(key), []byte("1"), 0, 3)
			return err
		}},
		"announce": {store.KindProvider, func(n *node, key string) error {
			_, err := n.Announce(context.Background(), time.Now(), []byte(key), 0)
			return err
		}},
		"many values":        {store.KindValue, one(store.KindValue)},
		"many announcements": {store.KindProvider, one(store.KindProvider)},
	} {
		for _, closed := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, 3, 22*time.Hour)
				n.net.Add(n.peers[0], n.toWrites(calltest.After(time.Second, calltest.Fails(kaderr.ErrRefused))))
				if closed {
					time.AfterFunc(time.Second/2, n.net.CloseHost)
				}
				began := time.Now()
				_ = publishing.do(n, "/v/key") // two have stored it
				pub, err := n.cfg.Store.Publication(t.Context(), publishing.kind, []byte("/v/key"))
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if soon := pub.Next.Sub(began) <= 2*republishRetry; soon != closed {
					t.Errorf("%s, closed: %v: published again after %v", name, closed, pub.Next.Sub(began))
				}
			})
		}
	}
}

// An announcement waits for the address that a relay gives this node: without one, the peers would
// refuse it.
func TestAnnounceAwaitsAddr(t *testing.T) {
	for name, announce := range map[string]func(ctx context.Context, n *node) error{
		"alone": func(ctx context.Context, n *node) error {
			_, err := n.Announce(ctx, time.Now(), []byte("key"), 0)
			return err
		},
		"among many": func(ctx context.Context, n *node) error {
			return n.one(ctx, Item{Kind: store.KindProvider, Key: []byte("key")}).Err
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, testK, time.Hour)
			n.cfg.Reach = reach.New(reach.Config{Host: n.home, Table: n.table, PublicPeer: true, Switched: func(_, _ reach.Decision) {}})
			n.cfg.Reach.Start()
			n.cfg.Reach.SeekRelay()
			n.home.addr.Store(&roomtest.Addrs("/ip4/192.168.1.2/udp/4001/quic-v1")[0])
			emitter, err := n.home.bus.Emitter(new(event.EvtLocalAddressesUpdated))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = emitter.Close() }()
			time.AfterFunc(2*time.Second, func() {
				n.home.addr.Store(&roomtest.Addrs("/ip4/40.1.0.1/udp/4001/quic-v1/p2p/" + calltest.ID(90).String() + "/p2p-circuit")[0])
				_ = emitter.Emit(event.EvtLocalAddressesUpdated{})
			})
			began := time.Now()
			if err := announce(t.Context(), n); err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if took, writes := time.Since(began), len(n.writes()); took < 2*time.Second || writes == 0 {
				t.Errorf("%s: announced to %d peers after %v, want not before there is an address", name, writes, took)
			}
		})
	}
}
