package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// link is the latency of the networks in which records live for long.
const link = 20 * time.Millisecond

// A tally counts what is sent, by key and receiver.
type sentTally struct {
	mu   sync.Mutex
	puts map[string]map[peer.ID]int
	all  int
}

// count is for [memNet.watch].
func (s *sentTally) count(_ *DHT, to peer.ID, req protocol.Request) {
	var key []byte
	switch req := req.(type) {
	case protocol.PutValue:
		key = req.Record.Key
	case protocol.AddProvider:
		key = req.Key
	default:
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.puts == nil {
		s.puts = make(map[string]map[peer.ID]int)
	}
	if s.puts[string(key)] == nil {
		s.puts[string(key)] = make(map[peer.ID]int)
	}
	s.puts[string(key)][to]++
	s.all++
}

// reset forgets what was counted.
func (s *sentTally) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts, s.all = make(map[string]map[peer.ID]int), 0
}

// times returns how often something was sent under a key to a node.
func (s *sentTally) times(key string, to peer.ID) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.puts[key][to]
}

func (s *sentTally) total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}

// keyAt returns the key of a value of the test.
func recordKey(i int) string { return "/v/" + strconv.Itoa(i) }

// mustPut puts values under recordKey(0), recordKey(1), …, and announces as many contents.
func mustPut(t *testing.T, d *DHT, values int) {
	t.Helper()
	for i := range values {
		if _, err := d.Put(t.Context(), recordKey(i), []byte("1")); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Announce(t.Context(), testCID(recordKey(i))); err != nil {
			t.Fatal(err)
		}
	}
}

// holdersOf returns which nodes hold a value, or an announcement of somebody else.
func holdersOf(t *testing.T, n *memNet, i int) (values, providers []peer.ID) {
	t.Helper()
	key, err := providerKey(testCID(recordKey(i)))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range n.all() {
		held, err := d.heldValues(t.Context(), []byte(recordKey(i)), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if len(held) > 0 {
			values = append(values, d.self)
		}
		known, err := d.store.Providers(t.Context(), key, time.Now(), 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(known) > 0 {
			providers = append(providers, d.self)
		}
	}
	return values, providers
}

// get asks a node for a value of the test, and for the providers of a content.
func get(t *testing.T, d *DHT, i int) (value string, providers int, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	found, err := d.GetValue(ctx, recordKey(i))
	for _, problem := range d.Providers(ctx, testCID(recordKey(i)), 0) {
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
	if s := os.Getenv("KAD_LIFE_HOURS"); s != "" {
		hours, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("KAD_LIFE_HOURS: %v", err)
		}
		return hours
	}
	if raceEnabled {
		return 2
	}
	return 10
}

// A value that was put once, and an announcement that was made once, are found after
// 30 days in a network in which every hour a tenth of the nodes goes without a word
// and is replaced, as long as their publisher lives.
func TestMonth(t *testing.T) {
	hours := lifeHours(t)
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, link)
		cfg := Config{RefreshInterval: 6 * time.Hour} // what is asked anyway refreshes more often
		nodes := n.nodes(fewer(200), cfg)
		publisher := nodes[0]
		const records = 3
		mustPut(t, publisher, records)
		for hour := range hours {
			if hour%24 == 0 {
				values, announcements := holdersOf(t, n, 0)
				t.Logf("day %d: the value is held by %d nodes, the announcement by %d", hour/24, len(values), len(announcements))
			}
			n.churn(20, cfg, publisher)
			asked := n.any()
			for asked == publisher {
				asked = n.any()
			}
			before := asked.Stats()
			i := hour % records
			if value, providers, err := get(t, asked, i); value != "1" || providers != 1 || err != nil {
				values, announcements := holdersOf(t, n, i)
				t.Fatalf("after %d hours: value %q, %d providers, %v; held by %d and %d nodes; asked one with %+v before",
					hour+1, value, providers, err, len(values), len(announcements), before)
			}
		}
		values, announcements := holdersOf(t, n, 0)
		t.Logf("after %d hours: the value is held by %d nodes, the announcement by %d", hours, len(values), len(announcements))
	})
}

