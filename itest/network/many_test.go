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

// contents yields the contents of so many records, from recordKey(0) on.
func contents(t *testing.T, count int) iter.Seq[cid.Cid] {
	return func(yield func(cid.Cid) bool) {
		for i := 0; i < count && yield(contentOf(t, recordKey(i))); i++ {
		}
	}
}

// values yields the values of recordKey(from), …, without that of recordKey(to).
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

// unfound returns how many of so many contents a node does not find at their provider, of every
// step-th.
func unfound(t *testing.T, by, provider *kadtest.Node, count, step int) (missing int) {
	t.Helper()
	for i := 0; i < count; i += step {
		found := false
		for p, err := range by.DHT.Providers(t.Context(), contentOf(t, recordKey(i)), 2) {
			found = found || err == nil && p.ID == provider.ID()
		}
		if !found {
			missing++
		}
	}
	return missing
}

// TestMany publishes many contents and values at once: each is stored by its closest peers, for
// less than one request where peers take many in a message, and else for little more than the k
// that store it.
func TestMany(t *testing.T) { bubble(t, testMany) }

func testMany(t *testing.T) {
	const (
		contentCount, valueCount = 1000, 200
		singly                   = 50
	)
	var sent tally
	n := kadtest.New(t, kadtest.Config{Seed: 1, Latency: ms(10), Filter: sent.count})
	nodes := joined(n, 200, kad.Config{})
	time.Sleep(time.Minute) // what was learnt in the join is not fresh any more
	d, other, another := nodes[0], nodes[100], nodes[50]
	perKey := func(name string, from *kadtest.Node, count int, publish func() int) float64 {
		sent.reset()
		before, begun := from.DHT.Stats().Requests, time.Now()
		if got := publish(); got != count {
			t.Errorf("%s: %d of %d were published", name, got, count)
		}
		share := float64(from.DHT.Stats().Requests-before) / float64(count)
		t.Logf("%s: %.3f requests for each of %d, %d writes, in %v", name, share, count, sent.total(), time.Since(begun))
		return share
	}
	perKey("one by one", d, singly, func() int {
		for i := range singly {
			if _, err := d.DHT.Announce(t.Context(), contentOf(t, recordKey(contentCount+i))); err != nil {
				t.Error(err)
			}
		}
		return singly
	})
	announceMany := func(from *kadtest.Node) func() int {
		return func() int { return published(t, from.DHT.AnnounceMany(t.Context(), contents(t, contentCount))) }
	}
	if got := perKey("contents", d, contentCount, announceMany(d)); got > 1 || sent.total() != contentCount*defaultK {
		t.Errorf("%.3f requests for each content, want at most 1; %d announcements, want %d", got, sent.total(), contentCount*defaultK)
	}
	if got := perKey("values", d, valueCount, func() int {
		return published(t, d.DHT.PutMany(t.Context(), values(0, valueCount)))
	}); got > 3 {
		t.Errorf("%.3f requests for each value, want at most 3", got)
	}
	plain(nodes)
	time.Sleep(time.Minute)
	if got := perKey("contents, one in a message", another, contentCount, announceMany(another)); got > defaultK+0.6 || sent.total() != contentCount*defaultK {
		t.Errorf("%.3f requests for each content, want at most %d.6; %d announcements, want %d", got, defaultK, sent.total(), contentCount*defaultK)
	}
	for _, from := range []*kadtest.Node{d, another} {
		if missing := unfound(t, other, from, contentCount, 10); missing > 0 {
			t.Errorf("%d of %d contents are not found", missing, contentCount/10)
		}
	}
	for i := range valueCount {
		if value, _, err := get(t, other, i); value != "1" || err != nil {
			t.Errorf("value %d: %q, %v", i, value, err)
		}
	}
}

// plain has nodes serve only what other implementations serve, too.
func plain(nodes []*kadtest.Node) {
	for _, d := range nodes {
		d.Host.RemoveStreamHandler("/test/kad/many/1.0.0")
	}
}

// TestManyRestart kills a node in the middle of AnnounceMany. What it has read is announced
// after the restart.
func TestManyRestart(t *testing.T) { bubble(t, testManyRestart) }

func testManyRestart(t *testing.T) {
	const count = 1800 // two parts, which are kept at the same time
	var killed atomic.Pointer[kadtest.Node]
	var sent atomic.Int64 // its announcements, of which a third arrives
	stop := make(chan struct{})
	n := kadtest.New(t, kadtest.Config{Seed: 1, Latency: ms(10), Filter: func(from, _ *kadtest.Node, req protocol.Request) bool {
		if _, ok := req.(protocol.AddProvider); !ok || from != killed.Load() {
			return true
		}
		now := sent.Add(1)
		if now == count*defaultK/3 {
			close(stop)
		}
		return now < count*defaultK/3 || now > count*defaultK
	}})
	others := joined(n, 60, kad.Config{})
	d := joined(n, 1, kad.Config{Dir: t.TempDir()})[0]
	killed.Store(d)
	done, ended := 0, make(chan struct{})
	go func() {
		defer close(ended)
		for r := range d.DHT.AnnounceMany(t.Context(), contents(t, count)) {
			if r.Err == nil {
				done++
			}
		}
	}()
	<-stop
	n.Kill(d)
	<-ended
	if done == count {
		t.Fatalf("all %d were announced before it was killed", done)
	}
	sent.Store(count * defaultK) // none is lost any more
	time.Sleep(time.Minute)
	n.Restart(d)
	time.Sleep(15 * time.Minute)
	missing := unfound(t, others[0], d, count, 10)
	t.Logf("%d of %d were announced before, %d not found after the restart", done, count, missing)
	if missing > 0 {
		t.Errorf("%d of %d contents are not found after the restart", missing, count/10)
	}
}
