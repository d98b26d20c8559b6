package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// script drives a lookup in memory: a contact answers with those that knows has
// for it, and one that knows does not have never answers.
func script(ctx context.Context, knows map[peer.ID][]peer.ID, seeds ...peer.ID) (routing.Result, error) {
	var contacts []routing.Contact
	for _, id := range seeds {
		contacts = append(contacts, routing.ContactOf(id))
	}
	l := routing.NewLookup("self", routing.KeyOf([]byte("target")), contacts, routing.LookupConfig{SlowAfter: time.Second})
	tasks := newTasks()
	defer tasks.cancel(ErrClosed)
	err := drive(ctx, tasks, l,
		func(ctx context.Context, c routing.Contact, _ func(stage)) (resp protocol.Response, err error) {
			closer, ok := knows[c.ID]
			if !ok {
				<-ctx.Done()
				return resp, ctx.Err()
			}
			time.Sleep(30 * time.Millisecond)
			for _, id := range closer {
				resp.Closer = append(resp.Closer, protocol.Peer{ID: id})
			}
			return resp, nil
		},
		func(_ context.Context, a answer) {
			if a.err != nil {
				l.Failed(a.from.ID)
				return
			}
			var closer []routing.Contact
			for _, p := range a.resp.Closer {
				closer = append(closer, routing.ContactOf(p.ID))
			}
			l.Answered(a.from.ID, closer)
		})
	return l.Result(), err
}

// A lookup asks those it hears of, and ends when there is nobody left to ask.
func TestDrive(t *testing.T) { synctest.Test(t, testDrive) }

func testDrive(t *testing.T) {
	var result routing.Result
	var err error
	knows := map[peer.ID][]peer.ID{"ann": {"bob"}, "bob": {"cat"}, "cat": nil}
	time := took(func() { result, err = script(t.Context(), knows, "ann") })
	if err != nil || len(result.Closest) != 3 || time.Milliseconds() != 3*30 {
		t.Errorf("found %v, %v, in %v; want three, in 90ms", result.Closest, err, time)
	}
}

// A contact that does not answer costs a lookup SlowAfter, however many there
// are, and is not in the result.
func TestDriveSkipsSlowContact(t *testing.T) { synctest.Test(t, testDriveSkipsSlowContact) }

func testDriveSkipsSlowContact(t *testing.T) {
	var result routing.Result
	var err error
	knows := map[peer.ID][]peer.ID{"ann": {"bob"}, "bob": nil}
	spent := took(func() { result, err = script(t.Context(), knows, "ann", "hung", "stuck") })
	if err != nil || len(result.Closest) != 2 {
		t.Errorf("found %v, %v; want the two that answer", result.Closest, err)
	}
	if spent != time.Second {
		t.Errorf("took %v, want SlowAfter", spent)
	}
}

// A lookup that is cancelled returns the cause and what it has found, at once,
// and leaves no request behind: the bubble would not end with one.
func TestDriveCancelled(t *testing.T) { synctest.Test(t, testDriveCancelled) }

func testDriveCancelled(t *testing.T) {
	errEnough := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(500*time.Millisecond, func() { cancel(errEnough) })
	var result routing.Result
	var err error
	spent := took(func() { result, err = script(ctx, map[peer.ID][]peer.ID{"ann": nil}, "ann", "hung") })
	if !errors.Is(err, errEnough) || len(result.Closest) != 1 {
		t.Errorf("drive() = %v, %v; want ann and the cause", result.Closest, err)
	}
	if spent != 500*time.Millisecond {
		t.Errorf("took %v, want 500ms", spent)
	}
}

// crowd returns a node that knows count puppets, which answer with nobody. It asks
// all of them each time.
func crowd(t *testing.T, n *testNet, count int) (*DHT, []*puppet) {
	t.Helper()
	d := n.node(Config{RegionAge: -1})
	var puppets []*puppet
	for range count {
		puppets = append(puppets, n.puppet(says(protocol.Response{})))
	}
	meet(t, d, puppets...)
	return d, puppets
}

// A peer that is connected and never answers costs a lookup as much as is expected
// of it by what others take, not SlowAfter. It is never in a result, and is evicted.
func TestSilentPeerCostsOnce(t *testing.T) { synctest.Test(t, testSilentPeerCostsOnce) }

