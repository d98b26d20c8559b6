package presence

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/routing"
)

// Holders are bounded, and dropped when the presence has expired with them.
func TestHoldersAreBounded(t *testing.T) { synctest.Test(t, testHoldersBounded) }

func testHoldersBounded(t *testing.T) {
	p := &Presence{holders: make(map[peer.ID]holding)}
	first, second := []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/50.1.0.1/tcp/4001")}, []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/50.2.0.1/tcp/4001")}
	for i := range maxHolders + 2 {
		p.hold(time.Now(), []routing.Contact{routing.ContactOf(peer.ID(fmt.Sprint(i)))}, first)
		time.Sleep(time.Second)
	}
	if len(p.holders) != maxHolders || p.holders["0"].sent != (time.Time{}) || p.holders["1"].sent != (time.Time{}) {
		t.Errorf("%d holders, or not those that were told last", len(p.holders))
	}
	if got := len(p.outdated(time.Now(), second)); got != maxHolders {
		t.Errorf("%d hold other addresses, want all", got)
	}
	if got := len(p.outdated(time.Now(), first)); got != 0 {
		t.Errorf("%d hold other addresses, want none", got)
	}
	time.Sleep(announce.PresenceLifetime)
	if got := len(p.outdated(time.Now(), second)); got != 0 || len(p.holders) != 0 {
		t.Errorf("%d hold other addresses, %d in all, after they have forgotten them", got, len(p.holders))
	}
}

// Changes of addresses are announced less and less often, and after some calm at once.
func TestScheduleSlowsDown(t *testing.T) {
	var s schedule
	now := time.Now()
	addr := func(i int) []multiaddr.Multiaddr {
		return []multiaddr.Multiaddr{multiaddr.StringCast(fmt.Sprintf("/ip4/50.%d.0.1/tcp/4001", i))}
	}
	want := []time.Duration{minPause, 2 * minPause, 4 * minPause, 8 * minPause, 16 * minPause, 32 * minPause, maxPause, maxPause}
	for i, pause := range want {
		s.begin(now, addr(i))
		if s.pause != pause {
			t.Errorf("change %d: a pause of %v, want %v", i, s.pause, pause)
		}
		now = now.Add(s.pause)
	}
	s.begin(now.Add(time.Hour), addr(len(want)-1)) // the same addresses
	if s.pause != maxPause {
		t.Errorf("a renewal changes the pause to %v", s.pause)
	}
	s.begin(now.Add(2*maxPause), addr(0))
	if s.pause != minPause {
		t.Errorf("after a calm, a pause of %v, want %v", s.pause, minPause)
	}
}
