package connect

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/roomtest"
)

// A dial is how a dial of target goes.
type dial func(ctx context.Context, n *node, addrs []multiaddr.Multiaddr, direct bool) (string, error)

// directly reaches target at its public address.
func directly(ctx context.Context, _ *node, addrs []multiaddr.Multiaddr, _ bool) (string, error) {
	if contains(addrs, publicAddr) {
		time.Sleep(10 * time.Millisecond)
		return publicAddr, nil
	}
	return "", unreachable(ctx, addrs, 5*time.Second)
}

// throughRelay reaches target through its relay. After some time, there is a direct
// connection, or, if the time is negative, none at all.
func throughRelay(punched time.Duration) dial {
	return func(ctx context.Context, n *node, addrs []multiaddr.Multiaddr, direct bool) (string, error) {
		if direct || !contains(addrs, relayedAddr) || contains(addrs, goneRelayedAddr) {
			return "", unreachable(ctx, addrs, 5*time.Second)
		}
		time.Sleep(100 * time.Millisecond)
		switch {
		case punched > 0:
			time.AfterFunc(punched, func() { n.host.net.open(target, publicAddr) })
		case punched < 0:
			time.AfterFunc(-punched, n.host.net.leave)
		}
		return relayedAddr, nil
	}
}

// bothWays reaches target through its relay, and directly a little later.
func bothWays(_ context.Context, _ *node, _ []multiaddr.Multiaddr, direct bool) (string, error) {
	if direct {
		time.Sleep(800 * time.Millisecond)
		return publicAddr, nil
	}
	time.Sleep(400 * time.Millisecond)
	return relayedAddr, nil
}

// Each way to a peer, and each failure on it, is a step.
func TestTo(t *testing.T) {
	tests := []struct {
		name         string
		known, found []string
		dial         dial
		via          Via // 0: an error
		steps        string
		took         time.Duration
	}{
		{"known", []string{publicAddr}, nil, directly, Direct, "known direct", 0},
		{"found", nil, []string{publicAddr}, directly, Direct, "known! find direct", 0},
		{"stale, then found", []string{staleAddr}, []string{publicAddr}, directly, Direct, "known direct! find direct", findAfter},
		{"known, unreachable, not found", []string{staleAddr}, nil, directly, 0, "known direct! find!", 5 * time.Second},
		{"nothing", nil, nil, directly, 0, "known! find!", 0},
		{"found, unreachable", nil, []string{staleAddr}, directly, 0, "known! find direct! find!", 5 * time.Second},
		{"punched", nil, []string{staleAddr, relayedAddr}, throughRelay(300 * time.Millisecond), Punched, "known! find direct! relay punch", 400 * time.Millisecond},
		{"one relay is gone", nil, []string{goneRelayedAddr, relayedAddr}, throughRelay(300 * time.Millisecond), Punched, "known! find relay punch", 400 * time.Millisecond},
		{"the known relay is gone", []string{goneRelayedAddr}, []string{relayedAddr}, throughRelay(300 * time.Millisecond), Punched, "known relay! find relay punch", findAfter + 400*time.Millisecond},
		{"punched at the known relay", []string{relayedAddr}, nil, throughRelay(2 * time.Second), Punched, "known relay punch", 2100 * time.Millisecond},
		{"relayed", nil, []string{staleAddr, relayedAddr}, throughRelay(time.Hour), Relayed, "known! find direct! relay punch!", 10100 * time.Millisecond},
		{"direct, after the relay", []string{publicAddr, relayedAddr}, nil, bothWays, Direct, "known direct relay punch", 800 * time.Millisecond},
		{"the relay ends", nil, []string{relayedAddr}, throughRelay(-time.Second), 0, "known! find relay punch!", 1100 * time.Millisecond},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t)
				n.found = tt.found
				n.host.net.dial = func(ctx context.Context, addrs []multiaddr.Multiaddr, direct bool) (string, error) {
					return tt.dial(ctx, n, addrs, direct)
				}
				n.host.Peerstore().AddAddrs(target, roomtest.Addrs(tt.known...), time.Hour)
				var got Connection
				var err error
				spent := roomtest.Took(func() { got, err = n.To(t.Context(), target, 10*time.Second) })
				if got.Via != tt.via || (err != nil) != (tt.via == 0) || stepNames(got.Steps) != tt.steps {
					t.Errorf("via %v, %q, %v; want %v, %q", got.Via, stepNames(got.Steps), err, tt.via, tt.steps)
				}
				if spent < tt.took || spent > tt.took+2*settleTime {
					t.Errorf("took %v, want %v", spent, tt.took)
				}
				if tt.via == 0 {
					checkError(t, err, got.Steps)
				} else if (tt.via == Relayed) != (got.Addr.String() == relayedAddr) {
					t.Errorf("connected to %v", got.Addr)
				}
				time.Sleep(10 * time.Second) // what was given up has ended
			})
		})
	}
}

