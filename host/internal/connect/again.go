package connect

// Workaround of go-libp2p v0.52.0.
//
// What is wrong: for each relayed connection, the end to which it has come in punches three
// times, within 8 s of its beginning, and never again; and not at all while a direct connection
// seems to be open. Where that was in vain, since the address of a NAT had just changed, or a
// network was down, or where the direct connection was dead, the two peers stay relayed as long
// as the connection lasts, which is up to an hour. Nothing of the host can be asked to punch
// then, so that end speaks the protocol here: when the direct connection has ended, when an
// address of one of both has changed, and after pauses that double.
//
// It can go when the service of the host tries again.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch/pb"
	"github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/tasks"
)

const (
	// hostPunches is how long after a relayed connection has come in the service of the host
	// is done with it.
	hostPunches = 10 * time.Second

	// A peer that stays relayed is punched again after minPunchPause, or when an address has
	// changed, and then after up to maxPunchPause.
	minPunchPause = 5 * time.Second
	maxPunchPause = 5 * time.Minute

	// punchesAtOnce bounds the peers that are punched again at a time.
	punchesAtOnce = 4

	// agreeTimeout bounds the exchange of addresses, and punchDial the dial after it, as in the
	// service of the host.
	agreeTimeout = 5 * time.Second
	punchDial    = 2 * time.Second

	// maxPunchMessage bounds a message of the protocol, in bytes.
	maxPunchMessage = 4 << 10
)

// PunchJob returns the job that punches again for relayed connections that have come in.
func (c *Connector) PunchJob() tasks.Job {
	return tasks.Job{Name: "punch", Limit: punchesAtOnce, Due: c.punchDue}
}

// cameIn takes in a relayed connection whose peer is known now. A peer that has moved comes so
// before its direct connection is found to be dead: then the service of the host does nothing.
func (c *Connector) cameIn(conn network.Conn) {
	if c.relayedIn[conn] != nil {
		return
	}
	done := conn.Stat().Opened
	if !c.hasDirect(conn.RemotePeer()) {
		done = done.Add(hostPunches)
	}
	c.relayedIn[conn] = &relayedIn{next: done, soon: done}
}

func (c *Connector) punchDue(now time.Time, start *tasks.Start) (next time.Time) {
	maps.DeleteFunc(c.relayedIn, func(conn network.Conn, _ *relayedIn) bool { return conn.IsClosed() })
	if len(c.relayedIn) == 0 {
		return time.Time{}
	}
	ours := c.seenAs(public(c.cfg.Host.Addrs()))
	for conn, r := range c.relayedIn {
		id := conn.RemotePeer()
		if r.runs {
			continue
		}
		if c.hasDirect(id) { // when that ends, the peer is punched at once
			r.next, r.pause = r.soon, 0
			continue
		}
		due, known := r.next, punched(ours, public(c.cfg.Host.Peerstore().Addrs(id)))
		if r.known != nil && !slices.Equal(known, r.known) {
			due = r.soon
		}
		if now.Before(due) {
			next = tasks.Earliest(next, due)
			continue
		}
		if start.Room() == 0 {
			continue // the end of a run leads here again
		}
		r.runs, r.known = true, known
		start.Run(func(ctx context.Context) error { return c.punchAgain(ctx, id) }, func(now time.Time, _ error) {
			r.runs = false
			r.pause = min(max(minPunchPause, 2*r.pause), maxPunchPause)
			r.soon, r.next = now.Add(minPunchPause), now.Add(tasks.Jittered(r.pause))
		})
	}
	return next
}

// punched returns the addresses by which a hole to a peer can be punched, as texts: those of
// this host, and those of the peer.
func punched(ours, theirs []multiaddr.Multiaddr) []string {
	var texts []string
	for _, a := range slices.Concat(ours, theirs) {
		texts = append(texts, a.String())
	}
	slices.Sort(texts)
	return texts
}

