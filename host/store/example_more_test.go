package store_test

import (
	"context"
	"fmt"
	"time"

	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"

	"github.com/go-kad/kad/host/store"
)

// A program that has a datastore keeps the records in it, too.
func ExampleWrap() {
	ctx, now := context.Background(), time.Now()
	database := dssync.MutexWrap(ds.NewMapDatastore())
	s, err := store.Wrap(ctx, database, store.Limits{Values: 1000})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = s.UpdateValue(ctx, []byte("/news/today"), now, func(store.Value, bool) (store.Value, error) {
		return store.Value{Data: []byte("rain"), Received: now}, nil
	})
	fmt.Println(err, s.Close())

	s, err = store.Wrap(ctx, database, store.Limits{Values: 1000})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	v, err := s.Value(ctx, []byte("/news/today"), now)
	fmt.Println(string(v.Data), err)
	// Output:
	// <nil> <nil>
	// rain <nil>
}

// All values, some at a time, in the order of the places of their keys.
func ExampleAfter() {
	ctx, now := context.Background(), time.Now()
	s := store.NewMemory(store.Limits{})
	defer s.Close()
	for i := range 5 {
		err := s.UpdateValue(ctx, fmt.Append(nil, "/v/", i), now, func(store.Value, bool) (store.Value, error) {
			return store.Value{Data: []byte{byte(i)}, Received: now}, nil
		})
		if err != nil {
			fmt.Println(err)
			return
		}
	}

	count, from := 0, store.Place([]byte("/v/2")) // or nil, for all of them
	for {
		some, err := s.Values(ctx, now, from, 2)
		if err != nil || len(some) == 0 {
			break
		}
		count += len(some)
		from = store.After(some[len(some)-1].Key)
	}
	all, _ := s.Len()
	fmt.Println(count > 0, all)
	// Output: true 5
}

// A store says how full it is.
func ExampleGauge() {
	ctx, now := context.Background(), time.Now()
	var s store.Store = store.NewMemory(store.Limits{Providers: 4})
	defer s.Close()
	if err := s.AddProvider(ctx, []byte("content"), store.Provider{ID: "ann", Received: now}); err != nil {
		fmt.Println(err)
	}
	if g, ok := s.(store.Gauge); ok {
		fmt.Println(g.Filled(store.KindProvider), g.Filled(store.KindValue))
	}
	// Output: 0.25 0
}

// A store holds announcements as well: the peers that have a content.
func ExampleProvider() {
	ctx, now := context.Background(), time.Now()
	s := store.NewMemory(store.Limits{ProvidersPerKey: 2})
	defer s.Close()
	for _, id := range []string{"ann", "bob"} {
		if err := s.AddProvider(ctx, []byte("content"), store.Provider{ID: id, Received: now, Expires: now.Add(time.Hour)}); err != nil {
			fmt.Println(err)
		}
	}
	if err := s.RemoveProvider(ctx, []byte("content"), "ann"); err != nil {
		fmt.Println(err)
	}
	providers, err := s.Providers(ctx, []byte("content"), now, 10)
	fmt.Println(len(providers), providers[0].ID, err)
	// Output: 1 bob <nil>
}