// stepNames returns the names of steps, with an exclamation mark if one failed.
func stepNames(steps []Step) string {
	var names []string
	for _, s := range steps {
		if s.Err != nil {
			s.Name += "!"
		}
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

// checkError checks that an error has the steps, and that the failure of a dial names its
// addresses.
func checkError(t *testing.T, err error, steps []Step) {
	t.Helper()
	failed := new(Error)
	if !errors.As(err, &failed) || failed.ID != target || stepNames(failed.Steps) != stepNames(steps) {
		t.Fatalf("%v with the steps %v, want %v", err, failed.Steps, steps)
	}
	for _, s := range steps {
		if s.Err == nil || s.Name != stepDirect {
			continue
		}
		for _, a := range s.Addrs {
			if !strings.Contains(s.Err.Error(), a.String()) {
				t.Errorf("%s: %v does not name %v", s.Name, s.Err, a)
			}
		}
	}
}

// A caller whose time is over learns how far the attempt came, and has the relayed
// connection if there is one.
func TestToInTime(t *testing.T) { synctest.Test(t, testToInTime) }

func testToInTime(t *testing.T) {
	n := newNode(t)
	n.host.Peerstore().AddAddrs(target, roomtest.Addrs(publicAddr), peerstore.PermanentAddrTTL)
	n.host.net.dial = func(ctx context.Context, addrs []multiaddr.Multiaddr, _ bool) (string, error) {
		return "", unreachable(ctx, addrs, time.Hour)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var err error
	if spent := roomtest.Took(func() { _, err = n.To(ctx, target, time.Minute) }); spent != time.Second {
		t.Errorf("took %v, want the time that the caller has", spent)
	}
	failed := new(Error)
	if !errors.As(err, &failed) || !errors.Is(failed.Cause, context.DeadlineExceeded) ||
		stepNames(failed.Steps) != "known direct! find!" || !errors.Is(failed.Steps[1].Err, context.DeadlineExceeded) {
		t.Errorf("To() = %v after %v", err, failed.Steps)
	}

	n.host.net.open(target, relayedAddr)
	ctx, cancel = context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if got, err := n.To(ctx, target, time.Minute); err != nil || got.Via != Relayed {
		t.Errorf("To() = %v, %v; want the relayed connection", got.Via, err)
	}
	if got, err := n.To(t.Context(), target, 0); err != nil || got.Via != Relayed {
		t.Errorf("To() = %v, %v; want the relayed connection at once", got.Via, err)
	}
	n.host.net.open(target, publicAddr)
	if got, err := n.To(t.Context(), target, time.Minute); err != nil || got.Via != Direct || len(got.Steps) != 0 {
		t.Errorf("To() = %v, %v; want the direct connection", got, err)
	}
	if _, err := n.To(t.Context(), n.host.ID(), 0); err == nil {
		t.Error("connected to itself")
	}
	if _, err := n.To(t.Context(), "", 0); err == nil {
		t.Error("connected to a peer without ID")
	}
	n.host.net.leave()
	n.group.Cancel()
	_, err = n.To(t.Context(), target, 0)
	if !errors.As(err, &failed) || !errors.Is(failed.Steps[1].Err, kaderr.ErrClosed) {
		t.Errorf("To() of a closed node = %v after %v", err, failed.Steps)
	}
}

// An old relayed connection stays relayed, unless a direct address is known or found: the
// peer does not punch for it.
func TestToFromOldRelay(t *testing.T) {
	tests := []struct {
		name         string
		known, found []string
		age          time.Duration // of the relayed connection
		via          Via
		steps        string
		took         time.Duration
	}{
		{"nothing known", nil, nil, punchTime, Relayed, "known! punch! find!", 0},
		{"only the relay", []string{relayedAddr}, []string{relayedAddr}, punchTime, Relayed, "known punch! find", 0},
		{"found", nil, []string{publicAddr}, punchTime, Direct, "known! punch find direct", 0},
		{"known", []string{publicAddr}, nil, punchTime, Direct, "known direct punch", 0},
		{"known, and wrong", []string{staleAddr}, nil, punchTime, Relayed, "known direct! punch! find!", 5 * time.Second},
		{"new", nil, nil, punchTime - 10*time.Second, Relayed, "known! punch!", 10 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t)
				n.found = tt.found
				n.host.net.dial = func(ctx context.Context, addrs []multiaddr.Multiaddr, direct bool) (string, error) {
					if direct && contains(addrs, publicAddr) {
						time.Sleep(10 * time.Millisecond)
						return publicAddr, nil
					}
					return "", unreachable(ctx, addrs, 5*time.Second)
				}
				n.host.Peerstore().AddAddrs(target, roomtest.Addrs(tt.known...), time.Hour)
				n.host.net.open(target, relayedAddr)
				time.Sleep(tt.age)
				var got Connection
				var err error
				spent := roomtest.Took(func() { got, err = n.To(t.Context(), target, 10*time.Second) })
				if err != nil || got.Via != tt.via || stepNames(got.Steps) != tt.steps {
					t.Errorf("via %v, %q, %v; want %v, %q", got.Via, stepNames(got.Steps), err, tt.via, tt.steps)
				}
				if spent < tt.took || spent > tt.took+2*settleTime {
					t.Errorf("took %v, want %v", spent, tt.took)
				}
				time.Sleep(10 * time.Second) // what was given up has ended
			})
		})
	}
}

// Where a lookup has found addresses that were stale, another one finds where the peer
// has moved meanwhile.
func TestToFindsAgain(t *testing.T) { synctest.Test(t, testToFindsAgain) }

func testToFindsAgain(t *testing.T) {
	n := newNode(t)
	n.found = []string{staleAddr}
	n.host.net.dial = func(ctx context.Context, addrs []multiaddr.Multiaddr, direct bool) (string, error) {
		n.found = []string{publicAddr}
		return directly(ctx, n, addrs, direct)
	}
	got, err := n.To(t.Context(), target, 10*time.Second)
	if err != nil || got.Via != Direct || stepNames(got.Steps) != "known! find direct! find direct" {
		t.Errorf("via %v, %q, %v", got.Via, stepNames(got.Steps), err)
	}
}
