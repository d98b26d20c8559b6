package network_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
	"github.com/go-kad/kad/protocol"
)

// TestMeasure measures rows of BENCH.md that are exact, since time is virtual: see itest/bench,
// which reads what it logs. Each line has the form of a benchmark.
func TestMeasure(t *testing.T) {
	if os.Getenv("KAD_MEASURE") == "" {
		t.Skip("it measures for make bench-table, which sets KAD_MEASURE")
	}
	for name, measure := range map[string]func(t *testing.T, log func(format string, args ...any)){
		"Idle": measureIdle, "ColdLookups": measureCold, "Many": measureMany, "ManyAlone": measureAlone, "Footprint": measureFootprint,
		"Operations": measureOperations, "Joins": measureJoins, "Jump": measureJump, "Start": measureStart,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				measure(t, func(format string, args ...any) {
					t.Logf("BenchmarkMeasure/%s 1 %s", name, fmt.Sprintf(format, args...))
				})
			})
		})
	}
}

// measureIdle measures what a node sends in a minute, answers included, while no user asks anything, in a network
// of 100 nodes that has been there for an hour.
func measureIdle(t *testing.T, log func(format string, args ...any)) {
	const nodes, minutes = 100, 60
	var size atomic.Int64
	n := kadtest.New(t, kadtest.Config{Seed: 1, Latency: ms(10), Filter: func(_, _ *kadtest.Node, req protocol.Request) bool {
		size.Add(int64(len(protocol.AppendRequestFrame(nil, req))))
		return true
	}})
	all := joined(n, nodes, kad.Config{})
	time.Sleep(time.Hour)
	size.Store(0)
	before := bytesSent(all)
	perMinute, worst := atRest(all, minutes)
	sent := float64(bytesSent(all) - before)
	log("%.2f requests/node/min %d worst-requests %.0f B-of-requests/node/min %.3f kB-sent/node/min",
		perMinute, worst, float64(size.Load())/minutes/nodes, sent/minutes/nodes/1000)
}

// bytesSent returns the bytes of all requests and answers that nodes have sent.
func bytesSent(nodes []*kadtest.Node) (sum uint64) {
	for _, d := range nodes {
		sum += d.DHT.Stats().BytesOut
	}
	return sum
}

// measureCold measures lookups of one node in a row, of which each has to dial.
func measureCold(t *testing.T, log func(format string, args ...any)) {
	n := &measured{Network: kadtest.New(t, kadtest.Config{Seed: 1, Latency: wide})}
	n.Add(200, with(kad.Config{}))
	n.Settle()
	time.Sleep(20 * time.Minute)
	f := &figures{name: "cold"}
	for i := range 10 {
		d := n.Pick(1)[0]
		for range 5 {
			hangUp(d)
			n.lookup(t, f, d, fmt.Sprint("cold", i, len(f.took)))
			time.Sleep(ms(100))
		}
	}
	slices.Sort(f.took)
	log("%d median-ms %d p95-ms %.1f requests/op %.4f accuracy", f.took[len(f.took)/2].Milliseconds(),
		f.took[len(f.took)*95/100].Milliseconds(), float64(f.requests)/float64(len(f.took)), float64(f.right)/float64(f.wanted))
}

// measureMany measures AnnounceMany among 200 nodes that take many announcements in one message.
func measureMany(t *testing.T, log func(format string, args ...any)) { measureAnnounced(t, log, false) }

// measureAlone measures AnnounceMany among 200 nodes that take one announcement in a message.
func measureAlone(t *testing.T, log func(format string, args ...any)) {
	measureAnnounced(t, log, true)
}

func measureAnnounced(t *testing.T, log func(format string, args ...any), alone bool) {
	const count = 5000
	n := kadtest.New(t, kadtest.Config{Seed: 1, Latency: ms(10)})
	nodes := joined(n, 200, kad.Config{})
	if alone {
		plain(nodes)
	}
	time.Sleep(time.Minute) // what was learnt in the join is not fresh any more
	before, began := nodes[0].DHT.Stats().Requests, time.Now()
	if got := published(t, nodes[0].DHT.AnnounceMany(t.Context(), contents(t, count))); got != count {
		t.Errorf("%d of %d were announced", got, count)
	}
	requests := nodes[0].DHT.Stats().Requests - before
	log("%.3f requests/key %.2f virtual-ms/key", float64(requests)/count, float64(time.Since(began).Milliseconds())/count)
	if missing := unfound(t, nodes[100], nodes[0], count, 100); missing > 0 {
		t.Errorf("%d of %d are not found", missing, count/100)
	}
}

// measureFootprint measures the heap of a node and its host in memory, which know 99 others.
func measureFootprint(t *testing.T, log func(format string, args ...any)) {
	const nodes = 100
	before := liveHeap()
	n := kadtest.New(t, kadtest.Config{Seed: 1, Latency: ms(10)})
	joined(n, nodes, kad.Config{})
	time.Sleep(time.Hour)
	log("%.0f KiB/node", float64(liveHeap()-before)/nodes/1024)
	runtime.KeepAlive(n)
}

