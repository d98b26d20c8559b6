package host

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/discovery"
	"github.com/libp2p/go-libp2p/core/peer"
	rdiscovery "github.com/libp2p/go-libp2p/p2p/discovery/routing"

	"github.com/go-kad/kad/host/internal/roomtest"
)

// joinGroup makes a node a member, and returns a function that waits for the next event of
// a kind.
func joinGroup(t *testing.T, d *DHT, opts ...discovery.Option) (*Group, func(GroupEventKind) GroupEvent) {
	t.Helper()
	g, err := d.Join(t.Context(), "lobby", opts...)
	if err != nil {
		t.Fatal(err)
	}
	next, stop := iter.Pull(g.Events())
	t.Cleanup(stop)
	return g, func(kind GroupEventKind) GroupEvent {
		t.Helper()
		for {
			e, ok := next()
			if !ok {
				t.Fatalf("no event: %v", kind)
			}
			if e.Kind == kind {
				return e
			}
		}
	}
}

// The members of a group find each other, and see when a peer is cut off and comes back.
func TestJoinGroup(t *testing.T) { synctest.Test(t, testJoinGroup) }

func testJoinGroup(t *testing.T) {
	n := newTestNet(t)
	nodes := n.nodes(6, Config{})
	ann, awaitAnn := joinGroup(t, nodes[1])
	awaitAnn(GroupWorks)
	_, awaitBob := joinGroup(t, nodes[2])
	start := time.Now()
	if e := awaitBob(PeerConnected); e.Peer != nodes[1].ID() {
		t.Errorf("bob: %+v", e)
	}
	if e := awaitAnn(PeerConnected); e.Peer != nodes[2].ID() {
		t.Errorf("ann: %+v", e)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("they found each other after %v", took)
	}
	s := ann.State()
	if s.Announced.IsZero() || s.Searched.IsZero() || s.Err != nil || s.Found != 1 || s.Connected != 1 || len(s.Receipt.Stored) == 0 {
		t.Errorf("State() = %+v", s)
	}

	n.cut(nodes[2].host)
	if e := awaitAnn(PeerGone); e.Peer != nodes[2].ID() {
		t.Errorf("ann: %+v", e)
	}
	awaitBob(PeerGone)
	time.Sleep(10 * time.Minute)
	if s := ann.State(); s.Connected != 0 || s.Found != 1 {
		t.Errorf("State() without bob = %+v", s)
	}
	n.mend(nodes[2].host)
	back := time.Now()
	awaitAnn(PeerConnected)
	awaitBob(PeerConnected)
	if took := time.Since(back); took > 15*time.Minute {
		t.Errorf("they found each other again after %v", took)
	}

	// After Close, the node does not answer for the group, and the announcement expires.
	for range 2 {
		if err := ann.Close(); err != nil {
			t.Error(err)
		}
	}
	for range ann.Events() {
		t.Error("an event after Close")
	}
	time.Sleep(2 * groupTTL)
	for p, err := range nodes[5].Discover(t.Context(), "lobby", 0) {
		if err != nil || p.ID == nodes[1].ID() {
			t.Errorf("found %v, %v after Close", p.ID, err)
		}
	}
}

// Members of the routing discovery of go-libp2p are found, and find ours.
func TestJoinFindsRoutingDiscovery(t *testing.T) { synctest.Test(t, testJoinFindsRoutingDiscovery) }

func testJoinFindsRoutingDiscovery(t *testing.T) {
	nodes := newTestNet(t).nodes(4, Config{})
	if _, err := rdiscovery.NewRoutingDiscovery(nodes[2]).Advertise(t.Context(), "lobby"); err != nil {
		t.Fatal(err)
	}
	_, await := joinGroup(t, nodes[1])
	if e := await(PeerConnected); e.Peer != nodes[2].ID() {
		t.Errorf("found %+v", e)
	}
}

// A group ends with its context, and with the DHT; a node alone is told why nothing
// works.
func TestJoinEnds(t *testing.T) { synctest.Test(t, testJoinEnds) }

func testJoinEnds(t *testing.T) {
	d := newTestNet(t).node(Config{})
	ctx, cancel := context.WithCancel(t.Context())
	first, err := d.Join(ctx, "lobby")
	if err != nil {
		t.Fatal(err)
	}
	second, await := joinGroup(t, d)
	if e := await(GroupFails); !errors.Is(e.Err, ErrNoContacts) {
		t.Errorf("the error of a node alone: %v", e.Err)
	}
	if s := second.State(); s.Err == nil || !s.Announced.IsZero() {
		t.Errorf("State() of a node alone = %+v", s)
	}
	cancel()
	synctest.Wait()
	for e := range first.Events() {
		t.Errorf("%+v after the context has ended", e)
	}
	if took := roomtest.Took(func() { _ = d.Close() }); took > 0 {
		t.Errorf("closing the DHT took %v", took)
	}
	for range second.Events() {
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if _, err := d.Join(t.Context(), "lobby"); !errors.Is(err, ErrClosed) {
		t.Errorf("Join() after Close = %v", err)
	}
}

func TestJoinRefusesOptions(t *testing.T) { synctest.Test(t, testJoinRefusesOptions) }

func testJoinRefusesOptions(t *testing.T) {
	d := newTestNet(t).node(Config{})
	if _, err := d.Join(t.Context(), ""); !strings.Contains(fmt.Sprint(err), "empty namespace") {
		t.Errorf("an empty namespace: %v", err)
	}
	for _, opt := range []discovery.Option{discovery.Limit(0), discovery.TTL(-time.Second)} {
		if _, err := d.Join(t.Context(), "lobby", opt); err == nil {
			t.Error("an option that makes no sense is taken")
		}
	}
}

// No more members are connected to than the limit, roughly: dials that are under way end.
func TestJoinLimit(t *testing.T) { synctest.Test(t, testJoinLimit) }

func testJoinLimit(t *testing.T) {
	nodes := newTestNet(t).nodes(6, Config{})
	for _, d := range nodes[1:5] {
		if _, err := d.Advertise(t.Context(), "lobby"); err != nil {
			t.Fatal(err)
		}
	}
	g, await := joinGroup(t, nodes[5], discovery.Limit(1), discovery.TTL(time.Minute))
	seen := make(map[peer.ID]bool)
	seen[await(PeerConnected).Peer] = true
	time.Sleep(time.Hour)
	if s := g.State(); s.Connected < 1 || s.Connected > 4 || time.Since(s.Announced) > time.Minute {
		t.Errorf("State() = %+v", s)
	}
}

// An event prints as what has happened.
func TestGroupEventString(t *testing.T) {
	id, err := peer.Decode("12D3KooWHvLp7Pb2jCaeugAkUGW1XgqNPimeE2TiqGZF8kCvPZJP")
	if err != nil {
		t.Fatal(err)
	}
	for want, e := range map[string]GroupEvent{
		"works":                    {Kind: GroupWorks},
		"connected " + id.String(): {Kind: PeerConnected, Peer: id},
		"gone " + id.String():      {Kind: PeerGone, Peer: id},
		"fails: kad: closed":       {Kind: GroupFails, Err: ErrClosed},
	} {
		if got := e.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