// public returns the addresses on the internet that lead through no relay.
func public(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	return slices.DeleteFunc(slices.Clone(addrs), func(a multiaddr.Multiaddr) bool {
		return scope.Of(a) != scope.Public || scope.HasProtocol(a, multiaddr.P_CIRCUIT)
	})
}

var (
	errNoAddr    = errors.New("this host, or the peer, knows no public address of its own")
	errPunch     = errors.New("the peer does not keep to the protocol of hole punching")
	errNoPuncher = errors.New("the peer does not punch")
)

// punchAgain agrees with a relayed peer on a moment, at which both dial each other.
//
// Source: https://github.com/libp2p/specs/blob/master/relay/DCUtR.md
func (c *Connector) punchAgain(ctx context.Context, id peer.ID) error {
	known, err := c.cfg.Host.Peerstore().SupportsProtocols(id, holepunch.Protocol)
	if err != nil || len(known) == 0 {
		return errNoPuncher
	}
	addrs, trip, err := c.agree(ctx, id)
	if err != nil {
		return fmt.Errorf("agreeing on a punch: %w", err)
	}
	heard, cancelled := context.WithTimeout(ctx, trip/2)
	defer cancelled()
	<-heard.Done() // the peer has heard it
	client := c.cfg.Reach.Symmetric()
	ctx, cancel := context.WithTimeout(network.WithForceDirectDial(network.WithSimultaneousConnect(ctx, client, "punch"), "punch"), punchDial)
	defer cancel()
	if err := c.cfg.Host.Connect(ctx, peer.AddrInfo{ID: id, Addrs: addrs}); err != nil {
		c.PunchFailed()
		return fmt.Errorf("punching: %w", err)
	}
	return nil
}

// agree tells a peer the addresses of this host, and returns those of the peer, and how long a
// round trip took. When it returns, the peer is being told to dial.
func (c *Connector) agree(ctx context.Context, id peer.ID) (addrs []multiaddr.Multiaddr, trip time.Duration, err error) {
	ours := c.offered(public(c.cfg.Host.Addrs()))
	if len(ours) == 0 {
		return nil, 0, errNoAddr
	}
	ctx, cancel := context.WithTimeout(network.WithNoDial(network.WithAllowLimitedConn(ctx, "punch"), "punch"), agreeTimeout)
	defer cancel()
	s, err := c.cfg.Host.NewStream(ctx, id, holepunch.Protocol)
	if err != nil {
		return nil, 0, err
	}
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	defer func() {
		if err != nil {
			_ = s.Reset()
		} else {
			_ = s.Close()
		}
	}()
	if err := s.Scope().SetService(holepunch.ServiceName); err != nil {
		return nil, 0, err
	}
	offer := &pb.HolePunch{Type: pb.HolePunch_CONNECT.Enum()}
	for _, a := range ours {
		offer.ObsAddrs = append(offer.ObsAddrs, a.Bytes())
	}
	there := newStep(stepPunch, ours)
	if _, err := protodelim.MarshalTo(s, offer); err != nil {
		return nil, 0, err
	}
	var reply pb.HolePunch
	if err := (protodelim.UnmarshalOptions{MaxSize: maxPunchMessage}).UnmarshalFrom(bufio.NewReader(s), &reply); err != nil {
		return nil, 0, err
	}
	there.end(nil)
	if reply.GetType() != pb.HolePunch_CONNECT {
		return nil, 0, errPunch
	}
	for _, b := range reply.GetObsAddrs() {
		if a, err := multiaddr.NewMultiaddrBytes(b); err == nil {
			addrs = append(addrs, a)
		}
	}
	addrs = PunchFilter{}.FilterRemote(id, public(addrs))
	if len(addrs) == 0 {
		return nil, 0, errNoAddr
	}
	_, err = protodelim.MarshalTo(s, &pb.HolePunch{Type: pb.HolePunch_SYNC.Enum()})
	return addrs, there.Took, err
}
