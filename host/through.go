package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/multiformats/go-multiaddr"
)

// maxRelaysTried bounds the relays of one peer that are tried: it names them itself.
const maxRelaysTried = 8

// errSilentRelay is why nobody is dialled through a relay.
var errSilentRelay = errors.New("connected, but it does not answer")

// dialThrough connects to a peer through the first of its relays that answers and takes
// us there. libp2p would try one relay after the other, in any order, and one that is
// gone holds up the others for 5s, or for a minute if we are still connected to it: so
// the host is told of those only that answer, and forgets the others.
func (d *DHT) dialThrough(ctx context.Context, id peer.ID, addrs []multiaddr.Multiaddr) error {
	known := d.host.Peerstore()
	known.SetAddrs(id, slices.DeleteFunc(known.Addrs(id), func(a multiaddr.Multiaddr) bool { return !has(a, multiaddr.P_CIRCUIT) }), 0)

	type check struct {
		relay peer.ID
		err   error
	}
	ctx, cancel := context.WithCancel(ctx)
	var checks sync.WaitGroup
	defer checks.Wait()
	defer cancel()
	relays := byRelay(addrs)
	checked := make(chan check, len(relays))
	for relay, addrs := range relays {
		checks.Go(func() { checked <- check{relay, d.relayAnswers(ctx, relay, addrs)} })
	}
	var errs []error
	for range relays {
		c := <-checked
		if c.err == nil {
			known.AddAddrs(id, relays[c.relay], peerstore.TempAddrTTL)
			d.forgive(id) // or an address that has failed lately would not be dialled at all
			_, err := d.host.Network().DialPeer(ctx, id)
			if err == nil {
				return nil
			}
			known.SetAddrs(id, relays[c.relay], 0)
			c.err = about(err, relays[c.relay])
		}
		errs = append(errs, fmt.Errorf("relay %v: %w", c.relay, c.err))
	}
	return errors.Join(errs...)
}

// byRelay returns relay addresses by their relay, of up to maxRelaysTried.
func byRelay(addrs []multiaddr.Multiaddr) map[peer.ID][]multiaddr.Multiaddr {
	relays := make(map[peer.ID][]multiaddr.Multiaddr)
	for _, a := range addrs {
		relay, ok := relayOf(a)
		if _, known := relays[relay]; ok && (known || len(relays) < maxRelaysTried) {
			relays[relay] = append(relays[relay], a)
		}
	}
	return relays
}

// relayAnswers connects to a relay, as addresses of its peers have it. If we seem to be
// connected, it asks whether it is still there.
func (d *DHT) relayAnswers(ctx context.Context, relay peer.ID, addrs []multiaddr.Multiaddr) error {
	conns := slices.DeleteFunc(d.host.Network().ConnsToPeer(relay), relayed)
	for _, conn := range conns[:min(len(conns), maxConnsAsked)] {
		if !isSilent(ctx, conn, silence) {
			return ctx.Err()
		}
	}
	if len(conns) > 0 {
		return errSilentRelay
	}
	ctx, cancel := context.WithTimeout(ctx, relayCheckTimeout)
	defer cancel()
	d.acquaintances.add(time.Now(), relay)
	d.forgive(relay)
	info := peer.AddrInfo{ID: relay}
	for _, a := range addrs {
		if at, _ := multiaddr.SplitFunc(a, func(c multiaddr.Component) bool { return c.Protocol().Code == multiaddr.P_P2P }); len(at) > 0 {
			info.Addrs = append(info.Addrs, at)
		}
	}
	if err := d.host.Connect(ctx, info); err != nil {
		return dialError(err)
	}
	return nil
}