func testSilentPeerCostsOnce(t *testing.T) {
	n := newTestNet(t)
	d, puppets := crowd(t, n, 5)
	hung := puppets[0]
	hung.will(silent)

	lookup := func() time.Duration {
		return took(func() {
			found, err := d.ClosestPeers(t.Context(), []byte("key"))
			if err != nil || len(found) != 4 {
				t.Errorf("%d peers, %v; want the 4 that answer", len(found), err)
			}
			if slices.ContainsFunc(found, func(p peer.AddrInfo) bool { return p.ID == hung.ID() }) {
				t.Error("the silent peer is in the result")
			}
		})
	}
	for range 6 {
		if spent := lookup(); spent < 50*time.Millisecond || spent > 60*time.Millisecond {
			t.Errorf("a lookup took %v, want what the answers of others, which come at once, let expect", spent)
		}
	}
	time.Sleep(15 * time.Second)
	if knows(d, hung) {
		t.Error("it is still in the table")
	}
}

// A silent peer that others keep naming costs a lookup as much as strangers are
// expected to take. When it answers, it is in the result at once: a peer in doubt
// is asked, not left out.
func TestSilentPeerThatOthersName(t *testing.T) { synctest.Test(t, testSilentPeerThatOthersName) }

func testSilentPeerThatOthersName(t *testing.T) {
	n := newTestNet(t)
	d, puppets := crowd(t, n, 3)
	hung := n.puppet(silent)
	for _, p := range puppets {
		p.will(names(hung.Host))
	}
	lookup := func() (found int, spent time.Duration) {
		spent = took(func() {
			peers, err := d.ClosestPeers(t.Context(), []byte("key"))
			if err != nil {
				t.Error(err)
			}
			found = len(peers)
		})
		return found, spent
	}
	for range 10 {
		if found, spent := lookup(); found != 3 || spent > 150*time.Millisecond {
			t.Errorf("%d peers after %v, want 3 after a dial and 50ms", found, spent)
		}
		time.Sleep(5 * time.Second)
	}
	hung.will(says(protocol.Response{}))
	if found, _ := lookup(); found != 4 {
		t.Errorf("%d peers, want the one that was silent too", found)
	}
}

// If there is nobody to start from but those who lately did not answer, they
// are asked: they may be back.
func TestDoubtedSeedsAreBetterThanNone(t *testing.T) { synctest.Test(t, testDoubtedSeeds) }

func testDoubtedSeeds(t *testing.T) {
	n := newTestNet(t)
	d, puppets := crowd(t, n, 1)
	d.peers.doubt(routing.ContactOf(puppets[0].ID()), true)
	if found, err := d.ClosestPeers(t.Context(), []byte("key")); err != nil || len(found) != 1 {
		t.Errorf("found %v, %v; want the one contact", found, err)
	}
}

// The events of a lookup tell all of it: each peer is heard of, asked, and then
// has answered or failed, in this order.
func TestQueryEvents(t *testing.T) { synctest.Test(t, testQueryEvents) }

func testQueryEvents(t *testing.T) {
	n := newTestNet(t)
	d := n.node(Config{})
	far, broken := n.puppet(says(protocol.Response{})), n.puppet(resets)
	near := n.puppet(says(protocol.Response{}))
	meet(t, d, near)
	near.will(names(far.Host, broken.Host))

	ctx, cancel := context.WithCancel(t.Context())
	ctx, events := lrouting.RegisterForQueryEvents(ctx)
	var run []string
	heard := []peer.ID{near.ID()} // from the table
	name := map[peer.ID]string{near.ID(): "near", far.ID(): "far", broken.ID(): "broken"}
	var reading sync.WaitGroup
	reading.Go(func() {
		for e := range events {
			switch e.Type {
			case lrouting.SendingQuery:
				run = append(run, "ask "+name[e.ID])
				if !slices.Contains(heard, e.ID) {
					t.Errorf("%s was asked before it was heard of", name[e.ID])
				}
			case lrouting.PeerResponse:
				run = append(run, name[e.ID]+" answers")
				for _, p := range e.Responses {
					heard = append(heard, p.ID)
				}
			case lrouting.QueryError:
				run = append(run, name[e.ID]+" fails")
				if e.Extra == "" {
					t.Error("a failure without a reason")
				}
			default:
				t.Errorf("event %v", e.Type)
			}
		}
	})
	if _, err := d.ClosestPeers(ctx, []byte("key")); err != nil {
		t.Fatal(err)
	}
	cancel()
	reading.Wait()
	slices.Sort(run)
	want := []string{"ask broken", "ask far", "ask near", "broken fails", "far answers", "near answers"}
	if !slices.Equal(run, want) {
		t.Errorf("events %q, want %q", run, want)
	}
}

// A trace counts what the lookups of an operation cost.
func TestTrace(t *testing.T) { synctest.Test(t, testTrace) }

