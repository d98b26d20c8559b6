package network_test

import (
	"slices"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
)

// A day has the publisher of many contents in a crowd.
type day struct {
	*crowd
	net       *kadtest.Network
	publisher *kadtest.Node
}

// newDay announces so many contents at once.
func newDay(t *testing.T, seed uint64, peers, count int) *day {
	t.Helper()
	n := kadtest.New(t, kadtest.Config{Seed: seed, Latency: link})
	d := &day{crowd: newCrowd(t, n, peers, count), net: n}
	d.publisher = n.Add(1, with(kad.Config{Dir: t.TempDir(), Bootstrap: d.bootstrap()}))[0]
	d.crowd.publisher = d.publisher
	n.Settle()
	if done := published(t, d.publisher.DHT.AnnounceMany(t.Context(), func(yield func(cid.Cid) bool) {
		for i := 0; i < count && yield(numbered(t, i)); i++ {
		}
	})); done != count {
		t.Fatalf("%d of %d are announced", done, count)
	}
	return d
}

// interval is the default of Config.RepublishInterval.
const interval = 22 * time.Hour

// TestSpreadOverDay announces many contents at once, and lives through two days: in each hour
// of both, the share of them that is announced again is near to that of the others.
func TestSpreadOverDay(t *testing.T) { bubble(t, testSpreadOverDay) }

func testSpreadOverDay(t *testing.T) {
	const count = 10_000
	d := newDay(t, 4, 60, count)
	for _, when := range []string{"first", "second"} {
		d.watch(time.Now())
		time.Sleep(interval)
		s := spread(d.minutes, interval)
		mean := int(60 * s.mean)
		t.Logf("%s interval: %d an hour in the mean, %d to %d; at most %d a minute", when, mean, s.leastHour, s.mostHour, s.largest)
		if s.leastHour < mean/2 || s.mostHour > mean*3/2 {
			t.Errorf("%s interval: %d an hour in the mean, %d to %d", when, mean, s.leastHour, s.mostHour)
		}
	}
	if d.longest > interval+10*time.Minute {
		t.Errorf("%v between two announcements of a content", d.longest)
	}
}

// TestCatchUp has a publisher miss some hours, since its host has no network or since it does
// not run. Then it catches up: in batches with a pause between them, and at once if holders may
// have forgotten what it missed.
func TestCatchUp(t *testing.T) {
	for _, tt := range []struct {
		name    string
		away    time.Duration
		stopped bool
		most    int // batches a minute
	}{
		{"unplugged", 6 * time.Hour, false, 1},
		{"stopped", 6 * time.Hour, true, 1},
		{"stopped for long", 40 * time.Hour, true, 8},
	} {
		t.Run(tt.name, func(t *testing.T) { bubble(t, func(t *testing.T) { testCatchUp(t, tt.away, tt.stopped, tt.most) }) })
	}
}

func testCatchUp(t *testing.T, away time.Duration, stopped bool, most int) {
	const (
		count = 8000
		batch = 1024 // what is published again together
		usual = 2 * time.Hour
	)
	d := newDay(t, 5, 60, count)
	time.Sleep(interval)
	requests := func() uint64 { return d.publisher.DHT.Stats().Requests }
	d.watch(time.Now())
	sent := requests()
	time.Sleep(usual)
	before := spread(d.minutes, usual)
	perMinute := float64(requests()-sent) / usual.Minutes()
	if stopped {
		d.net.Kill(d.publisher)
		time.Sleep(away)
		d.net.Restart(d.publisher)
	} else {
		d.net.Unplug(d.publisher)
		time.Sleep(away)
		s := d.publisher.DHT.Stats()
		t.Logf("offline: %d contents are late, %d overdue; %d have failed, the last one with: %v", d.late(), s.PublicationsOverdue, s.PublishFailed, s.LastFailure.Err)
		if s.PublicationsOverdue < d.late() || s.PublishFailed > batch { // what was due before it was known to be offline
			t.Error("want that all of them are overdue, and at most one batch has failed")
		}
		d.net.Heal()
	}
	back, late, minutes, worst := time.Now(), d.late(), 0, uint64(0)
	d.watch(back)
	for sent = requests(); d.late() > 0 && minutes < 60; minutes++ {
		time.Sleep(time.Minute)
		now := requests()
		sent, worst = now, max(worst, now-sent)
	}
	after := slices.Max(d.minutes) / defaultK
	t.Logf("%d of %d contents are late, caught up within %dm; contents a minute: %.0f before, at most %d, %d while it catches up; requests: %.1f, at most %d",
		late, count, minutes, before.mean, before.largest, after, perMinute, worst)
	if left := d.late(); left > 0 || late < 3*batch/2 || after > most*batch*11/10 {
		t.Errorf("%d of %d contents are late after %dm; %d in a minute, want at most %d batches", left, late, minutes, after, most)
	}
	asker := d.net.Add(1, with(kad.Config{Bootstrap: d.bootstrap()}))[0]
	d.net.Settle()
	(&million{crowd: d.crowd, publisher: d.publisher, done: make([]bool, count)}).find(t, asker, 100)
}

// late returns how many contents were not announced within an interval.
func (d *day) late() (late int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, at := range d.last {
		if time.Since(at) > interval+time.Minute {
			late++
		}
	}
	return late
}
