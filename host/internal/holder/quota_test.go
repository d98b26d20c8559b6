package holder

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A peer may add so many bytes, and again as they leak away. The limit of a peer does
// not depend on others, and a write that adds nothing is always allowed.
func TestQuota(t *testing.T) {
	q := quota{limit: 1000, age: 10 * time.Hour, self: "us"}
	at := func(h int) time.Time { return time.Unix(0, 0).Add(time.Duration(h) * time.Hour) }
	steps := []struct {
		hour  int
		id    peer.ID
		bytes int
		ok    bool
	}{
		{0, "a", 1001, false},
		{0, "a", 900, true},
		{0, "a", 101, false},
		{0, "a", 100, true},
		{0, "a", 1, false},
		{0, "a", 0, true},
		{0, "a", -50, true},
		{0, "b", 1000, true},
		{1, "a", 101, false},
		{1, "a", 100, true},
		{20, "a", 1000, true},
		{20, "a", 1, false},
		{20, "us", 2000, true},
	}
	for i, s := range steps {
		_, err := q.charge(at(s.hour), s.id, s.bytes, false)
		if err == nil != s.ok || err != nil && !errors.Is(err, kaderr.ErrOverQuota) {
			t.Errorf("step %d: %v, want ok %v", i, err, s.ok)
		}
	}
	if got := q.refusals(); got != 5 {
		t.Errorf("%d refusals are counted, want 5", got)
	}
	q.refund(at(20), charge{of: [3]sharer{{"a", 1000}}, n: 1, bytes: 300, added: [3]float64{300}})
	if _, err := q.charge(at(20), "a", 300, false); err != nil {
		t.Errorf("what was refunded: %v", err)
	}
	late, _ := q.charge(at(20), "c", 1000, false)
	q.refund(at(25), late)
	if _, err := q.charge(at(25), "c", 1001, false); err == nil {
		t.Error("what has leaked away is given back, too")
	}
	off := quota{limit: -1}
	if _, err := off.charge(at(0), "a", 1<<30, false); err != nil || off.used != nil {
		t.Errorf("without a limit: %v", err)
	}
	forever := quota{limit: 10, age: -1}
	_, first := forever.charge(at(0), "a", 10, false)
	if _, second := forever.charge(at(1e6), "a", 1, false); first != nil || second == nil {
		t.Error("bytes that never expire have leaked away")
	}
}

// What was charged is given back to the peer and to its network, also when the network of the
// peer is not known any more, or is another one: its connection has ended meanwhile.
func TestQuotaGivesBackWhatItCharged(t *testing.T) {
	now := time.Unix(0, 0)
	for _, later := range []string{"", "198.51.100.0"} {
		group := "192.0.2.0"
		q := quota{limit: 1000, age: time.Hour, network: func(peer.ID) network { return network{group, group} }}
		for _, id := range []peer.ID{"a", "b"} {
			charged, err := q.charge(now, id, 1000, false)
			if err != nil {
				t.Fatal(err)
			}
			group = later
			q.refund(now, charged)
			group = "192.0.2.0"
		}
		for name, u := range q.used {
			if u.bytes != 0 {
				t.Errorf("network %q at the end: %.0f bytes of %q are charged still", later, u.bytes, name)
			}
		}
	}
}

// The peers of one network have the shares of two peers together, and those of a wider one the
// shares of four.
func TestQuotaOfNetwork(t *testing.T) {
	for groups, want := range map[int]int{1: groupShares, 100: wideShares} {
		q := quota{limit: 1000, age: time.Hour, network: func(id peer.ID) network {
			return network{fmt.Sprintf("60.1.%d.0", int(id[0])%groups), "60.1.0.0"}
		}}
		for i, id := range "abcdefgh" {
			if _, err := q.charge(time.Unix(0, 0), peer.ID(id), 1000, false); (err == nil) != (i < want) {
				t.Errorf("%d groups, %c: %v", groups, id, err)
			}
		}
	}
}

