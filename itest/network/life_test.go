package network_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	lrouting "github.com/libp2p/go-libp2p/core/routing"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
	"github.com/go-kad/kad/routing"
)

// get asks a node for value i, and for the providers of content i.
func get(t *testing.T, d *kadtest.Node, i int) (value string, providers int, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	found, err := d.DHT.GetValue(ctx, recordKey(i))
	for _, problem := range d.DHT.Providers(ctx, contentOf(t, recordKey(i)), 0) {
		if problem != nil {
			return string(found), providers, problem
		}
		providers++
	}
	return string(found), providers, err
}

// lifeHours is for how many hours TestMonth goes on: as many as KAD_LIFE_HOURS says,
// 720 with `make month`, or what fits a test that is run often.
func lifeHours(t *testing.T) int {
	t.Helper()
	s := os.Getenv("KAD_LIFE_HOURS")
	if s == "" {
		return 2
	}
	hours, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("KAD_LIFE_HOURS: %v", err)
	}
	return hours
}

// A value that was put once, and an announcement that was made once, are found after
// 30 days in a network in which every hour a tenth of the nodes goes without a word
// and is replaced, as long as their publisher lives.
func TestMonth(t *testing.T) { bubble(t, testMonth) }

func testMonth(t *testing.T) {
	hours := lifeHours(t)
	n := kadtest.New(t, kadtest.Config{Latency: link})
	cfg := kad.Config{RefreshInterval: 6 * time.Hour} // what is asked anyway refreshes more often
	publisher := joined(n, 200, cfg)[0]
	p := newProber(n)
	const records = 3
	publish(t, publisher, records)
	for hour := range hours {
		if hour%24 == 0 {
			values, announcements := p.holders(t, n, 0)
			t.Logf("day %d: the value is held by %d nodes, the announcement by %d", hour/24, values, announcements)
		}
		n.Churn(time.Hour, 20, with(cfg), publisher, p.Node)
		asked := n.Pick(1, publisher, p.Node)[0]
		before := asked.DHT.Stats()
		i := hour % records
		if value, providers, err := get(t, asked, i); value != "1" || providers != 1 || err != nil {
			values, announcements := p.holders(t, n, i)
			t.Fatalf("after %d hours: value %q, %d providers, %v; held by %d and %d nodes; asked one with %+v before",
				hour+1, value, providers, err, values, announcements, before)
		}
	}
	values, announcements := p.holders(t, n, 0)
	t.Logf("after %d hours: the value is held by %d nodes, the announcement by %d", hours, values, announcements)
}

// Without publishing again, a record is gone after its lifetime, everywhere, and is
// never served after it, however often it was replicated, cached and corrected.
func TestGoneAfterLifetime(t *testing.T) { bubble(t, testGoneAfterLifetime) }

func testGoneAfterLifetime(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{Latency: link})
	cfg := kad.Config{K: 8, RecordAge: 12 * time.Hour, RepublishInterval: -1, RefreshInterval: time.Hour}
	nodes := joined(n, 40, cfg)
	p := newProber(n)
	start := time.Now()
	publish(t, nodes[0], 2)
	put := time.Since(start)
	for time.Since(start) < cfg.RecordAge-time.Minute {
		if value, providers, err := get(t, n.Pick(1, p.Node)[0], 0); value != "1" || err != nil || providers > 1 {
			t.Fatalf("after %v: value %q, %d providers, %v", time.Since(start), value, providers, err)
		}
		time.Sleep(47 * time.Minute)
	}
	time.Sleep(cfg.RecordAge + put - time.Since(start))
	for i := range 2 {
		// An announcement that a node has made itself is there until it stops providing.
		if values, announcements := p.holders(t, n, i); values > 0 || announcements > 1 {
			t.Errorf("after %v, the value is held by %d nodes, the announcement by %d", time.Since(start), values, announcements)
		}
	}
	for _, d := range nodes {
		if _, err := d.DHT.GetValue(t.Context(), recordKey(0)); !errors.Is(err, kad.ErrNotFound) {
			t.Errorf("served after its lifetime: %v", err)
		}
	}
	time.Sleep(2 * time.Minute)
	for _, d := range nodes {
		if held := d.DHT.Stats().Values; held > 0 {
			t.Errorf("%d values were not swept", held)
		}
	}
}

// In a stable network, a record is replicated about once an hour in all, not once by
// each of its holders: a holder that is sent it within the hour leaves it alone.
func TestReplicatedOncePerHour(t *testing.T) { bubble(t, testReplicatedOncePerHour) }

