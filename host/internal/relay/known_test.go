package relay

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/roomtest"
)

const aRelay = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N"

var aPeer = peer.ID("\x12\x20" + strings.Repeat("p", 32))

// A peer that does not relay is not checked again for a while, and is proposed if it
// relays by then. Of many, the oldest are forgotten; after an outage, all.
func TestRefusedRelays(t *testing.T) {
	r := New(Config{})
	now := time.Now()
	r.refuse(now, aPeer)
	if r.standingOf(now.Add(refusedAge-1), aPeer) != refused || r.standingOf(now.Add(refusedAge), aPeer) != unknown {
		t.Error("not refused, or for too long")
	}
	r.refuse(now, aPeer)
	if !r.propose(now, aPeer) || r.propose(now, aPeer) {
		t.Error("not proposed, or twice")
	}
	r.refuse(now, aPeer)
	if r.standingOf(now, aPeer) != offered {
		t.Error("what was proposed is refused")
	}
	for i := range maxRefused + 10 {
		r.refuse(now.Add(time.Duration(i)), peer.ID(strconv.Itoa(i)))
	}
	if len(r.known) != maxRefused+1 || r.standingOf(now, "9") != unknown || r.standingOf(now, "10") != refused {
		t.Errorf("%d are known, want %d and the proposed one, the newest", len(r.known), maxRefused)
	}
	r.Restore()
	if len(r.known) != 1 {
		t.Errorf("%d are known, want the proposed one", len(r.known))
	}
}

// A relay that is connected again is held if AutoRelay has noticed the loss, and says
// so; otherwise the reservation is gone for good.
func TestRegainedRelay(t *testing.T) {
	addr := []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/1.2.3.4/tcp/1/p2p/" + aRelay + "/p2p-circuit")}
	id, err := peer.Decode(aRelay)
	if err != nil {
		t.Fatal(err)
	}
	for notices, want := range map[bool]int{true: 1, false: 0} {
		r := New(Config{})
		now := time.Now()
		r.regain(id) // it is no relay of this node
		r.hold(addr)
		r.lose(now, id, notices)
		r.hold(addr)
		if len(r.Held()) != 0 {
			t.Error("held while it is gone")
		}
		r.regain(id)
		if len(r.Held()) != want || len(r.forgotten(now.Add(time.Hour))) != 1-want {
			t.Errorf("AutoRelay notices %v: holds %v", notices, r.Held())
		}
		r.hold(nil)
		if len(r.known) != 0 {
			t.Errorf("known %v", r.known)
		}
	}
}

// Of announced relays, one of each network comes first, and no order lasts.
func TestShuffleByNetwork(t *testing.T) {
	var infos []peer.AddrInfo
	for i := range 30 {
		infos = append(infos, peer.AddrInfo{ID: peer.ID(fmt.Sprint("crowd", i)), Addrs: roomtest.Addrs(fmt.Sprintf("/ip4/7.7.7.%d/tcp/1", i))})
	}
	for i := range 5 {
		infos = append(infos, peer.AddrInfo{ID: peer.ID(fmt.Sprint("lone", i)), Addrs: roomtest.Addrs(fmt.Sprintf("/ip4/8.%d.7.7/tcp/1", i))})
	}
	firsts := make(map[peer.ID]bool)
	for range 100 {
		got := shuffleByNetwork(infos)
		crowd := 0
		for _, info := range got[:6] {
			if group(info.Addrs[0]) == "7.7.0.0" {
				crowd++
			}
		}
		if len(got) != len(infos) || crowd != 1 {
			t.Fatalf("%d of a crowd are among the first six, want one", crowd)
		}
		firsts[got[0].ID] = true
	}
	if len(firsts) < 5 {
		t.Errorf("only %d are ever the first of 100", len(firsts))
	}
}