// A sender is in the networks of its connection, as contacts of the table are.
func TestNetworkOfSender(t *testing.T) {
	n := calltest.New(t)
	in := networkOf(table.New(table.Config{Host: n.Host(), Protocol: testProtocol, Tasks: tasks.NewGroup(), K: 20, Wake: func() {}}))
	id := calltest.ID(0x0102)
	if got := in(id); got != (network{}) {
		t.Errorf("a peer that is not connected is in %v", got)
	}
	n.Connect(id)
	if got, want := in(id), (network{"8.8.1.0", "8.8.0.0"}); got != want {
		t.Errorf("a peer at %v is in %v, want %v", calltest.Addr(id), got, want)
	}
}

// The peers that are remembered are bounded, and the peer that uses most is among
// them.
func TestQuotaForgets(t *testing.T) {
	q := quota{limit: 1000, age: time.Hour}
	now := time.Unix(0, 0)
	_, big := q.charge(now, "big", 1000, false)
	for i := range 3 * maxQuotaPeers {
		if _, err := q.charge(now, peer.ID(strconv.Itoa(i)), 1, false); err != nil {
			t.Fatal(err)
		}
	}
	if len(q.used) > maxQuotaPeers {
		t.Errorf("%d peers are remembered", len(q.used))
	}
	for i := range maxQuotaPeers - len(q.used) {
		q.set(now, "more "+strconv.Itoa(i), 1)
	}
	if q.set(now, "big", 1000); len(q.used) != maxQuotaPeers {
		t.Errorf("%d of %d peers are remembered after one of them has stored more", len(q.used), maxQuotaPeers)
	}
	if _, more := q.charge(now, "big", 1, false); big != nil || more == nil {
		t.Error("the peer that uses most is forgotten")
	}
}

// A peer has its share of the store, however many of its writes are under way.
func TestQuotaConcurrently(t *testing.T) {
	records, err := store.Open(t.TempDir(), store.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = records.Close() })
	h := newHolder(t, Config{MaxBytesPerPeer: 100_000, Store: records})
	value := "1" + string(make([]byte, 50_000))
	var writes sync.WaitGroup
	for i := range 32 {
		writes.Go(func() { _ = receive(t, h, "greedy", put(recordKey(i), value)) })
	}
	writes.Wait()
	if values, _ := h.Len(); values != 1 {
		t.Errorf("%d values of 50 kB are held, in a share of 100 kB", values)
	}
}

// used returns how many bytes count against a peer.
func (h *Holder) used(id peer.ID) float64 {
	return h.quota.level(time.Now(), sharer{string(id), float64(h.quota.limit)})
}

// What is held stays when one identity sends more values than a store has room for, of one
// byte each, and when many identities of one network of addresses send large ones, under keys
// that are nearer to the node.
func TestHostileStore(t *testing.T) {
	const honest = 100
	large := "1" + strings.Repeat("1", 1<<20-1)
	for _, tt := range []struct {
		name       string
		identities int
		values     int // of each
		value      string
		groups     int // in which they are, of one wider network
	}{
		{"101 000 values of one byte from one identity", 1, 101_000, "1", 1},
		{"20 values of 1 MiB each from 20 identities of one network", 20, 20, large, 1},
		{"20 values of 1 MiB each from 20 identities of one wider network", 20, 20, large, 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHolder(t, Config{MaxBytesPerPeer: 16 << 20})
			h.quota.network = func(id peer.ID) network {
				if i, err := strconv.Atoi(strings.TrimPrefix(string(id), "hostile")); err == nil {
					return network{fmt.Sprintf("192.0.%d.0", i%tt.groups), "192.0.0.0"}
				}
				return network{}
			}
			now := time.Now()
			send := func(from peer.ID, key, value string) error {
				return h.Store(t.Context(), now, from, protocol.Record{Key: []byte(key), Value: []byte(value)})
			}
			next := 0
			key := func(near bool) string { // in the half of the key space in which the node is, or in the other one
				for next++; (routing.KeyOf([]byte(recordKey(next))).CPL(h.cfg.Table.Self()) > 0) != near; next++ {
				}
				return recordKey(next)
			}
			keys := make([]string, honest)
			for i := range keys {
				keys[i] = key(false)
				if err := send(calltest.ID(i), keys[i], "1"); err != nil {
					t.Fatal(err)
				}
			}
			taken := 0
			for i := range tt.identities * tt.values {
				if send(peer.ID(fmt.Sprint("hostile", i%tt.identities)), key(true), tt.value) == nil {
					taken++
				}
			}
			kept := 0
			for _, key := range keys {
				if held(t, h, key) != "" {
					kept++
				}
			}
			t.Logf("%d of %d are taken, and %d of %d honest values kept", taken, tt.identities*tt.values, kept, honest)
			if kept < 95 {
				t.Errorf("%d of %d honest values are kept", kept, honest)
			}
		})
	}
}