// liveHeap returns the bytes in use.
func liveHeap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// seconds returns what the process has used of its processors, and how long it has run, about.
// These are real also in a bubble, where the clock is not.
func seconds() (cpu, passed float64) {
	runtime.GC() // which brings the figures up to date
	s := []metrics.Sample{{Name: "/cpu/classes/total:cpu-seconds"}, {Name: "/cpu/classes/idle:cpu-seconds"}}
	metrics.Read(s)
	total := s[0].Value.Float64()
	return total - s[1].Value.Float64(), total / float64(runtime.GOMAXPROCS(0))
}

// Seconds pass as the clock says, and not as the one of a bubble does.
func TestSeconds(t *testing.T) {
	began := time.Now()
	_, before := seconds()
	bubble(t, func(*testing.T) { time.Sleep(time.Hour) })
	time.Sleep(200 * time.Millisecond)
	_, after := seconds()
	if passed, most := after-before, time.Since(began).Seconds(); passed < 0.1 || passed > most+0.1 {
		t.Errorf("%.3f s have passed, want about 0.2, and no more than %.3f", passed, most)
	}
}

// measureOperations measures what programs do, among 200 nodes that are at rest, each by another
// node: how long it takes, and with how many requests.
func measureOperations(t *testing.T, log func(format string, args ...any)) {
	n := kadtest.New(t, kadtest.Config{Seed: 1, Latency: wide})
	nodes := joined(n, 200, kad.Config{})
	time.Sleep(20 * time.Minute)
	const count = 50
	for _, op := range []struct {
		name string
		do   func(ctx context.Context, d *kad.DHT, i int) error
	}{
		{"announce", func(ctx context.Context, d *kad.DHT, i int) error {
			_, err := d.Announce(ctx, contentOf(t, recordKey(i)))
			return err
		}},
		{"put", func(ctx context.Context, d *kad.DHT, i int) error { return d.PutValue(ctx, recordKey(i), []byte("1")) }},
		{"get", func(ctx context.Context, d *kad.DHT, i int) error {
			_, err := d.GetValue(ctx, recordKey(count-1-i))
			return err
		}},
		{"first-provider", func(ctx context.Context, d *kad.DHT, i int) error {
			for _, err := range d.Providers(ctx, contentOf(t, recordKey(count-1-i)), 1) {
				return err
			}
			return kad.ErrNotFound
		}},
		{"nothing", func(ctx context.Context, d *kad.DHT, i int) error {
			if _, err := d.GetValue(ctx, recordKey(1000+i)); !errors.Is(err, kad.ErrNotFound) {
				return fmt.Errorf("no peer has it: %w", err)
			}
			return nil
		}},
	} {
		var spent []time.Duration
		requests := 0
		for i := range count {
			ctx, trace := kad.WithTrace(t.Context())
			spent = append(spent, took(func() {
				if err := op.do(ctx, nodes[i].DHT, i); err != nil {
					t.Errorf("%s: %v", op.name, err)
				}
			}))
			requests += trace.Stats().Requests
			time.Sleep(time.Second)
		}
		slices.Sort(spent)
		log("%d %s-ms %.1f %[2]s-requests", spent[count/2].Milliseconds(), op.name, float64(requests)/count)
	}
}

// measureJoins measures how long newcomers take until their table is complete, among 200 nodes.
func measureJoins(t *testing.T, log func(format string, args ...any)) {
	n := kadtest.New(t, kadtest.Config{Seed: 1, Latency: wide})
	joined(n, 200, kad.Config{})
	const count = 20
	var complete []time.Duration
	requests := uint64(0)
	for range count {
		d := n.Add(1, with(kad.Config{}))[0].DHT
		complete = append(complete, took(func() {
			if err := d.Bootstrap(t.Context()); err != nil {
				t.Error(err)
			}
		}))
		requests += d.Stats().Requests
	}
	slices.Sort(complete)
	log("%d complete-ms %.0f requests/join", complete[count/2].Milliseconds(), float64(requests)/count)
}

// measureJump measures lookups of nodes that know short round trips, right after all have become
// 100 ms longer.
func measureJump(t *testing.T, log func(format string, args ...any)) {
	accuracy, worst := jump(t, 200)
	log("%.4f accuracy %.2f worst-accuracy", accuracy, worst)
}

// measureStart measures what 2 000 nodes in one process, with hosts in memory, take until all have
// joined: CPU, real time, and heap.
func measureStart(t *testing.T, log func(format string, args ...any)) {
	const nodes = 2000
	before := liveHeap()
	cpu, began := seconds()
	n := kadtest.New(t, kadtest.Config{Seed: 1, Latency: ms(10)})
	joined(n, nodes, kad.Config{})
	cpuAfter, ended := seconds()
	log("%.1f s-of-CPU %.1f real-s %d MiB-of-heap", cpuAfter-cpu, ended-began, (liveHeap()-before)>>20)
	runtime.KeepAlive(n)
}
