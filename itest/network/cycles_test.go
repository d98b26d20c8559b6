package network_test

import (
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
	"github.com/go-kad/kad/protocol"
)

// Cycles of publications in networks that change.
const (
	cycle = time.Hour // after which a publication is due again

	cycleContents, cycleValues = 2000, 200

	// cycleCopies is the share of the copies of a key that the closest nodes lack at most: a node
	// that has gone without a word may still be taken for one of them.
	cycleCopies = 0.02
)

// A cycles publishes many contents and values in a network, and watches what is sent of them.
type cycles struct {
	net       *kadtest.Network
	cfg       kad.Config
	publisher *kadtest.Node
	prober    prober

	mu   sync.Mutex
	last map[string]map[peer.ID]time.Time // when a key was sent last, by receiver
}

// newCycles returns a network of so many nodes, of which only publishers send records: what a
// holder has is of the publisher.
func newCycles(t *testing.T, seed uint64, size int) *cycles {
	t.Helper()
	c := &cycles{last: make(map[string]map[peer.ID]time.Time)}
	c.cfg = with(kad.Config{
		K: 8, PublisherOnly: true, RepublishInterval: cycle,
		RecordAge: 2*cycle + cycle/4, // as much longer as by default
	})
	c.net = kadtest.New(t, kadtest.Config{Seed: seed, Latency: link, Filter: c.watch})
	c.publisher = c.net.Add(size, c.cfg)[0]
	c.prober = newProber(c.net)
	c.net.Settle()
	return c
}

// watch is a kadtest.Config.Filter that keeps all.
func (c *cycles) watch(_, to *kadtest.Node, req protocol.Request) bool {
	var key []byte
	switch req := req.(type) {
	case protocol.PutValue:
		key = req.Record.Key
	case protocol.AddProvider:
		key = req.Key
	default:
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.last[string(key)] == nil {
		c.last[string(key)] = make(map[peer.ID]time.Time)
	}
	c.last[string(key)][to.ID()] = time.Now()
	return true
}

// publish publishes all, and checks that each has a result, and is kept.
func (c *cycles) publish(t *testing.T) {
	t.Helper()
	done := published(t, c.publisher.DHT.AnnounceMany(t.Context(), contents(t, cycleContents)))
	done += published(t, c.publisher.DHT.PutMany(t.Context(), values(0, cycleValues)))
	if kept := c.publisher.DHT.Stats().Publications; done != cycleContents+cycleValues || kept != done {
		t.Errorf("%d have a result without an error, and %d are kept, want %d", done, kept, cycleContents+cycleValues)
	}
}

// check checks, after all were published again, that no key was left out, that the nodes that are
// closest now hold them, and that a node finds them.
func (c *cycles) check(t *testing.T) {
	t.Helper()
	stats := c.publisher.DHT.Stats()
	t.Logf("%d published, %d failed, last: %v", stats.Published, stats.PublishFailed, stats.LastFailure.Err)
	if stats.Publications != cycleContents+cycleValues || stats.PublicationsOverdue > 0 {
		t.Errorf("%d are kept, %d are overdue; want %d and none", stats.Publications, stats.PublicationsOverdue, cycleContents+cycleValues)
	}
	if stats.PublishFailed > 0 && stats.LastFailure.Err == nil {
		t.Errorf("%d have failed, without a reason", stats.PublishFailed)
	}
	late := 0
	for i := range cycleContents {
		if c.since(providerKey(contentOf(t, recordKey(i)))) > cycle+10*time.Minute {
			late++
		}
		if i < cycleValues && c.since(recordKey(i)) > cycle+10*time.Minute {
			late++
		}
	}
	asker := c.net.Pick(1, c.publisher, c.prober.Node)[0]
	missing, lacking, copies := 0, 0, 0
	for i := 0; i < cycleContents; i += 20 {
		content := contentOf(t, recordKey(i))
		for _, d := range c.net.Closest(providerKey(content), c.cfg.K, c.publisher) {
			if copies++; !c.prober.announced(t, d, content) {
				lacking++
			}
		}
		if i >= cycleValues {
			continue
		}
		for _, d := range c.net.Closest(recordKey(i), c.cfg.K, c.publisher) {
			if copies++; c.prober.value(t, d, recordKey(i)) == nil {
				lacking++
			}
		}
		if value, _, err := get(t, asker, i); value != "1" || err != nil {
			missing++
		}
	}
	missing += unfound(t, asker, c.publisher, cycleContents, 20)
	t.Logf("%d keys are late; of a sample, %d of %d copies are lacking, %d are not found", late, lacking, copies, missing)
	if late > 0 || missing > 0 || float64(lacking) > cycleCopies*float64(copies) {
		t.Errorf("%d keys are late, %d of %d copies are lacking, %d keys are not found", late, lacking, copies, missing)
	}
}

// since returns how long ago a key was sent.
func (c *cycles) since(key string) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	shortest := 1000 * time.Hour
	for _, at := range c.last[key] {
		shortest = min(shortest, time.Since(at))
	}
	return shortest
}

// While half of the nodes leave, most without a word, publications go to the nodes that are left.
func TestManyInShrinking(t *testing.T) { bubble(t, testManyInShrinking) }

func testManyInShrinking(t *testing.T) {
	const size = 60
	c := newCycles(t, 1, size)
	c.publish(t)
	for i, d := range c.net.Pick(size/2, c.publisher, c.prober.Node) {
		switch i % 3 {
		case 0:
			if err := d.DHT.Leave(t.Context()); err != nil {
				t.Error(err)
			}
		case 1:
			c.net.Unplug(d)
		}
		c.net.Kill(d)
		time.Sleep(3 * cycle / (size / 2))
	}
	time.Sleep(cycle + cycle/10)
	c.check(t)
}

// While a network doubles, publications go to the nodes that are new and closer.
func TestManyInGrowing(t *testing.T) { bubble(t, testManyInGrowing) }

func testManyInGrowing(t *testing.T) {
	const size = 30
	c := newCycles(t, 2, size)
	c.publish(t)
	for range size {
		c.net.Add(1, c.cfg)
		time.Sleep(2 * cycle / size)
	}
	time.Sleep(cycle + cycle/10)
	c.check(t)
}