// A peer gets its share of the store and no more, with any number of keys. Another peer
// has a share of its own, and the first may store again what it has stored.
func TestManyKeysFromOnePeer(t *testing.T) {
	const keys = 15_000
	h := newHolder(t, Config{MaxBytesPerPeer: 1 << 20})
	value := append([]byte("1"), make([]byte, 99)...)
	putAs := func(from peer.ID, key string) error {
		return h.Store(t.Context(), time.Now(), from, protocol.Record{Key: []byte(key), Value: value})
	}
	stored := 0
	for i := range keys {
		switch err := putAs("greedy", recordKey(i)); {
		case err == nil:
			stored++
		case !errors.Is(err, kaderr.ErrOverQuota):
			t.Fatal(err)
		}
	}
	if bytes := stored * (len(value) + valueCost); bytes > 1<<20 || bytes < 1<<19 {
		t.Errorf("%d bytes of %d keys were stored", bytes, stored)
	}
	if err := putAs("modest", "/v/other"); err != nil {
		t.Errorf("another peer: %v", err)
	}
	if err := putAs("greedy", recordKey(0)); err != nil {
		t.Errorf("the same record again: %v", err)
	}
}

// One peer may announce more than its share while the store is half empty, and no more after
// that. The announcements of others have the other half, and their shares.
func TestManyAnnouncementsFromOnePeer(t *testing.T) {
	const limit = 1 << 20
	h := newHolder(t, Config{MaxBytesPerPeer: limit / 16})
	h.cfg.Store = store.NewMemory(store.Limits{ProviderBytes: limit})
	announce := func(from, i int) error {
		add := protocol.AddProvider{Key: fmt.Appendf(nil, "%032d", i)}
		add.Providers = []protocol.Peer{{ID: calltest.ID(from), Addrs: addrOf(from)}}
		return receive(t, h, calltest.ID(from), add)
	}
	count := func(from, first, count int) (stored int) {
		for i := range count {
			switch err := announce(from, first+i); {
			case err == nil:
				stored++
			case !errors.Is(err, kaderr.ErrOverQuota):
				t.Fatal(err)
			}
		}
		return stored
	}
	stored := count(1, 0, 10_000)
	filled := h.cfg.Store.(store.Gauge).Filled(store.KindProvider)
	t.Logf("%d of 10 000 announcements of one peer are stored, which fill %.3f of the store", stored, filled)
	if filled < roomyUntil || filled > roomyUntil+0.01 {
		t.Errorf("they fill %.3f of the store, want %v", filled, roomyUntil)
	}
	if again := count(1, 0, stored); again < stored {
		t.Errorf("%d of %d are taken again", again, stored)
	}
	others := 0
	for i := range 6 {
		others += count(2+i, 20_000+10_000*i, 1000)
	}
	t.Logf("%d announcements of 6 other peers are stored after that", others)
	if want := stored * 6 / 8; others < want*9/10 {
		t.Errorf("6 other peers have %d announcements, want their shares, %d", others, want)
	}
}

