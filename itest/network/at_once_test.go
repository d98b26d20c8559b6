package network_test

import (
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
)

// TestAtOnce has one node do many operations of each kind at once: it asks each peer for no
// more at a time than the peer serves, and every operation succeeds.
func TestAtOnce(t *testing.T) {
	for _, of := range []struct{ size, count int }{{2, 1000}, {4, 1000}, {30, 300}} {
		t.Run(fmt.Sprintf("%d nodes", of.size), func(t *testing.T) {
			bubble(t, func(t *testing.T) { testAtOnce(t, of.size, of.count) })
		})
	}
}

func testAtOnce(t *testing.T, size, count int) {
	n := kadtest.New(t, kadtest.Config{Seed: 1, Latency: ms(10)})
	nodes := joined(n, size, with(kad.Config{}))
	d, other := nodes[0].DHT, nodes[1].DHT
	ctx := t.Context()
	for _, kind := range []struct {
		name string
		do   func(i int) error
	}{
		{"put", func(i int) error {
			_, err := d.Put(ctx, recordKey(i), []byte("1"))
			return err
		}},
		{"announce", func(i int) error {
			_, err := d.Announce(ctx, contentOf(t, recordKey(i)))
			return err
		}},
		{"get", func(i int) error {
			_, err := other.GetValue(ctx, recordKey(i))
			return err
		}},
		{"providers", func(i int) error {
			for p, err := range other.Providers(ctx, contentOf(t, recordKey(i)), 1) {
				if err != nil || p.ID == d.ID() {
					return err
				}
			}
			return fmt.Errorf("nothing found")
		}},
		{"find peer", func(i int) error {
			_, err := d.FindPeer(ctx, nodes[1+i%(size-1)].DHT.ID())
			return err
		}},
		{"closest", func(i int) error {
			found, err := d.ClosestPeers(ctx, []byte(recordKey(i)))
			if err == nil && len(found) != min(20, size-1) {
				return fmt.Errorf("%d peers", len(found))
			}
			return err
		}},
	} {
		failed := make(chan error, count)
		var all errgroup.Group
		for i := range count {
			all.Go(func() error {
				if err := kind.do(i); err != nil {
					failed <- err
				}
				return nil
			})
		}
		_ = all.Wait()
		if len(failed) > 0 {
			t.Errorf("%s: %d of %d failed: %v", kind.name, len(failed), count, <-failed)
		}
	}
}
