package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/sync"
)

// All stores say how full they are, by the limit that is nearer, and 0 without limits.
func TestFilled(t *testing.T) {
	limits := Limits{Values: -1, ValueBytes: -1, Providers: 10, ProviderBytes: 1000}
	onDisk, err := Open(t.TempDir(), limits)
	if err != nil {
		t.Fatal(err)
	}
	other, err := Wrap(t.Context(), sync.MutexWrap(datastore.NewMapDatastore()), limits)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []Store{NewMemory(limits), onDisk, other} {
		t.Run(fmt.Sprintf("%T", s), func(t *testing.T) {
			defer s.Close()
			now := time.Now()
			add := func(key string, bytes int) {
				p := Provider{ID: "i", Addrs: []byte(strings.Repeat("a", bytes-2)), Received: now}
				if err := s.AddProvider(t.Context(), []byte(key), p); err != nil {
					t.Fatal(err)
				}
			}
			put := func(Value, bool) (Value, error) { return Value{Data: []byte("1"), Received: now}, nil }
			if err := s.UpdateValue(t.Context(), []byte("v"), now, put); err != nil {
				t.Fatal(err)
			}
			full := s.(Gauge)
			for i, want := range []float64{0.1, 0.2} {
				add(fmt.Sprint(i), 10)
				if got := full.Filled(KindProvider); got != want {
					t.Errorf("%d small announcements fill %v, want %v", i+1, got, want)
				}
			}
			add("l", 480)
			if got := full.Filled(KindProvider); got != 0.5 {
				t.Errorf("500 bytes fill %v, want 0.5", got)
			}
			if got := full.Filled(KindValue); got != 0 {
				t.Errorf("a value fills %v of no limit", got)
			}
			if err := s.RemoveProvider(t.Context(), []byte("l"), "i"); err != nil {
				t.Fatal(err)
			}
			if got := full.Filled(KindProvider); got != 0.2 {
				t.Errorf("what is left fills %v, want 0.2", got)
			}
		})
	}
}