func testReplicatedOncePerHour(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{Latency: link})
	cfg := kad.Config{K: 8, RefreshInterval: time.Hour, RepublishInterval: -1}
	nodes := joined(n, 40, cfg)
	const records = 10
	publish(t, nodes[0], records)
	replicated := func() (sum uint64) {
		for _, d := range nodes {
			sum += d.DHT.Stats().Replicated
		}
		return sum
	}
	time.Sleep(2 * time.Hour)
	const hours = 24
	before := replicated()
	time.Sleep(hours * time.Hour)
	perHour := float64(replicated()-before) / (2 * records * hours) // values and announcements
	t.Logf("replicated %.2f times an hour", perHour)
	if perHour < 0.7 || perHour > 1.1 {
		t.Errorf("replicated %.2f times an hour, want about once", perHour)
	}
	p := newProber(n)
	for i := range records {
		if values, announcements := p.holders(t, n, i); values < cfg.K || announcements < cfg.K {
			t.Errorf("record %d is held by %d nodes, its announcement by %d", i, values, announcements)
		}
	}
}

// A newcomer holds, within a minute, every record that it is among the k closest to;
// each was sent once.
func TestHandOver(t *testing.T) { bubble(t, testHandOver) }

func testHandOver(t *testing.T) {
	var sent tally
	n := kadtest.New(t, kadtest.Config{Seed: 2, Latency: link, Filter: sent.count})
	cfg := kad.Config{K: 8, RepublishInterval: -1, ReplicateInterval: 24 * time.Hour}
	nodes := joined(n, 40, cfg)
	p := newProber(n)
	const records = 60
	publish(t, nodes[0], records)
	time.Sleep(time.Minute)
	for range 3 {
		sent.reset()
		newcomer := n.Add(1, with(cfg))[0]
		time.Sleep(time.Minute)
		var should, lacks int
		for i := range records {
			content := contentOf(t, recordKey(i))
			for key, holds := range map[string]bool{
				recordKey(i):         p.value(t, newcomer, recordKey(i)) != nil,
				providerKey(content): p.announced(t, newcomer, content),
			} {
				if slices.Contains(n.Closest(key, cfg.K), newcomer) {
					if should++; !holds {
						lacks++
					}
				}
				if twice := sent.times(key, newcomer.ID()); twice > 1 {
					t.Errorf("%q was sent %d times", key, twice)
				}
			}
		}
		t.Logf("the newcomer is to hold %d, and lacks %d; %d were sent", should, lacks, sent.total())
		if should == 0 || lacks > 0 {
			t.Errorf("of %d that it is to hold, the newcomer lacks %d", should, lacks)
		}
	}
}

// With a small K, newcomers wait for places in full buckets of the closest holders, and may be
// the only nodes on their side of more than K others. They are handed what they should hold all
// the same.
func TestHandOverToWaiting(t *testing.T) {
	should, lacks := 0, 0
	for seed := range uint64(3) {
		bubble(t, func(t *testing.T) {
			n := kadtest.New(t, kadtest.Config{Seed: seed + 1, Latency: link})
			cfg := kad.Config{K: 3, RepublishInterval: -1, ReplicateInterval: 24 * time.Hour}
			nodes := joined(n, 40, cfg)
			p := newProber(n)
			const records = 60
			publish(t, nodes[0], records)
			time.Sleep(time.Minute)
			for range 4 {
				newcomer := n.Add(1, with(cfg))[0]
				time.Sleep(time.Minute)
				for i := range records {
					if slices.Contains(n.Closest(recordKey(i), cfg.K), newcomer) {
						if should++; p.value(t, newcomer, recordKey(i)) == nil {
							lacks++
						}
					}
				}
			}
		})
	}
	t.Logf("of %d records that they are to hold, the newcomers lack %d", should, lacks)
	if should < 20 || lacks > max(1, should/50) { // a tenth, without the lookups of LoneCPLs; a fifth, if only what is in the table is handed over
		t.Errorf("of %d records that they are to hold, the newcomers lack %d", should, lacks)
	}
}

// A node that leaves on purpose hands over what it holds, so that it is held by as many
// as before.
func TestLeave(t *testing.T) { bubble(t, testLeave) }

func testLeave(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{Latency: link})
	cfg := kad.Config{K: 4, RepublishInterval: -1, ReplicateInterval: 24 * time.Hour}
	nodes := joined(n, 20, cfg)
	const records = 20
	publish(t, nodes[0], records)
	time.Sleep(time.Minute)
	for _, leaver := range nodes[1:10] {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		if err := leaver.DHT.Leave(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
		n.Kill(leaver)
		time.Sleep(time.Minute)
	}
	p := newProber(n)
	for i := range records {
		if values, announcements := p.holders(t, n, i); values < cfg.K || announcements < cfg.K {
			t.Errorf("record %d is held by %d nodes, its announcement by %d", i, values, announcements)
		}
	}
}

