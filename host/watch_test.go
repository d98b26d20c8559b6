package host

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/routing"
)

// Who watches the table is told of all that becomes of a contact, until the context
// ends or the DHT is closed; who does not read holds up nobody.
func TestWatchTable(t *testing.T) { synctest.Test(t, testWatchTable) }

func testWatchTable(t *testing.T) {
	n := newTestNet(t)
	d := n.inert(Config{})
	ctx, cancel := context.WithCancel(t.Context())
	reader, ended, lazy := d.WatchTable(t.Context()), d.WatchTable(ctx), d.WatchTable(t.Context())
	cancel()
	synctest.Wait()

	c := routing.ContactOf("contact")
	d.peers.seen(c)
	d.peers.failed(c)
	d.peers.seen(c)
	d.peers.removed(c)
	for range watchBuffer {
		d.peers.seen(c)
		d.peers.removed(c)
	}
	var got []routing.ChangeKind
	for range 4 {
		change := <-reader
		if got = append(got, change.Kind); change.Peer != c.ID {
			t.Errorf("%v is of %s", change.Kind, change.Peer)
		}
	}
	if want := []routing.ChangeKind{routing.Entered, routing.Suspected, routing.Cleared, routing.Left}; !slices.Equal(got, want) {
		t.Errorf("told of %v, want %v", got, want)
	}
	if change, open := <-ended; open {
		t.Errorf("told of %v after the end", change)
	}
	_ = d.Close()
	left := 0
	for range lazy { // it is closed
		left++
	}
	if left != watchBuffer {
		t.Errorf("%d changes wait, want %d", left, watchBuffer)
	}
}

// What the table counts is in Stats.
func TestStatsOfTable(t *testing.T) { synctest.Test(t, testStatsOfTable) }

func testStatsOfTable(t *testing.T) {
	n := newTestNet(t)
	d := n.inert(Config{})
	for i := range 3 {
		d.peers.seen(routing.ContactOf(peer.ID(rune('a' + i))))
	}
	for i := range 3 {
		d.peers.failed(routing.ContactOf(peer.ID(rune('a' + i))))
	}
	if s := d.Stats(); s.Contacts != 3 || s.Suspects != 3 || s.Offline {
		t.Errorf("%+v", s)
	}
	time.Sleep(3 * time.Second)
	d.peers.due(time.Now(), 0)
	if s := d.Stats(); !s.Offline || d.peers.isLive() {
		t.Errorf("%+v, 3s after the last contact missed", s)
	}
}
