package reach

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// In auto mode, a node serves on a private network, and on the public one if it
// is known to be reachable; the reason says what decided.
func TestDecide(t *testing.T) {
	type s = facts
	now := time.Now()
	const (
		unknown = network.ReachabilityUnknown
		private = network.ReachabilityPrivate
		public  = network.ReachabilityPublic
	)
	tests := []struct {
		wanted    Mode
		around    facts
		serve     bool
		reachable bool
		reason    string
	}{
		{Server, s{publicPeer: true}, true, true, "set to server"},
		{Server, s{publicPeer: true, reachability: private}, true, false, "set to server"},
		{Client, s{publicListen: true}, false, false, "set to client"},
		{Client, s{reachability: public, publicListen: true}, false, true, "set to client"},
		{Auto, s{}, true, false, "private network"},
		{Auto, s{reachability: private}, true, false, "private network"},
		{Auto, s{publicListen: true}, true, true, "private network"},
		{Auto, s{dialled: now}, true, true, "private network"},
		{Auto, s{dialled: now, reachability: private}, true, false, "private network"},
		{Auto, s{announced: true}, true, true, "private network"},
		{Auto, s{publicPeer: true, announced: true}, true, true, "address is announced"},
		{Auto, s{publicPeer: true, announced: true, denied: true}, false, false, "not publicly reachable"},
		{Auto, s{publicListen: true, reachability: private}, true, false, "private network"},
		{Auto, s{reachability: public}, true, true, "publicly reachable"},
		{Auto, s{hidden: true}, false, false, "no address"},
		{Auto, s{hidden: true, reachability: public}, true, true, "publicly reachable"},
		{Server, s{hidden: true}, true, true, "set to server"},
		{Auto, s{publicPeer: true, reachability: public}, true, true, "publicly reachable"},
		{Auto, s{publicPeer: true, confirmed: true}, true, true, "publicly reachable"},
		{Auto, s{publicPeer: true, confirmed: true, reachability: private}, true, true, "publicly reachable"},
		{Auto, s{publicPeer: true, reachability: private}, false, false, "not publicly reachable"},
		{Auto, s{publicPeer: true, reachability: private, publicListen: true}, false, false, "not publicly reachable"},
		{Auto, s{publicPeer: true, publicListen: true}, true, true, "public IPv4 address"},
		{Auto, s{publicPeer: true, dialled: now}, true, true, "has reached the host"},
		{Auto, s{publicPeer: true, dialled: now, reachability: private}, false, false, "not publicly reachable"},
		{Auto, s{publicPeer: true, dialled: now, publicListen: true, denied: true}, false, false, "not publicly reachable"},
		{Auto, s{publicPeer: true, reachability: public, denied: true}, true, true, "publicly reachable"},
		{Auto, s{publicPeer: true, reachability: unknown}, false, false, "not known yet"},
	}
	for _, tt := range tests {
		got := decide(tt.wanted, tt.around)
		if got.Serve != tt.serve || got.Reachable != tt.reachable {
			t.Errorf("%v, %+v: serves %v, reachable %v, want %v, %v", tt.wanted, tt.around, got.Serve, got.Reachable, tt.serve, tt.reachable)
		}
		if !strings.Contains(got.Reason, tt.reason) {
			t.Errorf("%v, %+v: the reason is %q, want %q in it", tt.wanted, tt.around, got.Reason, tt.reason)
		}
	}
}

// A dialled peer is remembered for one to two periods. While there are too many, each
// peer may be one of them.
func TestDialled(t *testing.T) {
	var a dialled
	now := time.Now()
	a.add(now, "a")
	for _, after := range []time.Duration{0, natLetsIn - 1, natLetsIn, 2*natLetsIn - 1} {
		if !a.has(now.Add(after), "a") || a.has(now.Add(after), "b") {
			t.Errorf("forgotten after %v, or a stranger is known", after)
		}
	}
	if a.has(now.Add(2*natLetsIn), "a") {
		t.Error("remembered for too long")
	}
	a.add(now.Add(3*natLetsIn), "a")
	if a.has(now.Add(9*natLetsIn), "a") {
		t.Error("remembered over a long silence")
	}
	now = now.Add(10 * natLetsIn)
	for i := range 2 * maxDialled {
		a.add(now, peer.ID(strconv.Itoa(i)))
	}
	if len(a.now) > maxDialled {
		t.Errorf("%d are remembered", len(a.now))
	}
	if !a.has(now, "b") || !a.has(now.Add(natLetsIn), "b") || a.has(now.Add(2*natLetsIn), "b") {
		t.Error("after too many, a stranger is taken for one at once, or they are not forgotten")
	}
}

// A router is said to let in only peers that were dialled once a check has found the host not to
// be reachable, and no other one has found that it is.
func TestFiltering(t *testing.T) {
	type s = facts
	for _, tt := range []struct {
		known facts
		want  Filtering
	}{
		{s{}, FilteringUnknown},
		{s{publicPeer: true, announced: true}, FilteringUnknown},
		{s{denied: true}, FilteringDialled},
		{s{reachability: network.ReachabilityPrivate}, FilteringDialled},
		{s{reachability: network.ReachabilityPublic}, FilteringUnknown},
		{s{denied: true, confirmed: true}, FilteringUnknown},
		{s{denied: true, reachability: network.ReachabilityPublic}, FilteringUnknown},
		{s{denied: true, dialled: time.Now()}, FilteringNone},
	} {
		if got := tt.known.filtering(); got != tt.want {
			t.Errorf("%+v: %v, want %v", tt.known, got, tt.want)
		}
	}
}
