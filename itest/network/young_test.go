package network_test

import (
	"context"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
)

// TestYoungNetwork has 8 nodes start together. The first one puts a value, and as soon as
// that is done the last one gets it, in 100 networks: every get finds it. All nodes hold the
// value 15s later: a node that the put did not find yet is given it as soon as a holder has
// joined, or when the node that put it has settled.
func TestYoungNetwork(t *testing.T) {
	const (
		rounds, size = 100, 8
		maxFew       = 70 // 45 as a rule; 100 if operations do not wait for the first join
		maxLate      = 0  // 5 if nothing is published again when the node has settled; 14 if, besides, what entered during the join is given nothing
	)
	few, missed, late := 0, 0, 0
	for seed := range uint64(rounds) {
		bubble(t, func(t *testing.T) {
			n := kadtest.New(t, kadtest.Config{Seed: seed, Latency: ms(10)})
			var nodes []*kad.DHT
			hosts := n.AddHosts(size)
			for _, h := range hosts {
				nodes = append(nodes, together(t, h, hosts[0]))
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			receipt, err := nodes[0].Put(ctx, recordKey(1), []byte("1"))
			if err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
			if len(receipt.Stored) < size-1 {
				few++
				if receipt.Wanted <= len(receipt.Stored) {
					t.Errorf("seed %d: the receipt says that all of %d peers stored it, and there are %d", seed, receipt.Wanted, size-1)
				}
			}
			if _, err := nodes[size-1].GetValue(ctx, recordKey(1)); err != nil {
				missed++
			}
			time.Sleep(15 * time.Second)
			for _, d := range nodes {
				if _, err := d.GetValue(ctx, recordKey(1), lrouting.Offline); err != nil {
					late++
					break
				}
			}
		})
	}
	t.Logf("%d of %d puts reached fewer than %d peers", few, rounds, size-1)
	t.Logf("in %d networks, a node does not hold the value 15s later", late)
	if missed > 0 || few > maxFew || late > maxLate {
		t.Errorf("%d gets found nothing, want none; %d puts are short, want %d at most; %d values are not everywhere, want %d at most",
			missed, few, maxFew, late, maxLate)
	}
}

// together attaches a DHT to a host, which joins through the host of seed. It does not wait.
func together(t *testing.T, h, seed *kadtest.Node) *kad.DHT {
	t.Helper()
	d, err := kad.New(h.Host, with(kad.Config{Network: "/kadtest", Bootstrap: []peer.AddrInfo{seed.Info()}}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}
