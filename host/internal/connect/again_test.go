package connect

import (
	"bufio"
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch/pb"
	"github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/tasks"
)

// punches are what a node has punched.
type punches struct {
	mu      sync.Mutex
	began   time.Time
	after   []time.Duration // when target was told addresses
	offered []string        // the last ones
	dialled []string        // likewise
}

// punching runs the job of a node that is seen at homeSeen, and has a relayed connection from
// target, which answers with addresses. Dials fail.
func punching(t *testing.T, answers ...string) (*node, *punches) {
	t.Helper()
	return punchingAfter(t, func(*node) {}, answers...)
}

// punchingAfter is punching of a node that something happens to before.
func punchingAfter(t *testing.T, before func(*node), answers ...string) (*node, *punches) {
	t.Helper()
	n, p := atHome(t), &punches{began: time.Now()}
	before(n)
	n.host.addrs = nil
	n.host.net.dir = network.DirInbound
	if err := n.host.Peerstore().AddProtocols(target, holepunch.Protocol); err != nil {
		t.Fatal(err)
	}
	n.host.net.dial = func(ctx context.Context, addrs []multiaddr.Multiaddr, _ bool) (string, error) {
		p.mu.Lock()
		p.dialled = textsOf(addrs)
		p.mu.Unlock()
		return "", unreachable(ctx, addrs, time.Second)
	}
	relayed := roomtest.NewConn(target, multiaddr.StringCast(relayedAddr))
	n.host.opens = func() (network.Stream, error) {
		near, far := roomtest.NewStream(relayed, relayed)
		go p.agree(t, far, answers)
		return near, nil
	}
	loop := tasks.NewLoop(n.group)
	n.cfg.Wake = loop.Wake
	loop.Add(n.PunchJob())
	n.Identified(n.host.net.open(target, relayedAddr))
	n.group.Go(func(ctx context.Context) { loop.Run(ctx, nil, nil) })
	return n, p
}

// agree is the part of target.
func (p *punches) agree(t *testing.T, s network.Stream, answers []string) {
	t.Helper()
	in := bufio.NewReader(s)
	var msg pb.HolePunch
	if protodelim.UnmarshalFrom(in, &msg) != nil || msg.GetType() != pb.HolePunch_CONNECT {
		t.Errorf("the first message is %v", &msg)
	}
	var offered []multiaddr.Multiaddr
	for _, b := range msg.GetObsAddrs() {
		a, err := multiaddr.NewMultiaddrBytes(b)
		if err != nil {
			t.Error(err)
			continue
		}
		offered = append(offered, a)
	}
	p.mu.Lock()
	p.after, p.offered = append(p.after, time.Since(p.began)), textsOf(offered)
	p.mu.Unlock()
	reply := &pb.HolePunch{Type: pb.HolePunch_CONNECT.Enum()}
	for _, a := range roomtest.Addrs(answers...) {
		reply.ObsAddrs = append(reply.ObsAddrs, a.Bytes())
	}
	_, _ = protodelim.MarshalTo(s, reply)
	if answers[0] == otherSeen && (protodelim.UnmarshalFrom(in, &msg) != nil || msg.GetType() != pb.HolePunch_SYNC) {
		t.Errorf("the second message is %v", &msg)
	}
	_ = s.Close()
}

func textsOf(addrs []multiaddr.Multiaddr) (texts []string) {
	for _, a := range addrs {
		texts = append(texts, a.String())
	}
	return texts
}

// A peer that stays relayed is punched again when the host is done with it, after pauses that
// double; at once when an address has changed; and not once it is connected directly.
func TestPunchAgain(t *testing.T) { synctest.Test(t, testPunchAgain) }

