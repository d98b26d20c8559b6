package gossip

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/carry/internal/pathtest"
)

// Messages that are published alone are kept for the first peer that comes.
func TestKept(t *testing.T) {
	ann, bob := enter(t, "room", "ann", TopicConfig{}), enter(t, "room", "bob", TopicConfig{})
	ann.publish(t, "hello?")
	ann.publish(t, "anybody?")
	for i := range 2 {
		if e := ann.next(t); e.Kind != Kept || e.N != i+1 {
			t.Fatalf("ann: %+v", e)
		}
	}
	pathtest.Direct(t, bob.host, ann.host)
	if e := ann.await(t, Sent); e.N != 2 {
		t.Errorf("%d kept messages are sent, want 2", e.N)
	}
	for _, want := range []string{"hello?", "anybody?"} {
		if e := bob.await(t, Message); string(e.Data) != want || e.Peer != idOf(ann) {
			t.Errorf("bob: %+v, want %s", e, want)
		}
	}
	if kept, err := ann.Flush(t.Context()); kept != 0 || err != nil {
		t.Errorf("Flush() = %d, %v", kept, err)
	}

	// Nothing comes back to its publisher, and later messages are not kept.
	bob.publish(t, "here I am")
	if e := ann.await(t, Message); string(e.Data) != "here I am" {
		t.Errorf("ann: %+v", e)
	}
	ann.publish(t, "hi bob")
	if e := bob.await(t, Message); string(e.Data) != "hi bob" {
		t.Errorf("bob: %+v", e)
	}
	if err := bob.Close(); err != nil {
		t.Error(err)
	}
	if e := ann.await(t, Left); e.Peer != idOf(bob) {
		t.Errorf("ann: %+v", e)
	}
	if n := ann.Peers(); n != 0 {
		t.Errorf("ann counts %d peers in an empty topic", n)
	}
}

