package holder

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A full store drops the entry that is farthest from the node for a nearer one, and
// refuses a farther one. For a record of ours, it is no error to be full.
func TestFullStoreSheds(t *testing.T) {
	const room = 50
	h := newHolder(t, Config{Store: store.NewMemory(store.Limits{Values: room, Providers: room})})
	var all []string
	refused := 0
	for i := range 4 * room {
		all = append(all, recordKey(i))
		if err := receive(t, h, "a peer", put(recordKey(i), "1")); err != nil {
			if refused++; !errors.Is(err, store.ErrFull) {
				t.Fatal(err)
			}
		}
	}
	slices.SortFunc(all, func(a, b string) int {
		return h.cfg.Table.Self().Compare(routing.KeyOf([]byte(a)), routing.KeyOf([]byte(b)))
	})
	for i, key := range all {
		if stored := held(t, h, key) != ""; stored != (i < room) {
			t.Errorf("the record that is number %d in distance: stored %v", i, stored)
		}
	}
	if got := h.Shed(); refused == 0 || got != uint64(3*room-refused) {
		t.Errorf("%d were dropped and %d refused, of %d too many", got, refused, 3*room)
	}
	farthest := []byte(all[len(all)-1])
	if err := h.StoreOwn(t.Context(), time.Now(), protocol.Record{Key: farthest, Value: []byte("1")}); err != nil {
		t.Errorf("a record of ours: %v", err)
	}
	for i := range 2 * room {
		add := protocol.AddProvider{Key: []byte(recordKey(i)), Providers: []protocol.Peer{{ID: calltest.ID(1), Addrs: addrOf(1)}}}
		if err := receive(t, h, calltest.ID(1), add); err != nil && !errors.Is(err, store.ErrFull) {
			t.Fatal(err)
		}
	}
	if _, providers := h.Len(); providers != room {
		t.Errorf("%d announcements are held, want %d", providers, room)
	}
}

// One write takes at most 64 entries from others, none if its key is full, and a value that is
// too large for the store of this node is no error if it is ours.
func TestBoundsOfShedding(t *testing.T) {
	memory := store.NewMemory(store.Limits{ValueBytes: 200_000, EntryBytes: 190_000})
	h := newHolder(t, Config{Store: memory})
	var keys []string
	for i := range 100 {
		keys = append(keys, recordKey(i))
	}
	slices.SortFunc(keys, func(a, b string) int {
		return h.cfg.Table.Self().Compare(routing.KeyOf([]byte(a)), routing.KeyOf([]byte(b)))
	})
	value := func(size int) string { return "1" + string(make([]byte, size)) }
	for _, key := range keys[1:] {
		if err := receive(t, h, "a peer", put(key, value(1000))); err != nil {
			t.Fatal(err)
		}
	}
	if err := receive(t, h, "a peer", put(keys[0], value(180_000))); !errors.Is(err, errInVain) || h.Shed() != maxShed {
		t.Errorf("%v after %d were dropped, want %d", err, h.Shed(), maxShed)
	}
	if err := h.StoreOwn(t.Context(), time.Now(), protocol.Record{Key: []byte(keys[0]), Value: []byte(value(200_000))}); err != nil {
		t.Errorf("a record of ours that is too large: %v", err)
	}
	add := func(key string) error {
		req := protocol.AddProvider{Key: []byte(key), Providers: []protocol.Peer{{ID: calltest.ID(1), Addrs: addrOf(1)}}}
		return receive(t, h, calltest.ID(1), req)
	}
	if err := add(keys[1]); err != nil {
		t.Fatal(err)
	}
	h.cfg.Store = fullKey{memory}
	if err := add(keys[0]); !errors.Is(err, store.ErrKeyFull) || h.Shed() != maxShed {
		t.Errorf("%v after %d were dropped, want none for a full key", err, h.Shed()-maxShed)
	}
}

// A fullKey is a store whose keys have as many providers as they may.
type fullKey struct{ store.Store }

func (fullKey) AddProvider(context.Context, []byte, store.Provider) error { return store.ErrKeyFull }
