package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/multiformats/go-multiaddr"
)

// maxRelaysTried bounds the relays of one peer that are tried: it names them itself.
const maxRelaysTried = 8

var (
	errNoRelay     = errors.New("none of the addresses names a relay")
	errSilentRelay = errors.New("connected, but it does not answer")
)

// dialThrough connects to a peer through those of its relays that answer. libp2p would
// try one relay after the other, in any order, and one that is gone holds up the others
// for 5s, or for a minute if we are still connected to it: so the swarm is held back
// from those that have not answered.
func (d *DHT) dialThrough(ctx context.Context, id peer.ID, addrs []multiaddr.Multiaddr) error {
	ctx, cancel := context.WithTimeout(ctx, network.GetDialPeerTimeout(ctx))
	defer cancel() // the other relays are not needed any more
	relays := byRelay(id, addrs)
	if len(relays) == 0 {
		return errNoRelay
	}
	d.host.Peerstore().AddAddrs(id, addrs, peerstore.TempAddrTTL)
	var (
		mu      sync.Mutex
		answers []peer.ID
		dials   sync.WaitGroup
	)
	holdBack := func() {
		d.forgive(id) // or an address that has failed lately would not be dialled at all
		d.holdBack(id, answers)
	}
	holdBack()
	ended := make(chan error, len(relays))
	for relay, addrs := range relays {
		dials.Go(func() {
			err := d.relayAnswers(ctx, relay, addrs)
			if err == nil {
				mu.Lock()
				answers = append(answers, relay)
				holdBack()
				mu.Unlock()
				_, err = d.host.Network().DialPeer(ctx, id)
				err = about(err, addrs)
			}
			if err != nil {
				err = fmt.Errorf("relay %v: %w", relay, err)
			}
			ended <- err
		})
	}
	var errs []error
	for range relays {
		err := <-ended
		if err == nil {
			cancel()
			break
		}
		errs = append(errs, err)
	}
	dials.Wait()
	if len(errs) < len(relays) {
		return nil
	}
	return errors.Join(errs...)
}

// holdBack has the swarm dial a peer through no relays but some, for a few seconds.
func (d *DHT) holdBack(id peer.ID, but []peer.ID) {
	b := d.backoff()
	if b == nil {
		return
	}
	for _, a := range d.host.Peerstore().Addrs(id) {
		if relay, ok := relayOf(a); ok && !slices.Contains(but, relay) {
			b.AddBackoff(id, a)
		}
	}
}

// byRelay returns relay addresses of a peer by their relay, of up to maxRelaysTried.
func byRelay(id peer.ID, addrs []multiaddr.Multiaddr) map[peer.ID][]multiaddr.Multiaddr {
	relays := make(map[peer.ID][]multiaddr.Multiaddr)
	for _, a := range addrs {
		relay, ok := relayOf(a)
		if _, known := relays[relay]; ok && relay != id && (known || len(relays) < maxRelaysTried) {
			relays[relay] = append(relays[relay], a)
		}
	}
	return relays
}

// relayAnswers connects to a relay, as addresses of its peers have it. If we seem to be
// connected, it asks whether it is still there.
func (d *DHT) relayAnswers(ctx context.Context, relay peer.ID, addrs []multiaddr.Multiaddr) error {
	conns, wait := d.relayConns(relay)
	for _, conn := range conns[:min(len(conns), maxConnsAsked)] {
		if !isSilent(ctx, conn, wait) {
			return context.Cause(ctx)
		}
	}
	if len(conns) > 0 {
		return errSilentRelay
	}
	ctx, cancel := context.WithTimeout(ctx, client.DialRelayTimeout)
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