func testTrace(t *testing.T) {
	n := newTestNet(t)
	d := n.node(Config{})
	far, broken := n.puppet(says(protocol.Response{})), n.puppet(resets)
	near := n.puppet(says(protocol.Response{}))
	meet(t, d, near)
	near.will(names(far.Host, broken.Host))
	ctx, trace := WithTrace(t.Context())
	if _, err := d.ClosestPeers(ctx, []byte("key")); err != nil {
		t.Fatal(err)
	}
	if got, want := trace.Stats(), (LookupStats{Lookups: 1, Requests: 3, Answered: 2, Hops: 2, Confidence: 1}); got != want {
		t.Errorf("Stats() = %+v, want %+v", got, want)
	}
}

// A liar that makes up peers without an address, ourselves, and the same peer
// again and again, gets none of them asked.
func TestLiesAreNotAsked(t *testing.T) { synctest.Test(t, testLiesAreNotAsked) }

func testLiesAreNotAsked(t *testing.T) {
	n := newTestNet(t)
	d := n.node(Config{})
	far := n.puppet(says(protocol.Response{}))
	closer := []protocol.Peer{{ID: d.self, Addrs: d.host.Addrs()}}
	for range 10 {
		closer = append(closer, protocol.Peer{ID: far.ID(), Addrs: far.Addrs()})
	}
	for range 10 {
		h := n.host()
		closer = append(closer, protocol.Peer{ID: h.ID()})
		n.cut(h)
	}
	liar := n.puppet(says(protocol.Response{}))
	meet(t, d, liar)
	liar.will(says(protocol.Response{Closer: closer}))
	ctx, trace := WithTrace(t.Context())
	if _, err := d.ClosestPeers(ctx, []byte("key")); err != nil {
		t.Fatal(err)
	}
	if got := trace.Stats().Requests; got != 2 {
		t.Errorf("%d requests, want 2: the liar and the one peer that there is", got)
	}
}

// Many disjoint paths find the same peers.
func TestPaths(t *testing.T) { synctest.Test(t, testPaths) }

func testPaths(t *testing.T) {
	n := newTestNet(t)
	nodes := n.nodes(12, Config{K: 8, Alpha: 8, Paths: 4}) // with less, a full bucket may lack one of the closest
	key := []byte("key")
	want := slices.SortedFunc(slices.Values(nodes[1:]), func(a, b *DHT) int {
		return routing.KeyOf(key).Compare(routing.KeyOf([]byte(a.self)), routing.KeyOf([]byte(b.self)))
	})
	found, err := nodes[0].ClosestPeers(t.Context(), key)
	if err != nil || len(found) != 8 {
		t.Fatalf("%d peers, %v; want 8", len(found), err)
	}
	for i, p := range found {
		if p.ID != want[i].self {
			t.Errorf("peer %d is %v, want %v", i, p.ID, want[i].self)
		}
	}
}

// BenchmarkLookup is a lookup in a network of 100 nodes in memory, without
// streams: the cost of the driver, the tables and the encoding of addresses.
func BenchmarkLookup(b *testing.B) {
	const size = 100
	all := make([]routing.Contact, size)
	for i := range all {
		all[i] = routing.ContactOf(peer.ID(fmt.Sprintf("peer-%d", i)))
	}
	closest := func(id peer.ID) (resp protocol.Response) {
		near := slices.Clone(all)
		routing.SortByDistance(routing.KeyOf([]byte(id)), near)
		for _, c := range near[:20] {
			resp.Closer = append(resp.Closer, protocol.Peer{ID: c.ID})
		}
		return resp
	}
	answers := make(map[peer.ID]protocol.Response)
	for _, c := range all {
		answers[c.ID] = closest(c.ID)
	}
	tasks := newTasks()
	defer tasks.cancel(ErrClosed)
	b.ReportAllocs()
	for b.Loop() {
		l := routing.NewLookup("self", routing.KeyOf([]byte("target")), all[:5], routing.LookupConfig{})
		err := drive(b.Context(), tasks, l,
			func(_ context.Context, c routing.Contact, _ func(stage)) (protocol.Response, error) {
				return answers[c.ID], nil
			},
			func(_ context.Context, a answer) {
				closer := make([]routing.Contact, 0, len(a.resp.Closer))
				for _, p := range a.resp.Closer {
					closer = append(closer, routing.ContactOf(p.ID))
				}
				l.Answered(a.from.ID, closer)
			})
		if err != nil {
			b.Fatal(err)
		}
	}
}
