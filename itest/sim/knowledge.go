package sim

import (
	"time"

	"github.com/go-kad/kad/routing"
)

// A knowledge is what a node has learnt of its network from what it asked before:
// who answers in what time, how large it is, how many do not answer. It is what
// package host gives its lookups.
type knowledge struct {
	all    routing.RTT
	peers  map[int]*routing.RTT
	size   routing.Size
	asked  float64 // lately
	failed float64
	recent map[routing.Key][]routing.Contact
}

const history = 64 // requests that a node has made before the start

// knowledge returns that of node i; at first, what it has learnt from some requests.
func (w *World) knowledge(i int) *knowledge {
	n := w.node(i)
	if n.known != nil {
		return n.known
	}
	k := &knowledge{all: routing.RTT{Memory: history}, peers: make(map[int]*routing.RTT), recent: make(map[routing.Key][]routing.Contact)}
	n.known = k
	if w.scenario.Upkeep {
		return k
	}
	rng := newRNG(mix(w.seed, 99, uint64(i))) //nolint:gosec // not negative
	for range history {
		j := rng.IntN(w.pop.Len())
		k.asked++
		if r := w.role(j); r != well && r != slow && r != liar {
			k.failed++
			continue
		}
		there, _ := w.delay(way{i, j})
		back, _ := w.delay(way{j, i})
		k.all.Observe(there + back)
	}
	for range 5 {
		var target routing.Key
		copy(target[:], randomBytes(rng))
		var closest []routing.Contact
		for _, j := range w.pop.Closest(target, 20, w.Answers) {
			closest = append(closest, w.Contact(j))
		}
		k.size.Observe(target, closest)
	}
	return k
}

func (k *knowledge) answered(node int, took time.Duration) {
	if k.peers[node] == nil {
		k.all.Observe(took)
		k.peers[node] = &routing.RTT{}
	}
	k.peers[node].Observe(took)
}

func (k *knowledge) judge(w *World, from int, c *routing.Contact) {
	i := w.number(*c)
	c.Connected = w.connected(from, i)
	c.Expect = k.all.Timeout(k.failed / k.asked)
	if r := k.peers[i]; r != nil {
		c.RoundTrip = r.Mean()
		c.Expect = r.Timeout(k.failed / k.asked)
	}
}

func (k *knowledge) seeds(target routing.Key) []routing.Contact {
	out := make([]routing.Contact, 0, 20)
	for _, c := range k.recent[target] {
		out = append(out, routing.Contact{ID: c.ID, Key: c.Key, Recent: true})
	}
	return out
}

func (k *knowledge) config(cfg routing.LookupConfig) routing.LookupConfig {
	cfg.Size = k.size.Estimate()
	cfg.Failing = k.failed / max(k.asked, 1)
	return cfg
}

func (k *knowledge) found(w *World, target routing.Key, r routing.Result) {
	if w.scenario.Upkeep {
		fade := func(n int, d *float64) { *d = *d*0.7 + float64(n) }
		fade(r.Failed, &k.failed)
		fade(r.Requests, &k.asked)
	}
	if r.End == routing.Converged {
		if w.scenario.Upkeep {
			k.size.Observe(target, r.Closest)
		}
		k.recent[target] = r.Closest
	}
}
