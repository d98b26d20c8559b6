package host

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/protocol"
)

// A relayed connection that is old stays what it is, unless a direct address is known
// or found: no hole is punched.
func TestConnectFromOldRelay(t *testing.T) {
	tests := []struct {
		name         string
		known, found []string
		age          time.Duration // of the relayed connection
		via          Via
		steps        string
		took         time.Duration
	}{
		{"nothing known", nil, nil, punchTime, ViaRelayed, "known! punch! find!", 0},
		{"only the relay", []string{relayedAddr}, []string{relayedAddr}, punchTime, ViaRelayed, "known punch! find", 0},
		{"found", nil, []string{publicAddr}, punchTime, ViaDirect, "known! punch find direct", 0},
		{"known", []string{publicAddr}, nil, punchTime, ViaDirect, "known direct punch", 0},
		{"known, and wrong", []string{"/ip4/61.1.0.1/tcp/1"}, nil, punchTime, ViaRelayed, "known direct! punch! find!", 5 * time.Second},
		{"new", nil, nil, punchTime - 10*time.Second, ViaRelayed, "known! punch!", 10 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, s, teller := newTheatre(t)
				s.net.play = func(ctx context.Context, addrs []multiaddr.Multiaddr, direct bool) (string, error) {
					if direct && slices.ContainsFunc(addrs, multiaddr.StringCast(publicAddr).Equal) {
						return publicAddr, nil
					}
					return "", dead(ctx, s.net.actor, addrs, 5*time.Second)
				}
				if tt.found != nil {
					teller.will(says(protocol.Response{Providers: []protocol.Peer{{ID: s.net.actor, Addrs: addrList(tt.found...)}}}))
				}
				s.Peerstore().AddAddrs(s.net.actor, addrList(tt.known...), time.Hour)
				s.net.enter(relayedAddr)
				time.Sleep(tt.age)
				var got Connection
				var err error
				spent := took(func() { got, err = d.Connect(t.Context(), s.net.actor, WaitDirect(10*time.Second)) })
				if err != nil || got.Via != tt.via || stepNames(got.Steps) != tt.steps {
					t.Errorf("via %v, %q, %v; want %v, %q", got.Via, stepNames(got.Steps), err, tt.via, tt.steps)
				}
				if spent < tt.took || spent > tt.took+settleTime {
					t.Errorf("took %v, want %v", spent, tt.took)
				}
				time.Sleep(10 * time.Second) // what was given up has ended
			})
		})
	}
}

// Where a lookup has found addresses that were stale, another finds where the peer has
// moved meanwhile.
func TestConnectFindsAgain(t *testing.T) { synctest.Test(t, testConnectFindsAgain) }

func testConnectFindsAgain(t *testing.T) {
	d, s, teller := newTheatre(t)
	s.net.play = func(ctx context.Context, addrs []multiaddr.Multiaddr, _ bool) (string, error) {
		if slices.ContainsFunc(addrs, multiaddr.StringCast(publicAddr).Equal) {
			return publicAddr, nil
		}
		return "", dead(ctx, s.net.actor, addrs, 5*time.Second)
	}
	begun := time.Now()
	teller.will(func(stream network.Stream, req protocol.Request) {
		addr := "/ip4/61.1.0.1/udp/4001/quic-v1"
		if time.Since(begun) > time.Second {
			addr = publicAddr
		}
		says(protocol.Response{Providers: []protocol.Peer{{ID: s.net.actor, Addrs: addrList(addr)}}})(stream, req)
	})
	got, err := d.Connect(t.Context(), s.net.actor)
	if err != nil || got.Via != ViaDirect || stepNames(got.Steps) != "known! find direct! find direct" {
		t.Errorf("via %v, %q, %v", got.Via, stepNames(got.Steps), err)
	}
}

// A step is told in words, with the right number.
func TestStepInWords(t *testing.T) {
	for want, s := range map[string]Step{
		"punch (2s)":            {Name: "punch", Took: 2 * time.Second},
		"known (0s, 1 address)": {Name: "known", Addrs: addrList(publicAddr)},
		"find (5ms, 2 addresses): nobody there": {
			Name: "find", Addrs: addrList(publicAddr, relayedAddr), Took: 5 * time.Millisecond, Err: errDead,
		},
	} {
		if got := s.String(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
