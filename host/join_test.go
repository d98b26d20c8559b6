package host

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// To join, a node looks up its own ID, and after that a key of each bucket
// farther away than its closest neighbour.
func TestJoinOrder(t *testing.T) { synctest.Test(t, testJoinOrder) }

func testJoinOrder(t *testing.T) {
	n := newTestNet(t)
	p := n.puppet(says(protocol.Response{}))
	own := routing.KeyOf([]byte(p.ID()))
	h := n.hostAt(func(k routing.Key) bool { return own.CPL(k) == 3 })
	d := n.attach(h, Config{Bootstrap: []peer.AddrInfo{info(p)}})
	time.Sleep(settleAfter / 2)

	looked := make(map[int]int) // CPL, and how often
	before := 0                 // requests for our ID before those for buckets
	for _, req := range p.requests() {
		target := req.(protocol.FindNode).Target
		switch self := string(target) == string(d.ID()); {
		case self && len(looked) == 0:
			before++
		case self:
			t.Error("our ID was looked up after the first bucket")
		default:
			looked[routing.KeyOf([]byte(d.ID())).CPL(routing.KeyOf(target))]++
		}
	}
	if before < 2 {
		t.Errorf("%d requests for our ID, want a probe and a lookup", before)
	}
	// The neighbour shares 3 bits. There is no peer at CPL 0, so that none is expected
	// beyond CPL 2.
	for cpl := range 3 {
		if looked[cpl] != 1 {
			t.Errorf("CPL %d was looked up %d times, want once", cpl, looked[cpl])
		}
	}
	if len(looked) != 3 {
		t.Errorf("looked up at %v, want CPLs 0 to 2", looked)
	}
}

// A dialSpy notes when its host is asked to dial.
type dialSpy struct {
	lhost.Host

	mu    sync.Mutex
	times []time.Time
}

func (s *dialSpy) Network() network.Network { return spiedNetwork{s.Host.Network(), s} }

type spiedNetwork struct {
	network.Network
	spy *dialSpy
}

func (n spiedNetwork) DialPeer(ctx context.Context, to peer.ID) (network.Conn, error) {
	n.spy.mu.Lock()
	n.spy.times = append(n.spy.times, time.Now())
	n.spy.mu.Unlock()
	return n.Network.DialPeer(ctx, to)
}

func (s *dialSpy) dials() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	times := s.times
	s.times = nil
	return times
}

// A node without contacts tries its bootstrap peers, more and more seldom, from every 0.2s
// to every 30s, and is back by itself when they are.
func TestJoinAgain(t *testing.T) { synctest.Test(t, testJoinAgain) }

func testJoinAgain(t *testing.T) {
	n := newTestNet(t)
	p := n.puppet(says(protocol.Response{}))
	spy := &dialSpy{Host: n.host()}
	n.cut(p)
	lost := time.Now()
	d := n.attach(spy, Config{Bootstrap: []peer.AddrInfo{info(p)}})
	time.Sleep(5 * time.Minute)
	dials := spy.dials()
	if len(dials) < 10 || len(dials) > 30 {
		t.Fatalf("%d attempts in 5 minutes, want 7 while the wait doubles, and one every 30s", len(dials))
	}
	if first := dials[0].Sub(lost); first > 220*time.Millisecond {
		t.Errorf("the first attempt came after %v, want 0.2s at most", first)
	}
	want := 200 * time.Millisecond
	for i := 1; i < len(dials); i++ {
		wait := dials[i].Sub(dials[i-1])
		if wait < want*9/10 || wait > want*11/10 {
			t.Errorf("wait %d was %v, want %v give or take a tenth", i, wait, want)
		}
		want = min(2*want, 30*time.Second)
	}

	n.mend(p)
	time.Sleep(35 * time.Second)
	if !knows(d, p) {
		t.Error("it has not come back by itself")
	}
}

// A node without bootstrap peers that has lost all of its contacts has them
// again as soon as the host is connected to one.
func TestReconnect(t *testing.T) { synctest.Test(t, testReconnect) }

func testReconnect(t *testing.T) {
	n := newTestNet(t)
	d, puppets := crowd(t, n, 1)
	n.cut(puppets[0])
	time.Sleep(time.Hour)
	if d.table.Live() {
		t.Fatal("it has not noticed")
	}
	n.mend(puppets[0])
	dialHost(t, puppets[0], d.host)
	time.Sleep(time.Second)
	if !knows(d, puppets[0]) {
		t.Error("it is connected to a peer of its network, and has an empty table")
	}
}

// keyAt returns a key that shares exactly cpl bits with that of d.
func keyAt(d *DHT, cpl int) []byte {
	return routing.Preimage(routing.KeyOf([]byte(d.ID())), cpl, rand.New(rand.NewPCG(1, uint64(cpl))))
}

// A bucket that was not looked into for RefreshInterval is looked up at a random
// key inside. Lookups of the user count, too.
func TestRefresh(t *testing.T) { synctest.Test(t, testRefresh) }

func testRefresh(t *testing.T) {
	n := newTestNet(t)
	d := n.node(Config{RefreshInterval: 20 * time.Minute})
	p, q := n.puppetAt(d, 0, says(protocol.Response{})), n.puppetAt(d, 1, says(protocol.Response{}))
	meet(t, d, p, q)
	time.Sleep(time.Minute)
	p.requests()

	time.Sleep(65 * time.Minute)
	looked := make(map[int]int)
	keys := make(map[string]bool)
	for _, target := range p.lookups(d) {
		looked[routing.KeyOf([]byte(d.ID())).CPL(routing.KeyOf(target))]++
		keys[string(target)] = true
	}
	total := 0
	for cpl := range 2 {
		if looked[cpl] < 2 || looked[cpl] > 4 {
			t.Errorf("CPL %d was looked up %d times in 65 minutes, want about 3", cpl, looked[cpl])
		}
		total += looked[cpl]
	}
	if len(looked) != 2 || len(keys) != total {
		t.Errorf("looked up at %v, %d different keys; want CPL 0 and 1, and random keys", looked, len(keys))
	}

	mine := make(map[string]bool)
	for i := range 12 {
		for cpl := range 2 {
			key := keyAt(d, cpl)
			mine[string(key)] = true
			if _, err := d.ClosestPeers(t.Context(), key); err != nil {
				t.Fatal(err)
			}
		}
		if i == 0 {
			p.requests() // a refresh may have been due just now
		}
		time.Sleep(5 * time.Minute)
	}
	for _, target := range p.lookups(d) {
		if !mine[string(target)] {
			t.Error("a bucket was refreshed that the user looked into")
		}
	}
}

// Two joins at a time are one.
func TestBootstrapJoinsARunningJoin(t *testing.T) { synctest.Test(t, testBootstrapShared) }

func testBootstrapShared(t *testing.T) {
	n := newTestNet(t)
	p := n.puppet(says(protocol.Response{}))
	spy := &dialSpy{Host: n.host()}
	d := n.attach(spy, Config{Bootstrap: []peer.AddrInfo{info(p)}})
	var calls sync.WaitGroup
	for range 10 {
		calls.Go(func() {
			if err := d.Bootstrap(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	calls.Wait()
	if got := len(spy.dials()); got > 2 {
		t.Errorf("%d dials, want one, or two if the first join was over before", got)
	}
}