func testPunchAgain(t *testing.T) {
	n, p := punching(t, otherSeen, relayedAddr, lanThere)
	expect := func(when string, want ...time.Duration) {
		t.Helper()
		synctest.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		near := func(a, b time.Duration) bool { return (a - b).Abs() <= b/10+time.Second }
		if !slices.EqualFunc(p.after, want, near) {
			t.Errorf("%s: punched after %v, want %v", when, p.after, want)
		}
	}
	time.Sleep(hostPunches - time.Second)
	expect("while the host may punch")
	time.Sleep(31 * time.Second)
	expect("then", 10*time.Second, 16*time.Second, 27*time.Second)
	p.mu.Lock()
	if !slices.Equal(p.dialled, []string{otherSeen}) || !slices.Equal(p.offered, []string{homeSeen}) {
		t.Errorf("dialled %v and offered %v; want the public ones alone", p.dialled, p.offered)
	}
	p.mu.Unlock()
	const moved = "/ip4/62.1.0.1/udp/7/quic-v1"
	n.host.Peerstore().AddAddrs(target, roomtest.Addrs(moved), peerstore.ConnectedAddrTTL)
	n.cfg.Wake()
	expect("the peer has moved", 10*time.Second, 16*time.Second, 27*time.Second, 40*time.Second)
	time.Sleep(10 * time.Second)
	seen := n.host.net.open(witness, "/ip4/40.1.0.8/udp/4001/quic-v1")
	seen.local, seen.dir = multiaddr.StringCast("/ip4/0.0.0.0/udp/4001/quic-v1"), network.DirOutbound
	n.cfg.Reach.Handle(event.EvtPeerIdentificationCompleted{Peer: witness, Conn: seen, ObservedAddr: multiaddr.StringCast(moved)})
	synctest.Wait()
	n.host.net.dial = func(context.Context, []multiaddr.Multiaddr, bool) (string, error) { return otherSeen, nil }
	n.cfg.Wake()
	expect("this host has moved", 10*time.Second, 16*time.Second, 27*time.Second, 40*time.Second, 50*time.Second)
	p.mu.Lock()
	if !slices.Equal(p.offered, []string{moved, homeSeen}) {
		t.Errorf("offered %v, want the new address first", p.offered)
	}
	p.mu.Unlock()
	time.Sleep(time.Hour)
	expect("connected directly", 10*time.Second, 16*time.Second, 27*time.Second, 40*time.Second, 50*time.Second)
}

// A peer that stays relayed for hours is punched every maxPunchPause.
func TestPunchPause(t *testing.T) { synctest.Test(t, testPunchPause) }

func testPunchPause(t *testing.T) {
	_, p := punching(t, otherSeen)
	time.Sleep(2 * time.Hour)
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.after[len(p.after)-1] - p.after[len(p.after)-2]
	if tenth := maxPunchPause / 10; last < maxPunchPause-tenth || last > maxPunchPause+tenth+punchDial {
		t.Errorf("punched after %v", p.after)
	}
}

// A peer that has moved comes through a relay while its direct connection seems to be open. It is
// punched as soon as that is closed, since the host does not; a direct connection that ends
// again and again is punched for once in a while.
func TestPunchAfterDeadConnection(t *testing.T) { synctest.Test(t, testPunchAfterDeadConnection) }

func testPunchAfterDeadConnection(t *testing.T) {
	var dead network.Conn
	n, p := punchingAfter(t, func(n *node) { dead = n.host.net.open(target, publicAddr) }, otherSeen)
	closes := func(when string, conn network.Conn, want int) {
		t.Helper()
		_ = conn.Close()
		n.cfg.Wake()
		synctest.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.after) != want {
			t.Fatalf("%s: punched after %v, want %d times", when, p.after, want)
		}
	}
	time.Sleep(time.Second)
	n.host.net.dial = func(context.Context, []multiaddr.Multiaddr, bool) (string, error) { return otherSeen, nil }
	closes("the dead connection is closed", dead, 1)
	punched := func() network.Conn { return n.host.net.ConnsToPeer(target)[1] }
	closes("the new one ends too", punched(), 1)
	time.Sleep(minPunchPause - time.Second)
	n.cfg.Wake()
	synctest.Wait()
	p.mu.Lock()
	if len(p.after) != 1 {
		t.Errorf("punched after %v, want once within %v", p.after, minPunchPause)
	}
	p.mu.Unlock()
	time.Sleep(minPunchPause + 2*time.Second)
	closes("the next one ends later", punched(), 3)
}

// Nothing is done for a connection that has ended, a peer that does not punch, and one that
// names no address that can be dialled; and a relayed connection that this host has dialled is
// the peer's.
func TestPunchInVain(t *testing.T) {
	for name, tt := range map[string]struct {
		answers []string
		before  func(*node)
		want    int // exchanges in a minute
	}{
		"it names no public address": {[]string{lanThere, relayedAddr}, func(*node) {}, 4},
		"it does not punch": {[]string{otherSeen}, func(n *node) {
			_ = n.host.Peerstore().RemoveProtocols(target, holepunch.Protocol)
		}, 0},
		"it has left": {[]string{otherSeen}, func(n *node) { n.host.net.leave() }, 0},
		"this host has dialled": {[]string{otherSeen}, func(n *node) {
			n.host.net.leave()
			n.host.net.dir = network.DirOutbound
			n.Identified(n.host.net.open(target, relayedAddr))
		}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, p := punching(t, tt.answers...)
				tt.before(n)
				time.Sleep(time.Minute)
				synctest.Wait()
				p.mu.Lock()
				defer p.mu.Unlock()
				if len(p.after) > tt.want || tt.want > 0 && len(p.after) == 0 {
					t.Errorf("%d exchanges, want %d", len(p.after), tt.want)
				}
				if len(p.dialled) > 0 {
					t.Errorf("dialled %v", p.dialled)
				}
			})
		})
	}
}
