package network_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
	"github.com/go-kad/kad/protocol"
)

// Lookups find the closest peers right after all round trips have become 50 times as long: all are
// late then, and none is gone.
func TestRoundTripsJump(t *testing.T) {
	bubble(t, func(t *testing.T) {
		if accuracy, worst := jump(t, 60); accuracy < 0.995 || worst < 0.9 {
			t.Errorf("lookups find %.3f of the closest, at worst %.2f", accuracy, worst)
		}
	})
}

// jump returns how many of the closest lookups find, on average and at worst, each by another node
// that knows round trips of 2 ms, after all have become 100 ms longer.
func jump(t *testing.T, nodes int) (accuracy, worst float64) {
	t.Helper()
	var longer atomic.Int64
	n := &measured{Network: kadtest.New(t, kadtest.Config{Seed: 1, Latency: ms(1), Filter: func(_, _ *kadtest.Node, _ protocol.Request) bool {
		time.Sleep(time.Duration(longer.Load()))
		return true
	}})}
	joined(n.Network, nodes, kad.Config{})
	askers := n.sample()
	n.warm(t, askers...)
	n.lookups(t, "before the jump", askers)
	longer.Store(int64(ms(100)))
	sum := new(figures)
	worst = 1
	for i, d := range askers {
		one := &figures{name: "jump"}
		n.lookup(t, one, d, fmt.Sprint("jump", i))
		worst = min(worst, float64(one.right)/float64(one.wanted))
		sum.right, sum.wanted = sum.right+one.right, sum.wanted+one.wanted
	}
	return float64(sum.right) / float64(sum.wanted), worst
}
