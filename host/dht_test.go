package host

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"

	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

// goroutines returns how many there are in the bubble.
func goroutines() int {
	buf := make([]byte, 1<<20)
	return bytes.Count(buf[:runtime.Stack(buf, true)], []byte(", synctest bubble"))
}

// An idle node has one goroutine.
func TestIdleGoroutines(t *testing.T) { synctest.Test(t, testIdleGoroutines) }

func testIdleGoroutines(t *testing.T) {
	n := newTestNet(t)
	a, b := n.host(), n.host()
	dialHost(t, a, b)
	synctest.Wait()
	before := goroutines()
	d := n.attach(a, Config{})
	n.attach(b, Config{})
	time.Sleep(time.Second)
	if !knows(d, b) {
		t.Fatal("they do not know each other")
	}
	time.Sleep(5 * time.Minute)
	if got := goroutines() - before; got != 2 {
		t.Errorf("two nodes have %d goroutines, want one each", got)
	}
}

// Close ends all that goes on, in less than a second, whatever that waits for.
// It can be called twice, and leaves the host as it was: it is connected, works,
// and takes another DHT.
func TestClose(t *testing.T) { synctest.Test(t, testClose) }

func testClose(t *testing.T) {
	n := newTestNet(t)
	other := n.node(Config{})
	d, puppets := crowd(t, n, 3)
	link(t, d, other)
	time.Sleep(time.Second)
	synctest.Wait()

	for _, p := range puppets {
		p.will(silent)
	}
	lookups := make(chan error, 1)
	go func() {
		_, err := d.ClosestPeers(context.WithoutCancel(t.Context()), []byte("key"))
		lookups <- err
	}()
	s := dialIn(d, aPeer) // a stream that is open and idle
	_, _ = s.Write(protocol.AppendRequestFrame(nil, protocol.Ping{}))
	time.Sleep(20 * time.Millisecond) // the lookup will not wait for 50
	if d.Stats().InboundStreams != 1 {
		t.Fatal("the stream is not served")
	}

	spent := roomtest.Took(func() {
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
	if spent >= time.Second {
		t.Errorf("took %v, want less than a second", spent)
	}
	if got := d.Stats().InboundStreams; got != 0 {
		t.Errorf("%d streams are served after Close", got)
	}
	if err := <-lookups; !errors.Is(err, ErrClosed) {
		t.Errorf("a lookup returned %v, want ErrClosed", err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if mode, why := d.Mode(); mode != ModeClient || why != "closed" {
		t.Errorf("Mode() = %v, %s after Close", mode, why)
	}
	if err := d.SetMode(ModeServer); !errors.Is(err, ErrClosed) || slices.Contains(d.host.Mux().Protocols(), testProtocol) {
		t.Errorf("SetMode() = %v after Close, want ErrClosed, and no handler", err)
	}
	time.Sleep(time.Second)
	if knows(other, d.host) {
		t.Error("others still have it in their tables")
	}

	ping.NewPingService(other.host)
	ctx, cancel := context.WithCancel(t.Context())
	if res := <-ping.Ping(ctx, d.host, other.ID()); res.Error != nil {
		t.Errorf("the host does not work any more: %v", res.Error)
	}
	cancel()
	again := n.attach(d.host, Config{})
	time.Sleep(time.Second)
	if !knows(again, other.host) || !knows(other, again.host) {
		t.Error("another DHT on the same host does not work")
	}
}

// Close waits for what it ends: nothing of the DHT runs when it returns.
func TestCloseWaits(t *testing.T) { synctest.Test(t, testCloseWaits) }

func testCloseWaits(t *testing.T) {
	n := newTestNet(t)
	ended := false
	d := n.asking(requestFunc(func(ctx context.Context, _ peer.ID, _ protocol.Request) (protocol.Response, error) {
		<-ctx.Done()
		time.Sleep(300 * time.Millisecond)
		ended = true
		return protocol.Response{}, ctx.Err()
	}))
	if err := d.start(); err != nil {
		t.Fatal(err)
	}
	acquaint(d, 1, aPrivate)
	time.Sleep(time.Second) // it has begun to join
	spent := roomtest.Took(func() { _ = d.Close() })
	if !ended || spent != 300*time.Millisecond {
		t.Errorf("Close returned after %v, the request had ended: %v; want 300ms and true", spent, ended)
	}
}

// inFlight runs every operation on a node whose only contact does not answer,
// and ends it in the middle.
func inFlight(t *testing.T, end func(cancel context.CancelFunc, d *DHT), want error) {
	for _, op := range operations {
		if op.name == "Ready" {
			continue // ready it is
		}
		t.Run(op.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newTestNet(t)
				d, puppets := crowd(t, n, 1)
				puppets[0].will(silent)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				var ended time.Time
				time.AfterFunc(500*time.Millisecond, func() {
					ended = time.Now()
					end(cancel, d)
				})
				err := op.run(ctx, d)
				if since := time.Since(ended); ended.IsZero() || since != 0 {
					t.Errorf("returned %v after the end", since)
				}
				switch op.name {
				case "SearchValue", "FindPeers": // a channel has no error
					if !errors.Is(err, errNothing) {
						t.Errorf("error %v, want the end of the channel", err)
					}
				default:
					if !errors.Is(err, want) {
						t.Errorf("error %v, want %v", err, want)
					}
				}
			})
		})
	}
}

// An operation whose context is cancelled returns at once, with the reason.
func TestCancel(t *testing.T) {
	inFlight(t, func(cancel context.CancelFunc, _ *DHT) { cancel() }, context.Canceled)
}

// An operation whose context has ended before it begins says that, and nothing else.
func TestEndedContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := crowd(t, newTestNet(t), 3)
		why := errors.New("why")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(why)
		for _, op := range operations {
			for range 10 { // of an end and a slot, either may be seen first
				if err := op.run(ctx, d); op.name != "Ready" && (!errors.Is(err, why) || err.Error() != why.Error()) {
					t.Fatalf("%s: error %v, want %v", op.name, err, why)
				}
			}
		}
	})
}