// Without publishing again, a record is gone after its lifetime, everywhere, and is
// never served after it, however often it was replicated, cached and corrected.
func TestGoneAfterLifetime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, link)
		cfg := Config{K: 8, RecordAge: 12 * time.Hour, RepublishInterval: -1, RefreshInterval: time.Hour}
		nodes := n.nodes(40, cfg)
		start := time.Now()
		mustPut(t, nodes[0], 2)
		put := time.Since(start)
		for time.Since(start) < cfg.RecordAge-time.Minute {
			if value, providers, err := get(t, n.any(), 0); value != "1" || err != nil || providers > 1 {
				t.Fatalf("after %v: value %q, %d providers, %v", time.Since(start), value, providers, err)
			}
			time.Sleep(47 * time.Minute)
		}
		time.Sleep(cfg.RecordAge + put - time.Since(start))
		for i := range 2 {
			// Announcements that we made ourselves are ours until we stop.
			if values, announcements := holdersOf(t, n, i); len(values) > 0 || len(announcements) > 1 {
				t.Errorf("after %v, the value is held by %d nodes, the announcement by %d", time.Since(start), len(values), len(announcements))
			}
		}
		for _, d := range nodes {
			if _, err := d.GetValue(t.Context(), recordKey(0)); !errors.Is(err, ErrNotFound) {
				t.Errorf("served after its lifetime: %v", err)
			}
		}
		time.Sleep(2 * time.Minute)
		for _, d := range nodes {
			if held := d.Stats().Values; held > 0 {
				t.Errorf("%d values were not swept", held)
			}
		}
	})
}

// In a stable network, a record is replicated about once an hour in all, not once by
// each of its holders: who was sent it within the hour leaves it alone.
func TestReplicatedOncePerHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, link)
		cfg := Config{K: 8, RefreshInterval: time.Hour, RepublishInterval: -1}
		nodes := n.nodes(40, cfg)
		const records = 10
		mustPut(t, nodes[0], records)
		replicated := func() (sum uint64) {
			for _, d := range nodes {
				sum += d.Stats().Replicated
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
		for i := range records {
			values, announcements := holdersOf(t, n, i)
			if len(values) < cfg.K || len(announcements) < cfg.K {
				t.Errorf("record %d is held by %d nodes, its announcement by %d", i, len(values), len(announcements))
			}
		}
	})
}

// A network that does not replicate does not: that is the rule of the public one.
func TestReplicateOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, link)
		var sent sentTally
		n.watch = sent.count
		nodes := n.nodes(10, Config{K: 4, ReplicateInterval: -1, HandoverRate: -1, DisableCaching: true, RepublishInterval: -1})
		mustPut(t, nodes[0], 3)
		sent.reset()
		time.Sleep(10 * time.Hour)
		n.join(Config{K: 4})
		time.Sleep(time.Minute)
		if sent.total() > 0 {
			t.Errorf("%d records were sent", sent.total())
		}
	})
}

// A newcomer holds, within a minute, every record that it is among the k closest to;
// each was sent once.
func TestHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, link)
		var sent sentTally
		n.watch = sent.count
		cfg := Config{K: 8, RepublishInterval: -1, ReplicateInterval: 24 * time.Hour}
		nodes := n.nodes(40, cfg)
		const records = 60
		mustPut(t, nodes[0], records)
		time.Sleep(time.Minute)
		for range 3 {
			sent.reset()
			newcomer := n.join(cfg)
			time.Sleep(time.Minute)
			var should, lacks int
			for i := range records {
				contentKey, err := providerKey(testCID(recordKey(i)))
				if err != nil {
					t.Fatal(err)
				}
				held, err := newcomer.heldValues(t.Context(), []byte(recordKey(i)), time.Now())
				known, err2 := newcomer.store.Providers(t.Context(), contentKey, time.Now(), 0)
				if err != nil || err2 != nil {
					t.Fatal(err, err2)
				}
				for key, holds := range map[string]bool{recordKey(i): len(held) > 0, string(contentKey): len(known) > 0} {
					if slices.Contains(n.closest([]byte(key), cfg.K, nil), newcomer.self) {
						if should++; !holds {
							lacks++
						}
					}
					if twice := sent.times(key, newcomer.self); twice > 1 {
						t.Errorf("%q was sent %d times", key, twice)
					}
				}
			}
			t.Logf("the newcomer is to hold %d, and lacks %d; %d were sent", should, lacks, sent.total())
			if should == 0 || lacks > 0 {
				t.Errorf("of %d that it is to hold, the newcomer lacks %d", should, lacks)
			}
		}
	})
}

