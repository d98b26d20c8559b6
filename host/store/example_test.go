package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-kad/kad/host/store"
)

// A newer record supersedes an older one, and is never superseded by it, however
// the puts interleave. The store does not know which one is newer: the caller
// says so.
func ExampleStore() {
	ctx, now := context.Background(), time.Now()
	s := store.NewMemory(store.Limits{})
	defer s.Close()

	errOlder := errors.New("older than what is stored")
	put := func(version string) error {
		return s.UpdateValue(ctx, []byte("/news/today"), now, func(current store.Value, ok bool) (store.Value, error) {
			if ok && string(current.Data) > version {
				return store.Value{}, errOlder
			}
			return store.Value{Data: []byte(version), Received: now, Expires: now.Add(48 * time.Hour)}, nil
		})
	}
	fmt.Println(put("v2"))
	fmt.Println(put("v1"))

	v, err := s.Value(ctx, []byte("/news/today"), now)
	fmt.Println(string(v.Data), err)
	_, err = s.Value(ctx, []byte("/news/today"), now.Add(48*time.Hour))
	fmt.Println(err)
	// Output:
	// <nil>
	// older than what is stored
	// v2 <nil>
	// kad: store: not found
}

// A sweep says when the next one is due.
func ExampleMemory_Expire() {
	ctx, now := context.Background(), time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	s := store.NewMemory(store.Limits{Providers: 10_000})
	defer s.Close()

	for i, id := range []string{"ann", "bob"} {
		p := store.Provider{ID: id, Received: now, Expires: now.Add(time.Duration(i+1) * 24 * time.Hour)}
		if err := s.AddProvider(ctx, []byte("key"), p); err != nil {
			fmt.Println(err)
		}
	}
	removed, next, err := s.Expire(ctx, now.Add(30*time.Hour), 1000)
	fmt.Println(removed, next.Format(time.DateOnly), err)
	// Output:
	// 1 2026-01-03 <nil>
}

// What was accepted is there after a restart, and so is what the node itself has
// published, and when that is due again.
func ExampleOpen() {
	ctx, now := context.Background(), time.Date(2026, time.January, 1, 0, 0, 0, 0, time.UTC)
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	s, err := store.Open(dir, store.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = s.Publish(ctx, store.Publication{
		Kind: store.KindValue, Key: []byte("/news/today"), Data: []byte("v2"), Next: now.Add(22 * time.Hour),
	})
	fmt.Println(err, s.Close())

	s, err = store.Open(dir, store.Limits{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Close()
	ours, err := s.Publications(ctx, store.KindValue, nil, 100)
	for _, p := range ours {
		fmt.Printf("%s is due at %s\n", p.Key, p.Next.Format(time.TimeOnly))
	}
	fmt.Println(err)
	// Output:
	// <nil> <nil>
	// /news/today is due at 22:00:00
	// <nil>
}