// An operation that is under way when the DHT is closed returns ErrClosed.
func TestCloseDuringOperation(t *testing.T) {
	inFlight(t, func(_ context.CancelFunc, d *DHT) { _ = d.Close() }, ErrClosed)
}

// After Close, every operation returns ErrClosed, at once.
func TestAfterClose(t *testing.T) { synctest.Test(t, testAfterClose) }

func testAfterClose(t *testing.T) {
	for _, contacts := range []int{0, 1} {
		d, _ := crowd(t, newTestNet(t), contacts)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		for _, op := range operations {
			spent := roomtest.Took(func() {
				if err := op.run(t.Context(), d); !errors.Is(err, ErrClosed) {
					t.Errorf("%s with %d contacts: %v, want ErrClosed", op.name, contacts, err)
				}
			})
			if spent != 0 {
				t.Errorf("%s took %v", op.name, spent)
			}
		}
		if err := d.Bootstrap(t.Context()); !errors.Is(err, ErrClosed) {
			t.Errorf("Bootstrap: %v, want ErrClosed", err)
		}
		if err := d.StopProviding(t.Context(), testCID("content")); !errors.Is(err, ErrClosed) {
			t.Errorf("StopProviding: %v, want ErrClosed", err)
		}
		afterClose(t, d)
	}
}

// Close while the node joins ends that, too.
func TestCloseWhileJoining(t *testing.T) { synctest.Test(t, testCloseWhileJoining) }