// The best relays are in networks of their own, and near.
func TestBestRelays(t *testing.T) {
	made := func(id string, rtt time.Duration, addr string) candidate {
		return candidate{AddrInfo: peer.AddrInfo{ID: peer.ID(id)}, rtt: rtt, group: group(multiaddr.StringCast(addr))}
	}
	all := []candidate{
		made("unknown", 0, "/ip4/1.1.1.1/tcp/1"),
		made("far", 90*time.Millisecond, "/ip4/2.2.2.2/tcp/1"),
		made("near", 10*time.Millisecond, "/ip4/3.3.3.3/tcp/1"),
		made("beside", 20*time.Millisecond, "/ip4/3.3.4.4/tcp/1"),
		made("six", 30*time.Millisecond, "/ip6/2a00:1:2::1/tcp/1"),
		made("six too", 40*time.Millisecond, "/ip6/2a00:1:3::1/tcp/1"),
	}
	tests := []struct {
		taken string
		n     int
		want  []peer.ID
	}{
		{"/ip4/9.9.9.9/tcp/1", 9, []peer.ID{"near", "six", "far", "unknown", "beside", "six too"}},
		{"/ip4/9.9.9.9/tcp/1", 2, []peer.ID{"near", "six"}},
		{"/ip4/3.3.9.9/tcp/1", 2, []peer.ID{"six", "far"}},
		{"/ip4/3.3.9.9/tcp/1", 5, []peer.ID{"six", "far", "unknown", "near", "beside"}},
		{"/ip4/3.3.9.9/tcp/1", 0, nil},
	}
	for range 2 {
		for _, tt := range tests {
			var got []peer.ID
			for _, c := range best(slices.Clone(all), []string{group(multiaddr.StringCast(tt.taken))}, tt.n) {
				got = append(got, c.ID)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("%d beside %s: %v, want %v", tt.n, tt.taken, got, tt.want)
			}
		}
		slices.Reverse(all) // the order counts for nothing
	}
}

// A relay is proposed once in a while, not while it is in use, and at once when
// another was lost; lookups become rare while they bring nothing.
func TestRelayMemory(t *testing.T) {
	r := New(Config{})
	now := time.Now()
	via := func(id string) multiaddr.Multiaddr {
		return multiaddr.StringCast("/ip4/1.2.3.4/tcp/1/p2p/" + id + "/p2p-circuit")
	}
	used, err := peer.Decode(aRelay)
	if err != nil {
		t.Fatal(err)
	}
	r.hold([]multiaddr.Multiaddr{via(aRelay), via(aRelay), multiaddr.StringCast("/ip4/1.2.3.4/tcp/1")})
	if got := r.Held(); !slices.Equal(got, []peer.ID{used}) {
		t.Errorf("holds %v", got)
	}
	if r.propose(now, used) {
		t.Error("a relay in use was proposed")
	}
	if !r.propose(now, aPeer) || r.propose(now.Add(offerAgain-1), aPeer) || !r.propose(now.Add(offerAgain), aPeer) {
		t.Error("not proposed first, at once again, or not later")
	}
	for _, want := range []time.Duration{minPause, 2 * minPause, 4 * minPause} {
		if due, next := r.due(now); !due || next.Sub(now) != want {
			t.Errorf("due %v, next after %v, want %v", due, next.Sub(now), want)
		}
		if due, _ := r.due(now.Add(want - 1)); due {
			t.Error("due too early")
		}
		now = now.Add(want)
	}
	for range 10 {
		now = now.Add(maxPause)
		if due, next := r.due(now); !due || next.Sub(now) > maxPause {
			t.Errorf("due %v, next after %v", due, next.Sub(now))
		}
	}
	r.lose(now, aPeer, true) // not a relay of ours
	r.lose(now, used, true)
	if len(r.Held()) != 0 || len(r.forgotten(now)) != 0 || !slices.Equal(r.forgotten(now.Add(overlookedAfter)), []peer.ID{used}) {
		t.Error("a lost relay counts, or is overlooked at once, or never")
	}
	r.hold(nil)
	if due, _ := r.due(now); !due {
		t.Error("a relay was lost, and no lookup is due")
	}
	if len(r.forgotten(now.Add(time.Hour))) != 0 {
		t.Error("it is overlooked, though it is not held any more")
	}
}