// A write that is refused in vain counts against the quota of its sender, although it
// is not held. A write for which no entry made room does not count.
func TestQuotaOfRefusedWrites(t *testing.T) {
	far, near := "", "" // the entry of far is dropped for near
	h := newHolder(t, Config{})
	for i := range 100 {
		key := recordKey(i)
		if far == "" || closer(h, far, key) {
			far = key
		}
		if near == "" || closer(h, key, near) {
			near = key
		}
	}
	large := protocol.AddProvider{Key: []byte(near), Providers: []protocol.Peer{{ID: calltest.ID(2), Addrs: addrOf(2)}}}
	small := large
	small.Key = []byte(far)
	small.Providers = []protocol.Peer{{ID: calltest.ID(1), Addrs: addrOf(1)}}
	for range 20 {
		large.Providers[0].Addrs = append(large.Providers[0].Addrs, addrOf(len(large.Providers[0].Addrs))...)
	}
	for _, tt := range []struct {
		name         string
		limits       store.Limits
		small, large protocol.Request
		charged      bool
	}{
		{"value in vain", store.Limits{ValueBytes: 5_000}, put(far, "1"), put(near, "1"+string(make([]byte, 10_000))), true},
		{"value that none made room for", store.Limits{ValueBytes: 1}, put(far, "1"), put(near, "1"+string(make([]byte, 10_000))), false},
		{"announcement in vain", store.Limits{ProviderBytes: 170}, small, large, true},
		{"announcement that none made room for", store.Limits{ProviderBytes: 1}, small, large, false},
	} {
		h.cfg.Store, h.quota.used = store.NewMemory(tt.limits), nil
		if err := receive(t, h, calltest.ID(1), tt.small); (err == nil) != tt.charged {
			t.Fatalf("%s: the small one: %v", tt.name, err)
		}
		if err := receive(t, h, calltest.ID(2), tt.large); !errors.Is(err, store.ErrFull) {
			t.Fatalf("%s: %v, want that the store is full", tt.name, err)
		}
		if level := h.used(calltest.ID(2)); (level > 0) != tt.charged {
			t.Errorf("%s: %v bytes count against the sender", tt.name, level)
		}
	}
}

// An overtaken store has a write made again, since a better value came first.
type overtaken struct{ store.Store }

func (o overtaken) UpdateValue(ctx context.Context, key []byte, now time.Time, f func(store.Value, bool) (store.Value, error)) error {
	return o.Store.UpdateValue(ctx, key, now, func(current store.Value, ok bool) (store.Value, error) {
		if _, err := f(current, ok); err != nil {
			return store.Value{}, err
		}
		return f(store.Value{Data: []byte("9")}, true)
	})
}

// What a write counts that is refused in the end is given back once.
func TestQuotaOfOvertakenWrites(t *testing.T) {
	h := newHolder(t, Config{})
	if err := receive(t, h, calltest.ID(1), put(recordKey(0), "1")); err != nil {
		t.Fatal(err)
	}
	before := h.used(calltest.ID(1))
	h.cfg.Store = overtaken{h.cfg.Store}
	if err := receive(t, h, calltest.ID(1), put(recordKey(1), "1")); !errors.Is(err, kaderr.ErrOldRecord) {
		t.Fatal(err)
	}
	if after := h.used(calltest.ID(1)); after < 0.99*before {
		t.Errorf("%.0f bytes count, and %.0f after a refused write", before, after)
	}
}

// A busy store replaces each value once before it takes a new one, so that it has to be
// made again.
type busy struct{ store.Store }

func (b busy) UpdateValue(ctx context.Context, key []byte, now time.Time, f func(store.Value, bool) (store.Value, error)) error {
	return b.Store.UpdateValue(ctx, key, now, func(current store.Value, ok bool) (store.Value, error) {
		if _, err := f(current, ok); err != nil {
			return store.Value{}, err
		}
		return f(current, ok)
	})
}

// A value that has to be merged again, since another one came first, counts once.
func TestQuotaOfRepeatedWrites(t *testing.T) {
	var levels []float64
	for _, s := range []store.Store{store.NewMemory(store.Limits{}), busy{store.NewMemory(store.Limits{})}} {
		h := newHolder(t, Config{})
		h.cfg.Store = s
		if err := receive(t, h, calltest.ID(1), put(recordKey(0), "1"+string(make([]byte, 1000)))); err != nil {
			t.Fatal(err)
		}
		levels = append(levels, h.used(calltest.ID(1)))
	}
	if levels[0] < 500 || levels[1] > 1.1*levels[0] {
		t.Errorf("%v bytes count, and %v when the store is busy", levels[0], levels[1])
	}
}

// closer reports whether a holder is nearer to key than to other.
func closer(h *Holder, key, other string) bool {
	return h.cfg.Table.Self().Compare(routing.KeyOf([]byte(key)), routing.KeyOf([]byte(other))) < 0
}
