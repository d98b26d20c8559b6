package simnat

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
)

var (
	peersFlag = flag.Int("nat.peers", 30, "`number` of peers behind NATs in TestMany")
	pairsFlag = flag.Int("nat.pairs", 30, "`number` of pairs that meet in TestMany")
	seedFlag  = flag.Uint64("nat.seed", 1, "`seed` of TestMany")
)

const (
	manyRelays = 3

	// apart is the time between two starts, and between two meetings.
	apart = 20 * time.Millisecond
)

// drawFlavour returns the flavour of one of many NATs: most keep the port and let in
// answers, one in eight is symmetric.
func drawFlavour(r *rand.Rand) Flavour {
	switch n := r.IntN(8); {
	case n < 5:
		return PortRestricted()
	default:
		return flavours()[n-4]
	}
}

// A pair is two peers that meet.
type pair struct {
	from, to *node
	meeting
}

// TestMany lets random pairs of many peers behind NATs meet. Each connects, and has
// a direct connection wherever that is possible. `make nat-many` runs it with a
// thousand peers.
func TestMany(t *testing.T) {
	began := time.Now()
	var pairs []pair
	var started time.Duration
	inWorld(t, *seedFlag, manyRelays, func(t *testing.T, w *world) {
		r := rand.New(rand.NewPCG(*seedFlag, 0))
		start := time.Now()
		peers := make([]*node, *peersFlag)
		for i := range peers {
			peers[i] = w.behind(drawFlavour(r))
			time.Sleep(apart)
		}
		for _, p := range peers {
			w.reachable(p)
		}
		started = time.Since(start)
		pairs = make([]pair, *pairsFlag)
		var meetings errgroup.Group
		for i := range pairs {
			x, y := r.IntN(len(peers)), r.IntN(len(peers)-1)
			if y >= x {
				y++
			}
			p := &pairs[i]
			p.from, p.to = peers[x], peers[y]
			id := p.to.host.ID()
			meetings.Go(func() error {
				p.meeting = meet(t.Context(), p.from, id)
				return nil
			})
			time.Sleep(apart)
		}
		_ = meetings.Wait() // they keep their errors
	})
	for _, p := range pairs {
		from, to := p.from.nat.flavour, p.to.nat.flavour
		if want := possible(from, to); p.verdict != want {
			t.Errorf("%s to %s: %s, want %s: %v", from, to, p.verdict, want, p.err)
		}
	}
	report(t, pairs, started, time.Since(began))
}

// report prints what came of it, as a table for RESULTS.md.
func report(t *testing.T, pairs []pair, started, wall time.Duration) {
	t.Helper()
	var connected, punched []time.Duration
	able := 0
	for _, p := range pairs {
		if p.verdict != nothing {
			connected = append(connected, p.connected)
		}
		if p.verdict == direct {
			punched = append(punched, p.direct)
		}
		if possible(p.from.nat.flavour, p.to.nat.flavour) == direct {
			able++
		}
	}
	share := func(n int) string { return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(len(pairs))) }
	var memory runtime.MemStats
	runtime.ReadMemStats(&memory)
	var b strings.Builder
	fmt.Fprintf(&b, "\n| peers behind NATs | servers, of them relays | pairs | connected | direct | could be direct | to a connection: p50, p95 | to a direct one: p50, p95 | all have a relay after | wall | memory |\n")
	fmt.Fprintf(&b, "|---|---|---|---|---|---|---|---|---|---|---|\n")
	fmt.Fprintf(&b, "| %d | %d, %d | %d | %s | %s | %s | %s | %s | %.1f s | %.0f s | %.1f GiB |\n",
		*peersFlag, publicServers, manyRelays, len(pairs), share(len(connected)), share(len(punched)), share(able),
		quantiles(connected), quantiles(punched), started.Seconds(), wall.Seconds(), float64(memory.Sys)/(1<<30))
	t.Log(b.String())
}

// quantiles returns the median and the 95th percentile.
func quantiles(d []time.Duration) string {
	if len(d) == 0 {
		return "–"
	}
	slices.Sort(d)
	return fmt.Sprintf("%.2f s, %.2f s", d[len(d)/2].Seconds(), d[len(d)*95/100].Seconds())
}