func testCloseWhileJoining(t *testing.T) {
	n := newTestNet(t)
	p := n.puppet(silent)
	for _, after := range []time.Duration{0, latency, 5 * latency, 20 * latency} {
		d := n.node(Config{Bootstrap: nil})
		dialHost(t, d.host, p)
		joined := make(chan error, 1)
		go func() { joined <- d.Bootstrap(context.WithoutCancel(t.Context())) }()
		time.Sleep(after)
		if spent := roomtest.Took(func() { _ = d.Close() }); spent >= time.Second {
			t.Errorf("closed %v after the start: took %v", after, spent)
		}
		<-joined
	}
}

// A store that is the user's stays open.
func TestCloseLeavesStore(t *testing.T) { synctest.Test(t, testCloseLeavesStore) }

func testCloseLeavesStore(t *testing.T) {
	s := store.NewMemory(store.Limits{})
	d := newTestNet(t).node(Config{Store: s})
	hold(t, d, "/v/key", "1")
	_ = d.Close()
	if _, err := s.Value(t.Context(), []byte("/v/key"), time.Now()); err != nil {
		t.Errorf("the store of the user: %v", err)
	}
}

// Stats and Table tell what there is.
func TestStats(t *testing.T) { synctest.Test(t, testStats) }

func testStats(t *testing.T) {
	n := newTestNet(t)
	nodes := n.nodes(3, Config{})
	if err := nodes[0].PutValue(t.Context(), "/v/key", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if err := nodes[0].Provide(t.Context(), testCID("content"), true); err != nil {
		t.Fatal(err)
	}
	s := nodes[1].Stats()
	if s.InboundPutValue != 1 || s.InboundAddProvider != 1 || s.InboundFindNode == 0 || s.Values != 1 || s.Providers != 1 ||
		s.Contacts != 2 || !s.Server || s.Joins == 0 || s.InboundRefused != 0 {
		t.Errorf("Stats() = %+v", s)
	}
	if s := nodes[0].Stats(); s.Lookups < 3 || s.Requests < 6 || s.Probes == 0 || s.RequestsFailed != 0 {
		t.Errorf("Stats() = %+v", s)
	}
	contacts := 0
	for _, b := range nodes[0].Table() {
		for _, c := range b.Contacts {
			contacts++
			if len(c.Addrs) == 0 || c.LastSeen.IsZero() || c.RTT != nodes[0].Host().Peerstore().LatencyEWMA(c.ID) {
				t.Errorf("contact %+v without addresses or time, or with another round trip than the host has", c)
			}
		}
	}
	if contacts != 2 {
		t.Errorf("Table() has %d contacts, want 2", contacts)
	}
}

// afterClose checks what a closed node could answer from its own memory, its store, or an
// open connection: it returns ErrClosed, too.
func afterClose(t *testing.T, d *DHT) {
	t.Helper()
	ctx := t.Context()
	calls := map[string]func(id peer.ID) error{
		"FindPeer": func(id peer.ID) error { _, err := d.FindPeer(ctx, id); return err },
		"Locate":   func(id peer.ID) error { _, err := d.Locate(ctx, id); return err },
		"Connect":  func(id peer.ID) error { _, err := d.Connect(ctx, id); return err },
		"GetValue offline": func(peer.ID) error {
			_, err := d.GetValue(ctx, "/v/key", lrouting.Offline)
			return err
		},
		"PutValue offline": func(peer.ID) error { return d.PutValue(ctx, "/v/key", []byte("1"), lrouting.Offline) },
		"Provide locally":  func(peer.ID) error { return d.Provide(ctx, testCID("content"), false) },
		"StopPublishing":   func(peer.ID) error { return d.StopPublishing(ctx, "/v/key") },
		"Join":             func(peer.ID) error { _, err := d.Join(ctx, "namespace"); return err },
		"Diagnose":         func(peer.ID) error { _, err := d.Diagnose(ctx); return err },
	}
	for name, call := range calls {
		for _, id := range append(d.host.Network().Peers(), d.ID()) {
			if err := call(id); !errors.Is(err, ErrClosed) {
				t.Errorf("%s: %v, want ErrClosed", name, err)
			}
		}
	}
}
