package host

import (
	"slices"
	"time"
)

// churn lets an hour pass, in which nodes are replaced, each at a moment of its
// own: a new one joins through any of those that are there, and then one that is
// not spared is killed.
func (n *memNet) churn(replaced int, cfg Config, spared ...*DHT) {
	n.t.Helper()
	start := time.Now()
	moments := make([]time.Duration, replaced)
	for i := range moments {
		moments[i] = time.Duration(n.rng.Int64N(int64(time.Hour)))
	}
	slices.Sort(moments)
	for _, at := range moments {
		time.Sleep(at - time.Since(start))
		n.join(cfg)
		victim := n.any()
		for slices.Contains(spared, victim) {
			victim = n.any()
		}
		n.kill(victim)
	}
	time.Sleep(time.Hour - time.Since(start))
}
