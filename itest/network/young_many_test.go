package network_test

import (
	"fmt"
	"iter"
	"slices"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
	"github.com/go-kad/kad/protocol"
)

// What a node announces at once as the first thing it does, while it joins, is held by the closest
// nodes a minute later: its table is young, and has only some of them.
func TestManyWhileYoung(t *testing.T) { bubble(t, testManyWhileYoung) }

func testManyWhileYoung(t *testing.T) {
	const count = 500
	n := kadtest.New(t, kadtest.Config{Seed: 3, Latency: link})
	cfg := kad.Config{PublisherOnly: true}
	others := joined(n, 60, cfg)
	p := newProber(n)
	for _, after := range []time.Duration{0, 300 * time.Millisecond, time.Second} {
		d := n.Add(1, with(cfg))[0]
		time.Sleep(after)
		known := d.DHT.Stats().Contacts
		done := published(t, d.DHT.AnnounceMany(t.Context(), contents(t, count)))
		if kept := d.DHT.Stats().Publications; done != count || kept != count {
			t.Errorf("after %v: %d are announced, %d kept, want %d", after, done, kept, count)
		}
		time.Sleep(time.Minute)
		lacking, copies := 0, 0
		for i := 0; i < count; i += 10 {
			content := contentOf(t, recordKey(i))
			for _, at := range n.Closest(providerKey(content), defaultK, d) {
				if copies++; !p.announcedBy(t, at, content, d.ID()) {
					lacking++
				}
			}
		}
		missing := unfound(t, others[0], d, count, 10)
		t.Logf("%v after its start, with %d contacts: %d of %d copies are lacking, %d not found", after, known, lacking, copies, missing)
		if missing > 0 || lacking > copies/50 {
			t.Errorf("%v after its start: %d of %d copies are lacking, %d not found", after, lacking, copies, missing)
		}
		n.Kill(d)
	}
}

// announcedBy reports whether a node holds an announcement of a content by a provider.
func (p prober) announcedBy(t *testing.T, at *kadtest.Node, c cid.Cid, provider peer.ID) bool {
	t.Helper()
	held := p.ask(t, at, protocol.GetProviders{Key: []byte(providerKey(c))}).Providers
	return slices.ContainsFunc(held, func(h protocol.Peer) bool { return h.ID == provider })
}

// In a network of two to four nodes, all of them hold what the first one publishes as the first
// thing it does, before there is another one, or while they start. A result with an error is one of
// a publication that is tried again.
func TestManyInTinyNetwork(t *testing.T) {
	for size := 2; size <= 4; size++ {
		for _, after := range []time.Duration{0, time.Second, time.Hour} { // what is published before the others start
			for _, publisherOnly := range []bool{false, true} {
				name := fmt.Sprint(size, " nodes, the others after ", after, ", publisher only: ", publisherOnly)
				t.Run(name, func(t *testing.T) {
					bubble(t, func(t *testing.T) { testManyInTinyNetwork(t, size, after, publisherOnly) })
				})
			}
		}
	}
}

func testManyInTinyNetwork(t *testing.T, size int, after time.Duration, publisherOnly bool) {
	const contentCount, valueCount = 200, 50
	n := kadtest.New(t, kadtest.Config{Seed: uint64(size), Latency: link})
	cfg := with(kad.Config{PublisherOnly: publisherOnly})
	d := n.Add(1, cfg)[0]
	failed, done := 0, 0
	count := func(results iter.Seq[kad.Published]) {
		for r := range results {
			if done++; r.Err != nil {
				failed++
			}
		}
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		count(d.DHT.AnnounceMany(t.Context(), contents(t, contentCount)))
		count(d.DHT.PutMany(t.Context(), values(0, valueCount)))
	}()
	time.Sleep(after)
	n.Add(size-1, cfg)
	n.Settle()
	<-ended
	time.Sleep(15 * time.Minute)
	s := d.DHT.Stats()
	if done != contentCount+valueCount || s.Publications != done {
		t.Errorf("%d have a result, %d are kept, want %d", done, s.Publications, contentCount+valueCount)
	}
	p := newProber(n)
	lacking := 0
	for _, at := range n.Nodes() {
		if at.DHT == nil {
			continue
		}
		for i := range contentCount {
			if !p.announced(t, at, contentOf(t, recordKey(i))) {
				lacking++
			}
			if i < valueCount && p.value(t, at, recordKey(i)) == nil {
				lacking++
			}
		}
	}
	t.Logf("%d of %d failed at first, last: %v; a quarter of an hour later, %d of %d copies are lacking",
		failed, done, s.LastFailure.Err, lacking, size*done)
	if lacking > 0 {
		t.Errorf("%d of %d copies are lacking", lacking, size*done)
	}
}
