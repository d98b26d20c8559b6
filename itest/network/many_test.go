package network_test

import (
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
	"github.com/go-kad/kad/protocol"
)

// contents yields the contents of recordKey(from), …, without that of recordKey(to).
func contents(t *testing.T, from, to int) iter.Seq[cid.Cid] {
	return func(yield func(cid.Cid) bool) {
		for i := from; i < to && yield(contentOf(t, recordKey(i))); i++ {
		}
	}
}

// values yields as many values.
func values(from, to int) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for i := from; i < to && yield(recordKey(i), []byte("1")); i++ {
		}
	}
}

// published counts what was published, and reports what was not.
func published(t *testing.T, results iter.Seq[kad.Published]) (count int) {
	t.Helper()
	for r := range results {
		if r.Err != nil {
			t.Errorf("%v %s: %v", r.Content, r.Key, r.Err)
			continue
		}
		count++
	}
	return count
}

// unfound returns how many of the contents a node does not find at their provider, of every
// step-th.
func unfound(t *testing.T, by, provider *kadtest.Node, from, to, step int) (missing int) {
	t.Helper()
	for i := from; i < to; i += step {
		found := false
		for p, err := range by.DHT.Providers(t.Context(), contentOf(t, recordKey(i)), 1) {
			found = found || err == nil && p.ID == provider.ID()
		}
		if !found {
			missing++
		}
	}
	return missing
}

// TestMany publishes many contents and values at once: each is stored by its closest peers,
// for little more than the k requests that store it.
func TestMany(t *testing.T) { bubble(t, testMany) }

func testMany(t *testing.T) {
	const (
		contentCount, valueCount = 1000, 200
		singly                   = 50
	)
	var requests atomic.Int64
	var from atomic.Pointer[kadtest.Node]
	n := kadtest.New(t, kadtest.Config{Seed: 1, Latency: ms(10), Filter: func(asks, _ *kadtest.Node, _ protocol.Request) bool {
		if asks == from.Load() {
			requests.Add(1)
		}
		return true
	}})
	nodes := joined(n, 200, kad.Config{})
	d, other := nodes[0], nodes[100]
	from.Store(d)
	perKey := func(name string, count int, publish func() int) float64 {
		requests.Store(0)
		begun := time.Now()
		if got := publish(); got != count {
			t.Errorf("%s: %d of %d were published", name, got, count)
		}
		share := float64(requests.Load()) / float64(count)
		t.Logf("%s: %.2f requests for each of %d, in %v", name, share, count, time.Since(begun))
		return share
	}
	perKey("one by one", singly, func() int {
		for i := range singly {
			if _, err := d.DHT.Announce(t.Context(), contentOf(t, recordKey(contentCount+i))); err != nil {
				t.Error(err)
			}
		}
		return singly
	})
	if got := perKey("contents", contentCount, func() int {
		return published(t, d.DHT.AnnounceMany(t.Context(), contents(t, 0, contentCount)))
	}); got > defaultK+0.6 {
		t.Errorf("%.2f requests for each content, want at most %d.6", got, defaultK)
	}
	if got := perKey("values", valueCount, func() int {
		return published(t, d.DHT.PutMany(t.Context(), values(0, valueCount)))
	}); got > defaultK+3 {
		t.Errorf("%.2f requests for each value, want at most %d", got, defaultK+3)
	}
	from.Store(nil)
	if missing := unfound(t, other, d, 0, contentCount, 10); missing > 0 {
		t.Errorf("%d of %d contents are not found", missing, contentCount/10)
	}
	for i := range valueCount {
		if value, _, err := get(t, other, i); value != "1" || err != nil {
			t.Errorf("value %d: %q, %v", i, value, err)
		}
	}
}

// TestManyRestart kills a node in the middle of AnnounceMany. What it has read is announced
// after the restart.
func TestManyRestart(t *testing.T) { bubble(t, testManyRestart) }

func testManyRestart(t *testing.T) {
	const count = 300
	n := kadtest.New(t, kadtest.Config{Seed: 1, Latency: ms(10)})
	others := joined(n, 60, kad.Config{})
	d := joined(n, 1, kad.Config{Dir: t.TempDir()})[0]
	stop, done := make(chan struct{}), 0
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for r := range d.DHT.AnnounceMany(t.Context(), contents(t, 0, count)) {
			if r.Err != nil {
				return
			}
			if done++; done == count/4 {
				close(stop)
			}
		}
	}()
	<-stop
	n.Kill(d)
	<-ended
	if done >= count {
		t.Fatalf("all %d were announced before it was killed", done)
	}
	time.Sleep(time.Minute)
	n.Restart(d)
	time.Sleep(15 * time.Minute)
	missing := unfound(t, others[0], d, 0, count, 1)
	t.Logf("%d of %d were announced before, %d not found after the restart", done, count, missing)
	if missing > 0 {
		t.Errorf("%d of %d contents are not found after the restart", missing, count)
	}
}
