package gossip

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-kad/kad/host/carry"
	"github.com/go-kad/kad/host/carry/internal/pathtest"
)

func TestThroughRelay(t *testing.T) {
	ann, bob := together(t, pathtest.Relay(t))
	ann.publish(t, "hi bob")
	if got := bob.hears(t); got != "hi bob" {
		t.Errorf("bob: %q", got)
	}
	bob.publish(t, "hi ann")
	if got := ann.hears(t); got != "hi ann" {
		t.Errorf("ann: %q", got)
	}
	_ = bob.node.Close()
	if e := ann.next(t); e.Kind != Left || e.Peer != idOf(bob) {
		t.Errorf("ann: %+v", e)
	}
}

// Messages go over to a direct connection in the middle of a conversation: nothing is
// lost, doubled, or out of order, and no peer leaves. Nothing depends on the relay after
// that.
func TestMovesToDirectConnection(t *testing.T) {
	const count = 200
	relay := pathtest.Relay(t)
	ann, bob := together(t, relay)
	var talking sync.WaitGroup
	halfway := make(chan struct{}, 2)
	for _, g := range []*guest{ann, bob} {
		talking.Go(func() {
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			for i := range count {
				if err := g.Publish(t.Context(), fmt.Append(nil, g.name, i)); err != nil {
					t.Error(err)
				}
				if i == count/3 {
					halfway <- struct{}{}
				}
				<-tick.C
			}
		})
	}
	<-halfway
	pathtest.Direct(t, ann.host, bob.host)
	for _, pair := range [][2]*guest{{ann, bob}, {bob, ann}} {
		for i := range count {
			if got, want := pair[0].hears(t), fmt.Sprint(pair[1].name, i); got != want {
				t.Fatalf("%s: %q, want %q", pair[0].name, got, want)
			}
		}
	}
	talking.Wait()
	ann.awaitMove(t)
	bob.awaitMove(t)
	_ = relay.Close()
	ann.publish(t, "the relay is gone")
	bob.publish(t, "indeed")
	if got := bob.hears(t); got != "the relay is gone" {
		t.Errorf("bob: %q", got)
	}
	if got := ann.hears(t); got != "indeed" {
		t.Errorf("ann: %q", got)
	}
}

// The relay is closed when there is a direct connection, and nothing has moved there yet.
func TestMovesFromBrokenRelay(t *testing.T) {
	relay := pathtest.Relay(t)
	ann, bob := together(t, relay)
	for i := range 20 {
		ann.publish(t, fmt.Sprint(i))
	}
	pathtest.Direct(t, ann.host, bob.host)
	pathtest.Eventually(t, "bob has a direct connection", func() bool {
		for _, conn := range bob.host.Network().ConnsToPeer(idOf(ann)) {
			if !carry.IsRelayed(conn) {
				return true
			}
		}
		return false
	})
	_ = relay.Close()
	for i := 20; i < 40; i++ {
		ann.publish(t, fmt.Sprint(i))
	}
	bob.publish(t, "still here")
	for i := range 40 {
		if got := bob.hears(t); got != fmt.Sprint(i) {
			t.Fatalf("bob: %q, want %d", got, i)
		}
	}
	if got := ann.hears(t); got != "still here" {
		t.Errorf("ann: %q", got)
	}
}

// A relay closes to which there is no alternative: the other peer has left, until there
// is another relay. Messages that were published between are kept.
func TestThroughAnotherRelay(t *testing.T) {
	first := pathtest.Relay(t)
	ann, bob := together(t, first)
	_ = first.Close()
	ann.await(t, Left)
	bob.await(t, Left)
	ann.publish(t, "is anybody there?")
	ann.await(t, Kept)
	pathtest.Relayed(t, ann.host, bob.host, pathtest.Relay(t))
	if e := bob.await(t, Message); string(e.Data) != "is anybody there?" {
		t.Errorf("bob: %q", e.Data)
	}
	if e := ann.await(t, Sent); e.N != 1 {
		t.Errorf("ann: %+v", e)
	}
}

// A message that was under way when a connection broke is published again when there is
// another one, and only peers that have not received it deliver it.
func TestRepeats(t *testing.T) {
	relay := pathtest.Relay(t)
	ann, bob := together(t, relay)
	cat := enter(t, "room", "cat", TopicConfig{})
	pair(t, cat, ann)
	ann.publish(t, "all receive this")
	for _, g := range []*guest{bob, cat} {
		if e := g.await(t, Message); string(e.Data) != "all receive this" {
			t.Errorf("%s: %q", g.name, e.Data)
		}
	}
	if err := ann.do(t.Context(), func() { // as if it got lost
		ann.sent++
		f := frame{frameMessage, ann.session, ann.sent, []byte("this gets lost")}
		ann.recent.add(f.marshal())
	}); err != nil {
		t.Fatal(err)
	}
	_ = relay.Close()
	ann.await(t, Left)
	bob.await(t, Left)
	pathtest.Relayed(t, ann.host, bob.host, pathtest.Relay(t))
	bob.await(t, Joined)
	ann.publish(t, "are we all here?")
	for _, g := range []*guest{bob, cat} {
		for _, want := range []string{"this gets lost", "are we all here?"} {
			if e := g.await(t, Message); string(e.Data) != want {
				t.Errorf("%s: %q, want %q", g.name, e.Data, want)
			}
		}
	}
}

// A line that was said before the other peer came, and that is lost with its first link, is told
// again over the next one, although the other peer knows nothing of its sender yet.
func TestFirstMessageIsRepeated(t *testing.T) {
	ann, bob := enter(t, "room", "ann", TopicConfig{}), enter(t, "room", "bob", TopicConfig{})
	ann.publish(t, "is anybody there?")
	ann.await(t, Kept)
	pathtest.Direct(t, ann.host, bob.host)
	ann.await(t, Sent)
	bob.await(t, Message)
	if err := bob.do(t.Context(), func() { clear(bob.orders) }); err != nil { // as if it got lost
		t.Fatal(err)
	}
	_ = bob.host.Network().ClosePeer(idOf(ann))
	bob.await(t, Left)
	ann.await(t, Left)
	pathtest.Direct(t, ann.host, bob.host)
	if got := bob.await(t, Message); string(got.Data) != "is anybody there?" {
		t.Errorf("bob: %q", got.Data)
	}
}

// A peer that was there for long may have begun anew when it comes back: it hears what is
// said from then on.
func TestOldMessagesAreNotToldAgain(t *testing.T) {
	ann, bob := enter(t, "room", "ann", TopicConfig{}), enter(t, "room", "bob", TopicConfig{})
	pair(t, ann, bob)
	ann.publish(t, "old")
	bob.await(t, Message)
	if err := bob.do(t.Context(), func() { clear(bob.orders) }); err != nil { // as if it begins anew
		t.Fatal(err)
	}
	if err := ann.do(t.Context(), func() {
		m := ann.members[idOf(bob)]
		m.since = m.since.Add(-settleTime)
		ann.members[idOf(bob)] = m
	}); err != nil {
		t.Fatal(err)
	}
	_ = bob.host.Network().ClosePeer(idOf(ann))
	bob.await(t, Left)
	ann.await(t, Left)
	pathtest.Direct(t, ann.host, bob.host)
	bob.await(t, Hello)
	ann.publish(t, "new")
	if got := bob.await(t, Message); string(got.Data) != "new" {
		t.Errorf("bob: %q", got.Data)
	}
}
