package host

import (
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/roomtest"
)

// A Config that cannot work is refused with an error that names the field, its
// value, and what to use; nothing is left running.
func TestConfigInvalid(t *testing.T) { synctest.Test(t, testConfigInvalid) }

func testConfigInvalid(t *testing.T) {
	h := newTestNet(t).host()
	addrs := []multiaddr.Multiaddr{multiaddr.StringCast(aPublic)}
	tests := []struct {
		give Config
		want []string
	}{
		{Config{}, []string{"Config.Network is empty", `"/chat"`}},
		{Config{Network: "chat"}, []string{`Config.Network is "chat"`, "begins with a slash"}},
		{Config{Network: "/chat/"}, []string{`Config.Network is "/chat/"`}},
		{Config{Network: "/chat/kad/1.0.0"}, []string{"leave \"/kad/1.0.0\" out"}},
		{Config{Network: "/n", K: -1}, []string{"Config.K is -1", "1 to 32"}},
		{Config{Network: "/n", K: 33}, []string{"Config.K is 33", "1 to 32"}},
		{Config{Network: "/n", Alpha: -1}, []string{"Config.Alpha is -1"}},
		{Config{Network: "/n", Alpha: maxAlpha + 1}, []string{"Config.Alpha is 129"}},
		{Config{Network: "/n", MaxInbound: -1}, []string{"Config.MaxInbound is -1"}},
		{Config{Network: "/n", SlowAfter: -time.Second}, []string{"Config.SlowAfter is -1s"}},
		{Config{Network: "/n", Mode: 3}, []string{"Config.Mode is 3", "ModeAuto"}},
		{Config{Network: "/n", Validators: map[string]record.Validator{"v": nil}}, []string{`Config.Validators["v"]`}},
		{Config{Network: "/n", Validators: map[string]record.Validator{"": roomtest.Digits{}}}, []string{`Config.Validators[""]`}},
		{Config{Network: "/n", Validators: map[string]record.Validator{"/v": roomtest.Digits{}}}, []string{`Config.Validators["/v"]`}},
		{Config{Network: "/n", Bootstrap: []peer.AddrInfo{{Addrs: addrs}}}, []string{"Config.Bootstrap", "valid ID"}},
		{Config{Network: "/n", Bootstrap: []peer.AddrInfo{{ID: aPeer}}}, []string{"Config.Bootstrap", aPeer.String(), "no address"}},
		{Config{Network: "/n", AppendAnnounce: addrs}, []string{"Config.AppendAnnounce", "Traversal", "libp2p.AddrsFactory"}},
		{Config{K: -1, Mode: 3}, []string{"Config.Network", "Config.K", "Config.Mode"}}, // all at once
	}
	for i, tt := range tests {
		d, err := New(h, tt.give)
		if err == nil {
			t.Errorf("config %d is taken, want an error about %v", i, tt.want)
			_ = d.Close()
			continue
		}
		mentions(t, err.Error(), tt.want...)
		if !strings.HasPrefix(err.Error(), "kad: ") {
			t.Errorf("config %d: %q does not begin with kad:", i, err)
		}
	}
	if _, err := New(nil, Config{Network: "/n"}); err == nil {
		t.Error("a nil host is taken")
	}
}

// Whatever can be switched off, or is our own, is taken.
func TestConfigValid(t *testing.T) { synctest.Test(t, testConfigValid) }

func testConfigValid(t *testing.T) {
	n := newTestNet(t)
	h := n.host()
	for i, cfg := range []Config{
		{Network: "/a/b"},
		{Network: "/n", RequestTimeout: -1, RefreshInterval: -1, RecordAge: -1, MaxPerGroup: -1},
		{Network: "/n", K: 32, Alpha: maxAlpha, MaxInbound: 1},
		{Network: "/n", K: 1, Alpha: 1},
		{Network: "/n", Bootstrap: []peer.AddrInfo{{ID: h.ID()}}},
	} {
		d, err := New(h, cfg)
		if err != nil {
			t.Errorf("config %d: %v", i, err)
			continue
		}
		time.Sleep(time.Hour)
		_ = d.Close()
	}
}

// Nodes whose durations and limits are the least or the greatest that there are, or below 0
// where that switches something off, run, and end.
func TestConfigExtremes(t *testing.T) {
	for name, tt := range map[string]struct {
		every time.Duration
		limit int
		runs  time.Duration
	}{
		"least":    {1, 1, 2 * time.Second},
		"greatest": {math.MaxInt64, math.MaxInt, 3 * 24 * time.Hour},
		"negative": {-time.Hour, -1, 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := Config{
					Mode: ModeServer, RequestTimeout: tt.every, SlowAfter: max(0, tt.every), RefreshInterval: tt.every, RecordAge: tt.every,
					RepublishInterval: tt.every, ReplicateInterval: tt.every, MaxDials: tt.limit, MaxBytesPerPeer: tt.limit, MaxPerGroup: tt.limit,
				}
				nodes := newTestNet(t).nodes(3, cfg)
				_, put := nodes[1].Put(t.Context(), "/v/key", []byte("1"), Quorum(2))
				_, _ = nodes[1].Announce(t.Context(), testCID("content"))
				time.Sleep(tt.runs)
				if _, err := nodes[2].GetValue(t.Context(), "/v/key"); name == "greatest" && (err != nil || put != nil) {
					t.Errorf("a value that lasts longest: put %v, got %v", put, err)
				}
				for _, d := range nodes {
					_ = d.Stats()
				}
			})
		})
	}
}

// New copies the Config: what is changed afterwards has no effect.
func TestConfigIsCopied(t *testing.T) { synctest.Test(t, testConfigIsCopied) }

func testConfigIsCopied(t *testing.T) {
	cfg := testConfig(Config{Bootstrap: []peer.AddrInfo{{ID: aPeer, Addrs: addrOf(1)}}})
	d, err := newDHT(newTestNet(t).host(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Bootstrap[0] = peer.AddrInfo{}
	delete(cfg.Validators, "v")
	if d.cfg.Bootstrap[0].ID != aPeer || d.rules.Check([]byte("/v/key"), []byte("1")) != nil {
		t.Error("the DHT has changed with the Config")
	}
}

// Any number of bootstrap peers will do, also one twice, or this node itself.
func TestManyBootstrapPeers(t *testing.T) { synctest.Test(t, testManyBootstrapPeers) }

func testManyBootstrapPeers(t *testing.T) {
	net := newTestNet(t)
	friend, h := net.host(), net.host()
	first, err := New(friend, Config{Network: "/n", Mode: ModeServer})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	itself := peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}
	many := []peer.AddrInfo{itself}
	for i := range 200 {
		many = append(many, peer.AddrInfo{ID: calltest.ID(i), Addrs: friend.Addrs()})
	}
	there := peer.AddrInfo{ID: friend.ID(), Addrs: friend.Addrs()}
	d, err := New(h, Config{Network: "/n", Bootstrap: append(many, there, there)})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if got := len(d.cfg.Bootstrap); got != 201 {
		t.Errorf("%d bootstrap peers, want 201", got)
	}
	_ = d.Close()

	h = net.host()
	itself = peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}
	alone, err := New(h, Config{Network: "/n", Bootstrap: []peer.AddrInfo{itself}})
	if err != nil {
		t.Fatal(err)
	}
	defer alone.Close()
	if err := alone.Ready(t.Context()); err == nil {
		t.Error("a node whose only bootstrap peer is itself is ready")
	} else {
		mentions(t, err.Error(), "this node alone")
	}
}
