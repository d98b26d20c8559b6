package connect

// Workaround of go-libp2p v0.52.0.
//
// What is wrong: the swarm dials a peer through one relay after the other, in any order. A
// relay that is gone delays the others by 5s, or by a minute while the connection to it
// seems to be open. So each relay is asked first, all at the same time, and the swarm is
// held back from relays that have not answered.
//
// It can go when the circuit transport dials through several relays at a time, and gives up
// a connection to a relay that is silent.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/tasks"
)

// maxRelaysTried bounds the relays of one peer that are tried: the peer names them itself.
const maxRelaysTried = 8

var (
	errNoRelay     = errors.New("none of the addresses names a relay")
	errSilentRelay = errors.New("connected, but it does not answer")
)

// dialThrough connects to a peer through one of its relays that answer.
func (c *Connector) dialThrough(ctx context.Context, id peer.ID, addrs []multiaddr.Multiaddr) error {
	ctx, cancel := context.WithTimeout(ctx, network.GetDialPeerTimeout(ctx))
	defer cancel()
	relays := byRelay(id, c.connectedFirst(addrs))
	if len(relays) == 0 {
		return errNoRelay
	}
	c.cfg.Host.Peerstore().AddAddrs(id, addrs, peerstore.TempAddrTTL)
	c.holdBack(id, nil)
	var (
		mu      sync.Mutex
		answers []peer.ID // the relays that answer
		reached bool
		failed  []error
	)
	_ = tasks.Each(ctx, len(relays), maps.Keys(relays), func(ctx context.Context, relay peer.ID) error {
		addrs := relays[relay]
		err := c.relayAnswers(ctx, relay, addrs)
		if err == nil {
			mu.Lock()
			answers = append(answers, relay)
			c.holdBack(id, answers)
			mu.Unlock()
			_, err = c.cfg.Host.Network().DialPeer(ctx, id)
			err = about(err, addrs)
		}
		mu.Lock()
		defer mu.Unlock()
		if err == nil {
			reached = true
			cancel() // the other relays are not needed any more
		} else {
			failed = append(failed, fmt.Errorf("relay %v: %w", relay, err))
		}
		return nil
	})
	switch {
	case reached:
		return nil
	case len(failed) == 0:
		return context.Cause(ctx) // before the first was asked
	default:
		return errors.Join(failed...)
	}
}

// holdBack has the swarm dial a peer through no other relays than some, for a few seconds.
// It forgets the failed dials of the peer, since the swarm would not dial these addresses.
func (c *Connector) holdBack(id peer.ID, through []peer.ID) {
	b := call.Backoff(c.cfg.Host)
	if b == nil {
		return
	}
	b.Clear(id)
	for _, a := range c.cfg.Host.Peerstore().Addrs(id) {
		if relay, ok := scope.RelayOf(a); ok && !slices.Contains(through, relay) {
			b.AddBackoff(id, a)
		}
	}
}

// connectedFirst returns relayed addresses, the ones whose relays are connected first.
func (c *Connector) connectedFirst(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	connected := func(a multiaddr.Multiaddr) int {
		if relay, ok := scope.RelayOf(a); ok && len(c.cfg.Host.Network().ConnsToPeer(relay)) > 0 {
			return 0
		}
		return 1
	}
	addrs = slices.Clone(addrs)
	slices.SortStableFunc(addrs, func(a, b multiaddr.Multiaddr) int { return cmp.Compare(connected(a), connected(b)) })
	return addrs
}

// byRelay returns relayed addresses of a peer by their relay, of up to maxRelaysTried.
func byRelay(id peer.ID, addrs []multiaddr.Multiaddr) map[peer.ID][]multiaddr.Multiaddr {
	relays := make(map[peer.ID][]multiaddr.Multiaddr)
	for _, a := range addrs {
		relay, ok := scope.RelayOf(a)
		if _, known := relays[relay]; ok && relay != id && (known || len(relays) < maxRelaysTried) {
			relays[relay] = append(relays[relay], a)
		}
	}
	return relays
}

// relayAnswers connects to a relay, with what addresses of its peer say of it. If it seems
// to be connected, relayAnswers asks whether it is still there.
func (c *Connector) relayAnswers(ctx context.Context, relay peer.ID, addrs []multiaddr.Multiaddr) error {
	conns, alive := c.cfg.Call.RelayAnswers(ctx, relay, 1)
	if alive {
		return context.Cause(ctx)
	}
	if len(conns) > 0 {
		return errSilentRelay
	}
	ctx, cancel := context.WithTimeout(ctx, client.DialRelayTimeout)
	defer cancel()
	c.cfg.Reach.Dialled(relay)
	c.cfg.Call.ForgetFailures(relay)
	info := peer.AddrInfo{ID: relay}
	for _, a := range addrs {
		if at, _ := multiaddr.SplitFunc(a, func(c multiaddr.Component) bool { return c.Protocol().Code == multiaddr.P_P2P }); len(at) > 0 {
			info.Addrs = append(info.Addrs, at)
		}
	}
	if err := c.cfg.Host.Connect(ctx, info); err != nil {
		return call.DialError(err)
	}
	return nil
}

// about returns the part of a failed dial that is about some addresses; all of it if there
// is none.
func about(err error, addrs []multiaddr.Multiaddr) error {
	var failed *swarm.DialError
	if !errors.As(err, &failed) {
		return err
	}
	part := &swarm.DialError{Peer: failed.Peer, Cause: failed.Cause}
	for _, e := range failed.DialErrors {
		if slices.ContainsFunc(addrs, e.Address.Equal) {
			part.DialErrors = append(part.DialErrors, e)
		}
	}
	if len(part.DialErrors) == 0 {
		return err
	}
	return part
}