// Who leaves on purpose hands over what it holds, so that it is held by as many as
// before; who goes without a word does not.
func TestLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, link)
		cfg := Config{K: 4, RepublishInterval: -1, ReplicateInterval: 24 * time.Hour}
		nodes := n.nodes(20, cfg)
		const records = 20
		mustPut(t, nodes[0], records)
		time.Sleep(time.Minute)
		for _, leaver := range nodes[1:10] {
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			if err := leaver.Leave(ctx); err != nil {
				t.Fatal(err)
			}
			cancel()
			n.kill(leaver)
			time.Sleep(time.Minute)
		}
		for i := range records {
			if values, announcements := holdersOf(t, n, i); len(values) < cfg.K || len(announcements) < cfg.K {
				t.Errorf("record %d is held by %d nodes, its announcement by %d", i, len(values), len(announcements))
			}
		}
	})
}

// Two writers, each on its side of a partition, put values with a number. When it
// heals, all holders come to have the newer one.
func TestPartitionHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, link)
		cfg := Config{K: 8, RefreshInterval: 10 * time.Minute, RepublishInterval: 2 * time.Hour}
		nodes := n.nodes(30, cfg)
		left := make(map[*DHT]bool)
		for i, d := range nodes {
			left[d] = i%2 == 0
		}
		n.partition(func(a, b *DHT) bool { return left[a] == left[b] })
		time.Sleep(10 * time.Minute)
		for i, d := range nodes[:2] {
			for round := range 3 {
				if _, err := d.Put(t.Context(), "/v/key", []byte(strconv.Itoa(2*round+i))); err != nil {
					t.Fatal(err)
				}
			}
		}
		n.partition(nil)
		time.Sleep(4 * time.Hour)
		byValue := make(map[string]int)
		for _, id := range n.closest([]byte("/v/key"), cfg.K, nil) {
			value, err := n.find(id).GetValue(t.Context(), "/v/key", lrouting.Offline)
			if err != nil {
				t.Errorf("one of the k closest: %v", err)
			}
			byValue[string(value)]++
		}
		for _, d := range nodes {
			if value, err := d.GetValue(t.Context(), "/v/key", lrouting.Offline); err == nil {
				byValue[string(value)]++
			}
		}
		if len(byValue) != 1 || byValue["5"] == 0 {
			t.Errorf("the holders have %v, want 5", byValue)
		}
	})
}

// A get leaves a copy with the closest peer on its way that has none, with a shorter
// life; the more of them, the sooner the next get ends.
func TestCacheOnTheWay(t *testing.T) {
	for _, off := range []bool{false, true} {
		t.Run(fmt.Sprintf("off %v", off), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newMemNet(t, link)
				cfg := Config{K: 4, RepublishInterval: -1, ReplicateInterval: -1, DisableCaching: off}
				nodes := n.nodes(40, cfg)
				if _, err := nodes[0].Put(t.Context(), "/v/key", []byte("1")); err != nil {
					t.Fatal(err)
				}
				cached := uint64(0)
				for _, d := range nodes[20:] {
					if _, err := d.GetValue(t.Context(), "/v/key", Quorum(1)); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Second)
					cached += d.Stats().Cached
				}
				if off != (cached == 0) {
					t.Errorf("%d copies", cached)
				}
				if off {
					return
				}
				shorter := 0
				for _, d := range nodes {
					closer := d.peers.countCloser(routing.KeyOf([]byte("/v/key")))
					held, err := d.heldValues(t.Context(), []byte("/v/key"), time.Now())
					if err != nil {
						t.Fatal(err)
					}
					if len(held) == 0 || closer < cfg.K {
						continue
					}
					shorter++
					if left := time.Until(held[0].Expires); d != nodes[0] && left > routing.CacheLifetime(48*time.Hour, closer, cfg.K) {
						t.Errorf("%d nodes are closer, and the copy lives for %v", closer, left)
					}
				}
				if shorter == 0 {
					t.Error("no copy beyond the k closest")
				}
			})
		})
	}
}