// Two writers, each on its side of a partition, put values with a number. When it
// heals, all holders come to have the newer one.
func TestPartitionHeals(t *testing.T) { bubble(t, testPartitionHeals) }

func testPartitionHeals(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{Latency: link})
	cfg := kad.Config{K: 8, RefreshInterval: 10 * time.Minute, RepublishInterval: 2 * time.Hour}
	nodes := joined(n, 30, cfg)
	var left []*kadtest.Node
	for i := 0; i < len(nodes); i += 2 {
		left = append(left, nodes[i])
	}
	n.Partition(left)
	time.Sleep(10 * time.Minute)
	for i, d := range nodes[:2] {
		for round := range 3 {
			if _, err := d.DHT.Put(t.Context(), "/v/key", []byte(strconv.Itoa(2*round+i))); err != nil {
				t.Fatal(err)
			}
		}
	}
	n.Heal()
	time.Sleep(10 * time.Hour) // holders that k others are nearer than learn of it in one round of eight
	byValue := make(map[string]int)
	for _, d := range n.Closest("/v/key", cfg.K) {
		value, err := d.DHT.GetValue(t.Context(), "/v/key", lrouting.Offline)
		if err != nil {
			t.Errorf("one of the k closest: %v", err)
		}
		byValue[string(value)]++
	}
	for _, d := range nodes {
		if value, err := d.DHT.GetValue(t.Context(), "/v/key", lrouting.Offline); err == nil {
			byValue[string(value)]++
		}
	}
	if len(byValue) != 1 || byValue["5"] == 0 {
		t.Errorf("the holders have %v, want 5", byValue)
	}
}

// With PublisherOnly, as on the public IPFS network, holders send no record: neither again,
// nor to newcomers.
func TestPublisherOnly(t *testing.T) { bubble(t, testPublisherOnly) }

func testPublisherOnly(t *testing.T) {
	var sent tally
	n := kadtest.New(t, kadtest.Config{Latency: link, Filter: sent.count})
	cfg := kad.Config{K: 4, PublisherOnly: true, RepublishInterval: -1}
	publish(t, joined(n, 10, cfg)[0], 3)
	if sent.total() == 0 {
		t.Fatal("nothing was published")
	}
	sent.reset()
	time.Sleep(10 * time.Hour)
	n.Add(1, with(cfg))
	time.Sleep(time.Minute)
	if sent.total() > 0 {
		t.Errorf("%d records were sent", sent.total())
	}
}

// A get leaves a copy with the closest peer on its way that has none, with a shorter
// life.
func TestCacheOnTheWay(t *testing.T) { bubble(t, testCacheOnTheWay) }

func testCacheOnTheWay(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{Latency: link})
	cfg := kad.Config{K: 4, RepublishInterval: -1, ReplicateInterval: -1}
	nodes := joined(n, 40, cfg)
	if _, err := nodes[0].DHT.Put(t.Context(), "/v/key", []byte("1")); err != nil {
		t.Fatal(err)
	}
	cached := uint64(0)
	for _, d := range nodes[20:] {
		if _, err := d.DHT.GetValue(t.Context(), "/v/key", kad.Quorum(1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		cached += d.DHT.Stats().Cached
	}
	if cached == 0 {
		t.Error("no copies")
	}
	p := newProber(n)
	shorter := 0
	for _, d := range nodes[1:] {
		closer := countCloser(d, "/v/key")
		held := p.value(t, d, "/v/key")
		if held == nil || closer < cfg.K {
			continue
		}
		shorter++
		if most := routing.CacheLifetime(48*time.Hour, closer, cfg.K); held.TTL > most {
			t.Errorf("%d nodes are closer, and the copy lives for %v, want %v", closer, held.TTL, most)
		}
	}
	if shorter == 0 {
		t.Error("no copy beyond the k closest")
	}
}

// countCloser returns how many contacts of a node are closer to a key than the node.
func countCloser(d *kadtest.Node, key string) (closer int) {
	target, own := routing.KeyOf([]byte(key)), routing.KeyOf([]byte(d.ID()))
	for _, b := range d.DHT.Table() {
		for _, c := range b.Contacts {
			if target.Compare(routing.KeyOf([]byte(c.ID)), own) < 0 {
				closer++
			}
		}
	}
	return closer
}