func TestKeptDropsOldest(t *testing.T) {
	ann := enter(t, "room", "ann", TopicConfig{Keep: 3})
	for i := range 4 {
		ann.publish(t, fmt.Sprint("line ", i))
	}
	var got []Event
	for range 5 {
		got = append(got, ann.next(t))
	}
	want := []Event{{Kind: Kept, N: 1}, {Kind: Kept, N: 2}, {Kind: Kept, N: 3}, {Kind: Dropped, N: 1}, {Kind: Kept, N: 3}}
	if !slices.EqualFunc(got, want, func(a, b Event) bool { return a.Kind == b.Kind && a.N == b.N }) {
		t.Errorf("events: %+v", got)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if kept, err := ann.Flush(ctx); kept != 3 || !errors.Is(err, context.Canceled) {
		t.Errorf("Flush() = %d, %v; want 3", kept, err)
	}
	bob := enter(t, "room", "bob", TopicConfig{})
	pathtest.Direct(t, bob.host, ann.host)
	for i := range 3 {
		if e, want := bob.await(t, Message), fmt.Sprint("line ", i+1); string(e.Data) != want {
			t.Errorf("bob: %q, want %q", e.Data, want)
		}
	}
}

func TestKeepNone(t *testing.T) {
	ann := enter(t, "room", "ann", TopicConfig{Keep: -1})
	ann.publish(t, "hello?")
	if kept, err := ann.Flush(t.Context()); kept != 0 || err != nil {
		t.Errorf("Flush() = %d, %v", kept, err)
	}
}

// Between connected peers nothing is lost, from the moment on at which one has the hello
// of the other, and the order is kept. The last message is as safe as the first,
// although its publisher ends at once.
func TestNothingIsLost(t *testing.T) {
	const count = 300
	ann, bob, cat := enter(t, "room", "ann", TopicConfig{}), enter(t, "room", "bob", TopicConfig{}), enter(t, "room", "cat", TopicConfig{})
	pair(t, bob, ann)
	pathtest.Direct(t, cat.host, bob.host)
	pair(t, cat, ann)
	for i := range count {
		ann.publish(t, fmt.Sprint(i))
	}
	_ = ann.node.Close()
	_ = ann.host.Close()
	for _, g := range []*guest{bob, cat} {
		for i := range count {
			if e := g.await(t, Message); string(e.Data) != fmt.Sprint(i) {
				t.Fatalf("%s: %q, want %d", g.name, e.Data, i)
			}
		}
	}
}

// Topics of the same node do not mix, and one goes on when the other is closed.
func TestTopicsDoNotMix(t *testing.T) {
	ann, bob := enter(t, "lobby", "ann", TopicConfig{}), enter(t, "lobby", "bob", TopicConfig{})
	attic, err := ann.node.Join("attic", TopicConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ann.node.Join("attic", TopicConfig{}); err == nil {
		t.Error("a topic is joined twice")
	}
	pair(t, ann, bob)
	if err := attic.Publish(t.Context(), []byte("hello?")); err != nil {
		t.Fatal(err)
	}
	if e := <-attic.Events(); e.Kind != Kept {
		t.Errorf("in the attic: %+v", e)
	}
	for range 2 {
		if err := attic.Close(); err != nil {
			t.Error(err)
		}
	}
	ann.publish(t, "hi")
	if got := bob.hears(t); got != "hi" {
		t.Errorf("bob: %q", got)
	}
	if again, err := ann.node.Join("attic", TopicConfig{}); err != nil {
		t.Error(err)
	} else if err := again.Publish(t.Context(), []byte("back")); err != nil {
		t.Error(err)
	}
}

// A peer with a program of its own cannot make others deliver or pass on what is not
// valid.
func TestInvalid(t *testing.T) {
	short := func(_ peer.ID, data []byte) bool { return len(data) < 100 }
	ann, eve := enter(t, "room", "ann", TopicConfig{Validate: short}), enter(t, "room", "eve", TopicConfig{})
	pair(t, eve, ann)
	if err := eve.topic.Publish(t.Context(), []byte("no frame")); err == nil {
		t.Error("a message that is no frame is published")
	}
	eve.publish(t, strings.Repeat("x", 100))
	eve.publish(t, "short")
	if got := ann.hears(t); got != "short" { // after the gap is given up
		t.Errorf("ann: %q", got)
	}
	if err := ann.Publish(t.Context(), make([]byte, 100)); !errors.Is(err, ErrInvalid) {
		t.Errorf("Publish() = %v, want %v", err, ErrInvalid)
	}
}

// A message that is missing for good holds up later ones only for a time.
func TestGap(t *testing.T) {
	ann, bob := enter(t, "room", "ann", TopicConfig{}), enter(t, "room", "bob", TopicConfig{})
	pair(t, bob, ann)
	ann.publish(t, "one")
	for range 2 {
		if err := ann.do(t.Context(), func() { ann.sent++ }); err != nil {
			t.Fatal(err)
		}
		ann.publish(t, "another one")
	}
	for _, want := range []string{"one", "another one", "another one"} {
		if got := bob.hears(t); got != want {
			t.Errorf("bob: %q, want %q", got, want)
		}
	}
}

// The messages of few peers wait at the same time.
func TestManyGaps(t *testing.T) {
	topic := &Topic{orders: make(map[peer.ID]*order)}
	now := time.Now()
	for i := range maxGaps + 1 {
		id := peer.ID(fmt.Sprint(i))
		o := topic.orderOf(id, 1)
		o.expect(1)
		o.take(2, []byte("two"))
		topic.gaps = append(topic.gaps, gap{id, 1, now.Add(gapTimeout)})
		topic.closeGaps(now)
	}
	if len(topic.gaps) != maxGaps || len(topic.events) != 1 || topic.events[0].Peer != "0" {
		t.Errorf("%d gaps, events %+v", len(topic.gaps), topic.events)
	}
	topic.closeGaps(now.Add(gapTimeout))
	if len(topic.gaps) != 0 || len(topic.events) != maxGaps+1 {
		t.Errorf("%d gaps, %d events", len(topic.gaps), len(topic.events))
	}
}

// A topic that is not read from holds no more than maxEvents, and still publishes.
func TestNotRead(t *testing.T) {
	ann := enter(t, "room", "ann", TopicConfig{})
	if err := ann.do(t.Context(), func() {
		for range maxEvents {
			ann.notify(Event{Kind: Dropped})
		}
	}); err != nil {
		t.Fatal(err)
	}
	bob := enter(t, "room", "bob", TopicConfig{})
	pathtest.Direct(t, bob.host, ann.host)
	pathtest.Eventually(t, "bob can publish to ann", func() bool { return bob.Peers() == 1 })
	bob.publish(t, "hello?")
	ann.publish(t, "alone?")
	for i := range maxEvents {
		if e := ann.next(t); e.Kind != Dropped {
			t.Fatalf("event %d: %+v", i, e)
		}
	}
	if e := ann.await(t, Message); string(e.Data) != "hello?" {
		t.Errorf("ann: %+v", e)
	}
}

func TestClosed(t *testing.T) {
	ann := enter(t, "room", "ann", TopicConfig{})
	for range 2 {
		if err := ann.node.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := ann.Close(); err != nil {
		t.Error(err)
	}
	if err := ann.Publish(t.Context(), nil); !errors.Is(err, ErrClosed) {
		t.Errorf("Publish() = %v", err)
	}
	if e, ok := <-ann.Events(); ok {
		t.Errorf("an event after Close: %+v", e)
	}
	if _, err := ann.Flush(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("Flush() = %v", err)
	}
	if _, err := ann.node.Join("attic", TopicConfig{}); err == nil {
		t.Error("a closed node joins")
	}
}
