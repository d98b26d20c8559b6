package dashboard

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/protocol"
)

// A watcher is what looks at a node while its cost is measured.
type watcher struct {
	name  string
	every map[string]time.Duration // what it asks for, and how often
	lives bool                     // it reads the events
}

// watchers are nothing, a Prometheus, and the page, as page.js does it.
func watchers() []watcher {
	return []watcher{
		{name: "nothing"},
		{name: "/metrics every 15 s", every: map[string]time.Duration{"/metrics": 15 * time.Second}},
		{name: "/metrics every second", every: map[string]time.Duration{"/metrics": time.Second}},
		{name: "the page", lives: true, every: map[string]time.Duration{
			"/v1/id": 2 * time.Second, "/v1/table": 2 * time.Second, "/v1/stats": 2 * time.Second,
			"/v1/held": 10 * time.Second, "/v1/diagnose": time.Minute,
		}},
	}
}

// look has a watcher look at a node until the function that it returns is called.
func (w watcher) look(t *testing.T, n node) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	browser := &http.Client{Transport: &http.Transport{}} // keeps connections, as a browser does
	get := func(path string) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.API+path, http.NoBody)
		if err != nil {
			t.Error(err)
			return
		}
		resp, err := browser.Do(req)
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}
	for path, every := range w.every {
		done.Go(func() {
			for tick := time.NewTicker(every); ; {
				get(path)
				select {
				case <-tick.C:
				case <-ctx.Done():
					tick.Stop()
					return
				}
			}
		})
	}
	if w.lives {
		done.Go(func() { get("/v1/events") })
	}
	return func() {
		cancel()
		done.Wait()
		browser.CloseIdleConnections()
	}
}

// cpu returns how long the threads of a process have run.
func cpu(t *testing.T, pid int) (total time.Duration) {
	t.Helper()
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(threads) == 0 {
		t.Skipf("/proc has no times of threads: %v", err)
	}
	for _, path := range threads {
		if text, err := os.ReadFile(path); err == nil { // else the thread has ended
			ns, err := strconv.ParseInt(strings.Fields(string(text))[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			total += time.Duration(ns)
		}
	}
	return total
}

// ask sends FIND_NODE requests to a node, one after the other on each of some streams, for a
// time, and returns how many were answered.
func ask(t *testing.T, n node, streams int, long time.Duration) (answered int) {
	t.Helper()
	h, err := libp2p.New(libp2p.NoListenAddrs)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	to, err := peer.AddrInfoFromString(n.Addrs[0])
	if err == nil {
		err = h.Connect(t.Context(), *to)
	}
	if err != nil {
		t.Fatal(err)
	}
	counts := make([]int, streams)
	var done sync.WaitGroup
	end := time.Now().Add(long)
	for i := range streams {
		done.Go(func() {
			s, err := h.NewStream(t.Context(), to.ID, "/metrics/kad/1.0.0")
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Close()
			r := bufio.NewReader(s)
			for ; time.Now().Before(end); counts[i]++ {
				_, err := s.Write(protocol.AppendRequestFrame(nil, protocol.FindNode{Target: fmt.Appendf(nil, "%d of %d", counts[i], i)}))
				if err == nil {
					_, err = protocol.ReadFrame(r, protocol.MaxFrame)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	done.Wait()
	for _, c := range counts {
		answered += c
	}
	return answered
}

// What a watcher costs: processor time of a node at rest, and requests that a node answers. It
// takes minutes, and needs a quiet machine: KAD_COST has it run, with so many rounds.
func TestCost(t *testing.T) {
	rounds, err := strconv.Atoi(os.Getenv("KAD_COST"))
	if err != nil {
		t.Skip("make cost runs it")
	}
	const atRest, atWork = 30 * time.Second, 8 * time.Second
	nodes := network(t)
	n := nodes[0]
	rest, load, each := make(map[string][]float64), make(map[string][]float64), make(map[string][]float64)
	for range rounds {
		for _, w := range watchers() {
			end := w.look(t, n)
			before := cpu(t, n.pid)
			time.Sleep(atRest)
			rested := cpu(t, n.pid)
			answered := ask(t, n, 8, atWork)
			worked := cpu(t, n.pid)
			end()
			rest[w.name] = append(rest[w.name], float64((rested-before).Microseconds())/1000/atRest.Seconds())
			load[w.name] = append(load[w.name], float64(answered)/atWork.Seconds())
			each[w.name] = append(each[w.name], float64((worked-rested).Nanoseconds())/1000/float64(answered))
		}
	}
	t.Logf("%d rounds: least, median, most", rounds)
	for _, w := range watchers() {
		t.Logf("%-22s at rest %s ms of processor time a second; %s FIND_NODE a second, %s µs of processor time each",
			w.name, spread(rest[w.name]), spread(load[w.name]), spread(each[w.name]))
	}
}

// spread returns the least, the median and the greatest of some figures.
func spread(of []float64) string {
	slices.Sort(of)
	return fmt.Sprintf("%.4g %.4g %.4g", of[0], of[len(of)/2], of[len(of)-1])
}
