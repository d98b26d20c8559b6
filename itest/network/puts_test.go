package network_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	lrouting "github.com/libp2p/go-libp2p/core/routing"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
	"github.com/go-kad/kad/protocol"
)

// hangUp closes the connections of a node.
func hangUp(d *kadtest.Node) {
	for _, conn := range d.Host.Network().Conns() {
		_ = conn.Close()
	}
}

// Puts of a node that has just started are stored by the closest, though few dials may
// be in flight.
func TestColdPuts(t *testing.T) {
	for _, count := range []int{1, 16} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			bubble(t, func(t *testing.T) { testColdPuts(t, count) })
		})
	}
}

func testColdPuts(t *testing.T, count int) {
	n := kadtest.New(t, kadtest.Config{Latency: wide})
	joined(n, 59, kad.Config{})
	d := n.Add(1, with(kad.Config{MaxDials: 16, Dir: t.TempDir()}))[0]
	time.Sleep(time.Minute)
	n.Restart(d)
	if err := d.DHT.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if connected := len(d.Host.Network().Conns()); connected > 30 {
		t.Errorf("it is connected to %d of 59 nodes at once", connected)
	}
	var mu sync.Mutex
	right, wanted, failed := 0, 0, 0
	worst := time.Duration(0)
	var puts sync.WaitGroup
	for i := range count {
		puts.Go(func() {
			start := time.Now()
			receipt, err := d.DHT.Put(t.Context(), recordKey(i), []byte("1"))
			spent := time.Since(start)
			if err == nil { // it returned at three quarters of k
				receipt, err = receipt.Wait(t.Context())
			}
			mu.Lock()
			defer mu.Unlock()
			worst = max(worst, spent)
			if err != nil {
				failed++
			}
			want := ids(n.Closest(recordKey(i), defaultK, d))
			wanted += len(want)
			for _, id := range receipt.Stored {
				if slices.Contains(want, id) {
					right++
				}
			}
		})
	}
	puts.Wait()
	time.Sleep(2 * time.Second)
	share := float64(right) / float64(wanted)
	t.Logf("%.3f of the closest have it, the slowest took %v", share, worst)
	if share < 0.95 || failed > 0 || worst > 5*time.Second {
		t.Errorf("%d puts: %.2f of the closest have it, %d errors, the slowest took %v", count, share, failed, worst)
	}
}

// A put whose lookup was spared by what is remembered does not wait for peers that went
// silent meanwhile.
func TestPutOfRemembered(t *testing.T) { bubble(t, testPutOfRemembered) }

func testPutOfRemembered(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{Latency: wide})
	d := n.Add(1, with(kad.Config{}))[0]
	joined(n, 59, kad.Config{})
	time.Sleep(time.Minute)
	closestTo(t, n, d, "/v/key")
	n.Silence(n.Closest("/v/key", 20, d)[3:13]...)
	time.Sleep(time.Second)
	start := time.Now()
	receipt, err := d.DHT.Put(t.Context(), "/v/key", []byte("1"), kad.Quorum(8))
	spent := time.Since(start)
	if err != nil || spent > time.Second {
		t.Errorf("a put with a quorum of 8 took %v, %v, though 10 of 20 are well and 40 more nodes", spent, err)
	}
	receipt, err = receipt.Wait(t.Context())
	if len(receipt.Stored) < 15 {
		t.Errorf("stored by %d, with 10 of the remembered gone and 49 nodes alive: %v", len(receipt.Stored), err)
	}
	time.Sleep(2 * time.Second)
}

// An announcement does not wait for a peer that does not acknowledge.
func TestAnnounceToSilent(t *testing.T) { bubble(t, testAnnounceToSilent) }

func testAnnounceToSilent(t *testing.T) {
	var slow atomic.Pointer[kadtest.Node]
	n := kadtest.New(t, kadtest.Config{Latency: wide, Filter: func(_, to *kadtest.Node, req protocol.Request) bool {
		_, announces := req.(protocol.AddProvider)
		return !announces || to != slow.Load() // it answered the lookup, and not this
	}})
	d := joined(n, 60, kad.Config{})[0]
	content := contentOf(t, "content")
	slow.Store(n.Closest(providerKey(content), 20, d)[7])
	spent := took(func() {
		if _, err := d.DHT.Announce(t.Context(), content); err != nil {
			t.Error(err)
		}
	})
	if spent > time.Second {
		t.Errorf("it took %v to announce, while 1 of 20 was silent", spent)
	}
}

// A put that has returned at its quorum does not hang on events that are not read any
// more, and has filled its trace.
func TestPutAfterItsQuorum(t *testing.T) { bubble(t, testPutAfterItsQuorum) }

func testPutAfterItsQuorum(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{Latency: wide})
	d := joined(n, 60, kad.Config{})[0]
	for i := range 10 {
		closestTo(t, n, d, fmt.Sprint(i))
	}
	base, cancel := context.WithCancel(t.Context())
	defer cancel()
	early := 0
	for i := range 20 {
		ctx, trace := kad.WithTrace(base)
		ctx, events := lrouting.RegisterForQueryEvents(ctx)
		returned := make(chan struct{})
		go func() {
			for {
				select {
				case <-events:
				case <-returned:
					return
				}
			}
		}()
		receipt, err := d.DHT.Put(ctx, recordKey(i), []byte("1"), kad.Quorum(1))
		if err != nil {
			t.Fatal(err)
		}
		close(returned)
		if trace.Stats().Requests == 0 {
			early++
		}
		wait, stop := context.WithTimeout(t.Context(), time.Minute)
		if _, err := receipt.Wait(wait); err != nil {
			t.Errorf("put %d has not ended after a minute: %v", i, err)
			stop()
			break
		}
		stop()
	}
	if early > 0 {
		t.Errorf("%d traces were empty when their put had returned", early)
	}
	cancel()
	time.Sleep(2 * time.Second)
}

// A reader that takes its time does no harm to peers.
func TestSlowReader(t *testing.T) { bubble(t, testSlowReader) }

func testSlowReader(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{Latency: wide})
	d := joined(n, 100, kad.Config{})[0]
	time.Sleep(2 * time.Minute)
	content := contentOf(t, "content")
	if _, err := n.Closest(providerKey(content), 1, d)[0].DHT.Announce(t.Context(), content); err != nil {
		t.Fatal(err)
	}
	hangUp(d)
	before := d.DHT.Stats()
	for range d.DHT.Providers(t.Context(), content, 0) {
		time.Sleep(15 * time.Second) // it fetches something
	}
	after := d.DHT.Stats()
	if after.Suspects > 0 || after.RequestsFailed > before.RequestsFailed {
		t.Errorf("%d suspects, %d failures; all peers are well", after.Suspects, after.RequestsFailed-before.RequestsFailed)
	}
	time.Sleep(2 * time.Second)
}
