package network_test

import (
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
)

// In a small network whose nodes came one after the other, and each knew the one before
// only, each node knows all others.
func TestJoinLine(t *testing.T) { bubble(t, testJoinLine) }

func testJoinLine(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{Latency: link})
	nodes := []*kadtest.Node{alone(n, kad.Config{})}
	for range 14 {
		before := nodes[len(nodes)-1]
		nodes = append(nodes, n.Add(1, with(kad.Config{Bootstrap: []peer.AddrInfo{before.Info()}}))...)
		time.Sleep(time.Second)
	}
	for i, d := range nodes {
		if got := d.DHT.Stats().Contacts; got != len(nodes)-1 {
			t.Errorf("node %d knows %d others, want all %d", i, got, len(nodes)-1)
		}
	}
}

// In a ring in which each node knows the next one only, joining fills the tables.
func TestJoinRing(t *testing.T) { bubble(t, testJoinRing) }

func testJoinRing(t *testing.T) {
	const size = 30
	n := kadtest.New(t, kadtest.Config{Latency: link})
	hosts := n.AddHosts(size) // first, so that the last node can be named to the first
	nodes := make([]*kad.DHT, size)
	for i, h := range hosts {
		next := hosts[(i+1)%size].Info()
		d, err := kad.New(h.Host, with(kad.Config{Bootstrap: []peer.AddrInfo{next}}))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = d.Close() })
		nodes[i] = d
	}
	time.Sleep(time.Minute)
	sum := 0
	for i, d := range nodes {
		got := d.Stats().Contacts
		sum += got
		if got < 7 {
			t.Errorf("node %d has %d contacts, want 7 or more", i, got)
		}
	}
	if mean := float64(sum) / size; mean < 10 {
		t.Errorf("%.1f contacts on average, want 10 or more", mean)
	}
}
