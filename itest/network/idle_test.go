package network_test

import (
	"testing"
	"time"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
)

// TestIdle watches a network at rest for an hour that begins an hour after the last node
// has joined: how many requests a node sends in a minute, and how many the node and minute
// with the most. Then all nodes still know the 10 peers that are closest to them.
func TestIdle(t *testing.T) { bubble(t, testIdle) }

func testIdle(t *testing.T) {
	const (
		size    = 60
		near    = 10 // k, and full buckets would hold some of the k closest only as pending
		rest    = time.Hour
		mean    = 2  // 1.2; 3.9 if a refresh finds k peers, 16 if buckets are refreshed however little happens in them
		atWorst = 20 // 10; 39 if a refresh finds k peers and contacts are checked at once, 230 if all buckets are refreshed at once
	)
	n := kadtest.New(t, kadtest.Config{Latency: wide})
	nodes := joined(n, size, kad.Config{})
	time.Sleep(rest)
	perMinute, worst := atRest(nodes, int(rest/time.Minute))
	missing := 0
	for _, d := range nodes {
		for _, other := range n.Closest(string(d.ID()), near, d) {
			if !knows(d, other.ID()) {
				missing++
			}
		}
	}
	t.Logf("%.1f requests of a node in a minute, %d at worst; %d of %d neighbours are unknown", perMinute, worst, missing, size*near)
	if perMinute > mean || worst > atWorst || missing > 0 {
		t.Errorf("want %d, %d and none", mean, atWorst)
	}
}

// atRest returns how many requests a node sends in a minute, on average over some minutes that
// pass, and how many the node and minute with the most.
func atRest(nodes []*kadtest.Node, minutes int) (perMinute float64, worst uint64) {
	sent := func(d *kadtest.Node) uint64 {
		s := d.DHT.Stats()
		return s.Requests + s.Probes
	}
	before := make(map[*kadtest.Node]uint64)
	for _, d := range nodes {
		before[d] = sent(d)
	}
	all := uint64(0)
	for range minutes {
		time.Sleep(time.Minute)
		for _, d := range nodes {
			now := sent(d)
			all, worst = all+now-before[d], max(worst, now-before[d])
			before[d] = now
		}
	}
	return float64(all) / float64(len(nodes)*minutes), worst
}
