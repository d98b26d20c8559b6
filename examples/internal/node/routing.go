package node

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"github.com/ipfs/boxo/ipns"
	delegated "github.com/ipfs/boxo/routing/http/server"
	"github.com/ipfs/boxo/routing/http/types"
	routingiter "github.com/ipfs/boxo/routing/http/types/iter"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/prometheus/client_golang/prometheus"

	kad "github.com/go-kad/kad/host"
)

// routingPath is where delegated routing is.
const routingPath = "/routing/v1/"

// newRouting returns what answers delegated routing.
func newRouting(d *kad.DHT, metrics prometheus.Registerer) http.Handler {
	return delegated.Handler(router{d}, delegated.WithRoutingTimeout(defaultTimeout), delegated.WithPrometheusRegistry(metrics))
}

// inTurn returns what answers each request with answer when it has a slot, once its body is
// read: a client that sends slowly holds no slot.
func inTurn(answer http.Handler, slots chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxValue))
		if err != nil {
			refuse(w, http.StatusBadRequest, "the body could not be read: %v", err)
			return
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		select {
		case slots <- struct{}{}:
			defer func() { <-slots }()
			answer.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	})
}

// A router answers delegated routing through a DHT. It implements [delegated.DelegatedRouter].
type router struct{ dht *kad.DHT }

// FindProviders yields the providers of a content as they are found.
func (r router) FindProviders(ctx context.Context, c cid.Cid, limit int) (routingiter.ResultIter[types.Record], error) {
	ctx, cancel := context.WithCancel(ctx)
	return pull(cancel, r.dht.Providers(ctx, c, limit), func(p peer.AddrInfo) types.Record { return recordOf(p) }), nil
}

// ProvideBitswap is not supported: in the DHT, a provider announces itself.
func (router) ProvideBitswap(context.Context, *delegated.BitswapWriteProvideRequest) (time.Duration, error) { //nolint:staticcheck // the interface has it
	return 0, fmt.Errorf("%w: a provider announces itself in the DHT, and no other peer can do it", lrouting.ErrNotSupported)
}

// FindPeers finds one peer.
func (r router) FindPeers(ctx context.Context, id peer.ID, _ int) (routingiter.ResultIter[*types.PeerRecord], error) {
	p, err := r.dht.FindPeer(ctx, id)
	if err != nil {
		return nil, err
	}
	return routingiter.ToResultIter(routingiter.FromSlice([]*types.PeerRecord{recordOf(p)})), nil
}

// GetIPNS finds the record of a name.
func (r router) GetIPNS(ctx context.Context, name ipns.Name) (*ipns.Record, error) {
	value, err := r.dht.GetValue(ctx, string(name.RoutingKey()))
	if err != nil {
		return nil, err
	}
	return ipns.UnmarshalRecord(value)
}

// PutIPNS stores the record of a name.
func (r router) PutIPNS(ctx context.Context, name ipns.Name, record *ipns.Record) error {
	value, err := ipns.MarshalRecord(record)
	if err != nil {
		return err
	}
	return r.dht.PutValue(ctx, string(name.RoutingKey()), value)
}

// GetClosestPeers finds the peers closest to a content, or to a peer, whose ID is the
// multihash of the CID.
func (r router) GetClosestPeers(ctx context.Context, key cid.Cid) (routingiter.ResultIter[*types.PeerRecord], error) {
	peers, err := r.dht.ClosestPeers(ctx, key.Hash())
	if err != nil {
		return nil, err
	}
	records := make([]*types.PeerRecord, len(peers))
	for i, p := range peers {
		records[i] = recordOf(p)
	}
	return routingiter.ToResultIter(routingiter.FromSlice(records)), nil
}

// recordOf returns a peer as delegated routing has it. What it speaks is not known.
func recordOf(p peer.AddrInfo) *types.PeerRecord {
	addrs := make([]types.Multiaddr, len(p.Addrs))
	for i, a := range p.Addrs {
		addrs[i] = types.Multiaddr{Multiaddr: a}
	}
	return &types.PeerRecord{Schema: types.SchemaPeer, ID: &p.ID, Addrs: addrs}
}

// A pulled is an iterator of this program as one of boxo. An error of the operation is its
// last result, unless something was found.
type pulled[T any] struct {
	next   func() (peer.AddrInfo, error, bool)
	stop   func()
	as     func(peer.AddrInfo) T
	result routingiter.Result[T]
	found  bool
}

// pull returns the peers that are found, each in the form of as.
func pull[T any](cancel context.CancelFunc, found iter.Seq2[peer.AddrInfo, error], as func(peer.AddrInfo) T) routingiter.ResultIter[T] {
	next, stop := iter.Pull2(found)
	return &pulled[T]{next: next, as: as, stop: func() { cancel(); stop() }}
}

// Next implements [routingiter.Iter].
func (p *pulled[T]) Next() bool {
	info, err, ok := p.next()
	if !ok || err != nil && p.found {
		return false
	}
	p.result = routingiter.Result[T]{Err: err}
	if err == nil {
		p.found = true
		p.result.Val = p.as(info)
	}
	return true
}

// Val implements [routingiter.Iter].
func (p *pulled[T]) Val() routingiter.Result[T] { return p.result }

// Close implements [routingiter.Iter].
func (p *pulled[T]) Close() error {
	p.stop()
	return nil
}
