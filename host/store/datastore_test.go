package store_test

import (
	"context"
	"encoding/base32"
	"errors"
	"testing"
	"time"

	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"pgregory.net/rapid"

	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/host/store/storetest"
)

// wrap opens a store in a datastore in memory.
func wrap(t *testing.T, ds datastore.Batching, l store.Limits) *store.Datastore {
	t.Helper()
	d, err := store.Wrap(t.Context(), ds, l)
	if err != nil {
		t.Fatalf("Wrap() = %v", err)
	}
	return d
}

func emptyDatastore() datastore.Batching { return dssync.MutexWrap(datastore.NewMapDatastore()) }

func TestDatastore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return wrap(t, emptyDatastore(), store.Limits{}) })
}

func TestDatastoreLimits(t *testing.T) {
	storetest.RunLimits(t, func(t *testing.T, l store.Limits) store.Store { return wrap(t, emptyDatastore(), l) })
}

func TestDatastoreDurable(t *testing.T) {
	storetest.RunDurable(t, func(t *testing.T) func(store.Limits) store.Store {
		ds := emptyDatastore()
		return func(l store.Limits) store.Store { return wrap(t, ds, l) }
	})
}

func TestDatastoreAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		testAgainstModel(rt, func(l store.Limits) store.Store { return wrap(t, emptyDatastore(), l) })
	})
}

// A datastore with other things in it, a format of the future, rows that are
// damaged.
func TestWrapShared(t *testing.T) {
	ds := emptyDatastore()
	ctx := t.Context()
	s := wrap(t, ds, store.Limits{})
	for _, key := range []string{"intact", "damaged", "renamed"} {
		set(t, s, key, store.Value{Data: []byte(key), Received: epoch, Expires: epoch.Add(time.Hour)})
		if err := s.AddProvider(ctx, []byte(key), store.Provider{ID: "ann", Received: epoch}); err != nil {
			t.Fatalf("AddProvider() = %v", err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatalf("Close() = %v", err)
	}
	name := func(key string) datastore.Key {
		return datastore.NewKey("/kad/value/K" + base32.HexEncoding.WithPadding(base32.NoPadding).EncodeToString([]byte(key)))
	}
	row, err := ds.Get(ctx, name("intact"))
	err = errors.Join(err,
		ds.Put(ctx, name("renamed"), row),
		ds.Put(ctx, name("damaged"), []byte("x")),
		ds.Put(ctx, datastore.NewKey("/kad/value/other"), row),
		ds.Put(ctx, datastore.NewKey("/kad/provider/other"), row),
		ds.Put(ctx, datastore.NewKey("/kad/publication/x/other"), row),
		ds.Put(ctx, datastore.NewKey("/pins/one"), row))
	if err != nil {
		t.Fatal(err)
	}

	s = wrap(t, ds, store.Limits{})
	if v, p := s.Len(); v != 1 || p != 3 {
		t.Errorf("Len() = %d, %d; want the one value that is intact, and 3", v, p)
	}
	if _, err := s.Value(ctx, []byte("damaged"), epoch); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Value() = %v, want ErrNotFound", err)
	}
	set(t, s, "damaged", store.Value{Data: []byte("whole again"), Received: epoch})
	if v, err := s.Value(ctx, []byte("damaged"), epoch); err != nil || string(v.Data) != "whole again" {
		t.Errorf("Value() = %q, %v", v.Data, err)
	}
	if has, err := ds.Has(ctx, datastore.NewKey("/pins/one")); err != nil || !has {
		t.Errorf("Has() = %v, %v; want what belongs to another to be left alone", has, err)
	}

	if err := ds.Put(ctx, datastore.NewKey("/kad/format"), []byte("2")); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Wrap(ctx, ds, store.Limits{}); !errors.Is(err, store.ErrForeign) {
		t.Errorf("Wrap() = %v, want ErrForeign", err)
	}
}

// When the datastore fails, the store is as it was.
func TestDatastoreFails(t *testing.T) {
	down := errors.New("down")
	ds := &flaky{Batching: emptyDatastore()}
	s := wrap(t, ds, store.Limits{ProvidersPerKey: 1, Values: 1})
	set(t, s, "key", store.Value{Data: []byte("old"), Received: epoch, Expires: epoch.Add(time.Hour)})
	ann := store.Provider{ID: "ann", Received: epoch, Expires: epoch.Add(time.Hour)}
	if err := s.AddProvider(t.Context(), []byte("key"), ann); err != nil {
		t.Fatalf("AddProvider() = %v", err)
	}
	ds.err = down
	put := func(key string) error {
		return s.UpdateValue(t.Context(), []byte(key), epoch, func(store.Value, bool) (store.Value, error) { return store.Value{}, nil })
	}
	_, _, expire := s.Expire(t.Context(), epoch.Add(2*time.Hour), 0)
	for what, err := range map[string]error{
		"UpdateValue()":    put("key"),
		"AddProvider()":    s.AddProvider(t.Context(), []byte("key"), store.Provider{ID: "bob", Received: epoch}),
		"DeleteValue()":    s.DeleteValue(t.Context(), []byte("key")),
		"RemoveProvider()": s.RemoveProvider(t.Context(), []byte("key"), "ann"),
		"Publish()":        s.Publish(t.Context(), store.Publication{Kind: store.KindValue}),
		"Expire()":         expire,
	} {
		if !errors.Is(err, down) {
			t.Errorf("%s = %v, want what the datastore says", what, err)
		}
	}
	ds.err = nil
	if v, err := s.Value(t.Context(), []byte("key"), epoch); err != nil || string(v.Data) != "old" {
		t.Errorf("Value() = %q, %v; want the old one", v.Data, err)
	}
	if ps, err := s.Providers(t.Context(), []byte("key"), epoch, 0); err != nil || len(ps) != 1 || ps[0].ID != "ann" {
		t.Errorf("Providers() = %v, %v; want the one that was there", ps, err)
	}
	if err := put("other"); !errors.Is(err, store.ErrFull) {
		t.Errorf("UpdateValue() = %v, want ErrFull: the count is what it was", err)
	}
	if removed, _, err := s.Expire(t.Context(), epoch.Add(2*time.Hour), 0); err != nil || removed != 2 {
		t.Errorf("Expire() = %d, %v; want both", removed, err)
	}
}

// flaky is a datastore that cannot be written while err is set.
type flaky struct {
	datastore.Batching
	err error
}

func (f *flaky) Batch(ctx context.Context) (datastore.Batch, error) {
	if f.err != nil {
		return nil, f.err
	}
	return f.Batching.Batch(ctx)
}

func (f *flaky) Delete(ctx context.Context, key datastore.Key) error {
	if f.err != nil {
		return f.err
	}
	return f.Batching.Delete(ctx, key)
}
