package network_test

import (
	"iter"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
)

// TestMillion announces many contents in a network of many peers, kills the publisher in the
// middle, and lives through a day: all of the closest peers hold each content, none is late, and
// the work is spread over the day. make million has a million contents and 10 000 peers.
func TestMillion(t *testing.T) { bubble(t, testMillion) }

// A million is what the test does, with what it has seen.
type million struct {
	*crowd
	net       *kadtest.Network
	publisher *kadtest.Node
	done      []bool // contents that were announced
	count     int    // how many of them
	began     time.Time
}

func testMillion(t *testing.T) {
	count, err := strconv.Atoi(os.Getenv("KAD_MILLION"))
	if err != nil {
		t.Skip("KAD_MILLION is no number of contents: make million sets it; it takes long")
	}
	peers := min(10_000, max(200, count/10))
	n := kadtest.New(t, kadtest.Config{Seed: 1, Latency: ms(10)})
	m := &million{crowd: newCrowd(t, n, peers, count), net: n, done: make([]bool, count), began: time.Now()}
	m.publisher = n.Add(1, with(kad.Config{Dir: t.TempDir(), Bootstrap: m.bootstrap()}))[0]
	m.crowd.publisher = m.publisher
	n.Settle()

	m.announce(t, count/2)
	time.Sleep(time.Minute)
	n.Restart(m.publisher)
	m.announce(t, count+1)
	time.Sleep(20 * time.Minute) // what the kill has cut off before most peers had it is published again within 10
	if again, failed := m.publisher.DHT.Stats().Publications, count-m.count; again != count || failed > 0 {
		t.Errorf("%d of %d contents are announced again, %d failed", again, count, failed)
	}
	copies, contents := m.lacking()
	t.Logf("%d copies of %d are missing; %d contents lack a quarter of them", copies, count*defaultK, contents)
	if contents > 0 || copies > count*defaultK/20 {
		t.Error("they are too many")
	}
	m.day(t)
	m.net.Kill(m.publisher)
	asker := n.Add(1, with(kad.Config{Bootstrap: m.bootstrap()}))[0]
	n.Settle()
	m.find(t, asker, 1000)
}

// undone yields the contents that were not announced yet.
func (m *million) undone(t *testing.T) iter.Seq[cid.Cid] {
	return func(yield func(cid.Cid) bool) {
		for i, done := range m.done {
			if !done && !yield(numbered(t, i)) {
				return
			}
		}
	}
}

// announce announces what was not, and kills the publisher when so many contents are announced.
func (m *million) announce(t *testing.T, until int) {
	t.Helper()
	start, from := time.Now(), m.count
	before := m.publisher.DHT.Stats().Requests
	var killing sync.WaitGroup
	killed := false
	for p := range m.publisher.DHT.AnnounceMany(t.Context(), m.undone(t)) {
		i, _ := m.number(p.Content.Hash())
		if p.Err != nil || m.done[i] {
			if !killed {
				t.Errorf("content %d, announced before: %v: %v", i, m.done[i], p.Err)
			}
			continue
		}
		m.done[i] = true
		if m.count++; m.count%max(1, len(m.done)/20) == 0 {
			t.Logf("%d of %d contents are announced after %v, virtual", m.count, len(m.done), time.Since(m.began).Round(time.Second))
		}
		if m.count >= until && !killed {
			killed = true
			killing.Go(func() { m.net.Kill(m.publisher) })
		}
	}
	killing.Wait()
	requests := m.publisher.DHT.Stats().Requests - before
	t.Logf("%d contents among %d peers: %.3f requests each, %v in all, virtual",
		m.count-from, len(m.members), float64(requests)/float64(m.count-from), time.Since(start).Round(time.Millisecond))
}

// day lets two days go by, and checks how the announcements of the second one are spread.
func (m *million) day(t *testing.T) {
	t.Helper()
	const interval = 22 * time.Hour
	m.watch(time.Now())
	time.Sleep(interval)
	first := spread(m.minutes, interval)
	m.watch(time.Now())
	before := m.publisher.DHT.Stats()
	time.Sleep(interval)
	second := spread(m.minutes, interval)
	now := m.publisher.DHT.Stats()
	again := float64(now.Republished - before.Republished)
	t.Logf("contents a minute, mean and largest: %.1f, %d in the first interval of 22h, %.1f, %d in the second, with %.3f requests each",
		first.mean, first.largest, second.mean, second.largest, float64(now.Requests-before.Requests)/again)
	t.Logf("in an hour at least %d and at most %d; the longest time between two announcements of one content is %v",
		second.leastHour, second.mostHour, m.longest.Round(time.Second))
	mean := int(second.mean * 60)
	if m.longest > interval+10*time.Minute || second.mostHour > 2*mean+1024 || int(again) < len(m.done)*9/10 {
		t.Errorf("%.0f of %d were announced again, the longest time between two is %v; in an hour up to %d, in the mean %d",
			again, len(m.done), m.longest, second.mostHour, mean)
	}
	if late := slices.ContainsFunc(m.last, func(at time.Time) bool { return time.Since(at) > interval+10*time.Minute }); late {
		t.Error("a content was not announced again")
	}
}

// A spreading is how contents were spread over an interval.
type spreading struct {
	mean                float64 // contents a minute
	largest             int     // minute
	leastHour, mostHour int
}

// spread sums up how many announcements there were in each minute.
func spread(minutes []int, interval time.Duration) (s spreading) {
	hours := make([]int, int(interval/time.Hour))
	sum := 0
	for i, n := range minutes {
		sum += n
		s.largest = max(s.largest, n/defaultK)
		hours[min(i/60, len(hours)-1)] += n / defaultK
	}
	s.mean = float64(sum) / defaultK / interval.Minutes()
	s.leastHour, s.mostHour = slices.Min(hours), slices.Max(hours)
	return s
}

// find looks for some of the contents.
func (m *million) find(t *testing.T, asker *kadtest.Node, sample int) {
	t.Helper()
	missing, step := 0, max(1, len(m.done)/sample)
	for i := 0; i < len(m.done); i += step {
		found := false
		for p, err := range asker.DHT.Providers(t.Context(), numbered(t, i), 1) {
			found = found || err == nil && p.ID == m.publisher.ID()
		}
		if !found {
			missing++
		}
	}
	t.Logf("%d of %d contents are not found", missing, len(m.done)/step)
	if missing > 0 {
		t.Errorf("%d of %d contents are not found", missing, len(m.done)/step)
	}
}
