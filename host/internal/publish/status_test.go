package publish

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/deliver"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

// The agenda counts what is overdue, what is due soon, and what is under way.
func TestAgendaStatus(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var a agenda
		want := Status{Publications: rapid.IntRange(0, 40).Draw(t, "publications")}
		now := time.Now()
		for i := range want.Publications {
			at := rapid.IntRange(-3, 5).Draw(t, "at")
			switch {
			case at <= 0:
				want.Overdue++
			case at <= 2:
				want.Soon++
			}
			a.add(publicationID{store.KindValue, string(rune('a' + i))}, now.Add(time.Duration(at)*time.Hour))
		}
		tickets, _ := a.due(now, rapid.IntRange(0, 10).Draw(t, "tickets"))
		want.UnderWay = len(tickets)
		want.Overdue -= len(tickets)
		if got := a.status(2 * time.Hour); got != want {
			t.Fatalf("status = %+v, want %+v", got, want)
		}
	})
}

// The status says what is scheduled, under way, overdue, done and failed, and why.
func TestStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 20, 22*time.Hour)
		check := func(when string, want Status) {
			t.Helper()
			got := n.Status()
			if got.Last = (Failure{}); got != want {
				t.Errorf("%s: status = %+v, want %+v", when, got, want)
			}
		}
		if got := n.Status(); got != (Status{}) {
			t.Errorf("status of a new node = %+v", got)
		}
		if _, err := n.Put(t.Context(), time.Now(), []byte("/v/key"), []byte("1"), 0, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := n.Announce(t.Context(), time.Now(), []byte("key"), 0); err != nil {
			t.Fatal(err)
		}
		check("after two", Status{Publications: 2, Succeeded: 2})

		n.will(n.toWrites(calltest.Refuses))
		for range n.Many(t.Context(), slices.Values([]Item{{Kind: store.KindProvider, Key: []byte("refused")}})) {
		}
		check("after a refused one", Status{Publications: 3, Soon: 1, Succeeded: 2, Failed: 1})
		last := n.Status().Last
		var put *deliver.PutError
		if !last.At.Equal(time.Now()) || last.Kind != store.KindProvider || last.Key != "refused" || !errors.As(last.Err, &put) {
			t.Errorf("last failure = %+v", last)
		}

		n.will(calltest.Knows(testK, n.peers...))
		time.Sleep(22 * time.Hour) // nothing is published again: the job does not run
		check("after a day without the job", Status{Publications: 3, Overdue: 3, Succeeded: 2, Failed: 1})

		hung := make(chan struct{})
		n.will(n.toWrites(func(ctx context.Context, _ protocol.Request) (protocol.Response, error) {
			select {
			case <-hung:
			case <-ctx.Done():
			}
			return protocol.Response{}, ctx.Err()
		}))
		n.run()
		done := make(chan error)
		go func() {
			_, err := n.Announce(t.Context(), time.Now(), []byte("another"), 0)
			done <- err
		}()
		stopped, stop := context.WithCancel(t.Context())
		go func() {
			_, err := n.Announce(stopped, time.Now(), []byte("stopped"), 0)
			done <- err
		}()
		time.Sleep(time.Second)
		check("while all are published again, and two for the first time", Status{Publications: 3, UnderWay: 5, Succeeded: 2, Failed: 1})
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("stopped: %v", err)
		}
		check("after one of them was stopped, which is no failure", Status{Publications: 3, UnderWay: 4, Succeeded: 2, Failed: 1})
		close(hung)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		check("after all", Status{Publications: 4, Succeeded: 6, Failed: 1})

		n.will(n.toWrites(calltest.Refuses))
		time.Sleep(22 * time.Hour)
		if got := n.Status(); got.Failed < 5 || got.Last.At.Before(time.Now().Add(-republishRetry*3/2)) {
			t.Errorf("status of what is refused again = %+v", got)
		}
	})
}

// BenchmarkStatus measures the status of a million publications, all of which are overdue.
func BenchmarkStatus(b *testing.B) {
	var a agenda
	key := make([]byte, 32)
	for i := range 1_000_000 {
		key[0], key[1], key[2] = byte(i), byte(i>>8), byte(i>>16)
		a.add(publicationID{store.KindProvider, string(key)}, time.Now())
	}
	b.ReportAllocs()
	for b.Loop() {
		if a.status(time.Hour).Overdue != 1_000_000 {
			b.Fatal("not all are overdue")
		}
	}
}
