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

// newRouting returns what answers delegated routing. An operation that fails has the status
// and the words that it has in the API of the node: the server of boxo has 500 for all.
func newRouting(d *kad.DHT, metrics prometheus.Registerer) http.Handler {
	answer := delegated.Handler(router{d}, delegated.WithRoutingTimeout(defaultTimeout), delegated.WithPrometheusRegistry(metrics))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		failed := &failedWriter{ResponseWriter: w}
		answer.ServeHTTP(failed, r.WithContext(context.WithValue(r.Context(), failedKey{}, failed)))
	})
}

// A failedWriter writes the status of the operation that failed in place of 500. The context of
// the request has it.
type failedWriter struct {
	http.ResponseWriter
	status int // 0 if none failed
}

// WriteHeader implements [http.ResponseWriter].
func (w *failedWriter) WriteHeader(status int) {
	if status == http.StatusInternalServerError && w.status != 0 {
		status = w.status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Flush implements [http.Flusher]: peers are sent as they are found.
func (w *failedWriter) Flush() { _ = http.NewResponseController(w.ResponseWriter).Flush() }

// A failedKey is the key of the [failedWriter] in the context of a request.
type failedKey struct{}

// A saidError is an error in the words of the command line.
type saidError struct{ error }

func (e saidError) Error() string { return OneLine(e.error) }
func (e saidError) Unwrap() error { return e.error }

// failed returns err for the server of boxo, and sets the status of the answer.
func failed(ctx context.Context, err error) error {
	if w, ok := ctx.Value(failedKey{}).(*failedWriter); ok {
		w.status = statusOf(ctx, err)
	}
	return saidError{err}
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

// FindProviders yields the providers of a content as they are found. It waits for the first of
// them, since the server of boxo drops the error of an iterator: "nobody answered" would be
// "nobody has it".
func (r router) FindProviders(ctx context.Context, c cid.Cid, limit int) (routingiter.ResultIter[types.Record], error) {
	ctx, cancel := context.WithCancel(ctx)
	next, stop := iter.Pull2(r.dht.Providers(ctx, c, limit))
	first, err, more := next()
	found := &searched{cancel: cancel, next: next, stop: stop}
	if err != nil {
		err = failed(ctx, err) // before Close, which ends ctx
		_ = found.Close()
		return nil, err
	}
	if more {
		found.first = recordOf(first)
	}
	return found, nil
}

// ProvideBitswap is not supported: in the DHT, a provider announces itself.
func (router) ProvideBitswap(context.Context, *delegated.BitswapWriteProvideRequest) (time.Duration, error) { //nolint:staticcheck // the interface has it
	return 0, fmt.Errorf("%w: a provider announces itself in the DHT, and no other peer can do it", lrouting.ErrNotSupported)
}

// FindPeers finds one peer.
func (r router) FindPeers(ctx context.Context, id peer.ID, _ int) (routingiter.ResultIter[*types.PeerRecord], error) {
	p, err := r.dht.FindPeer(ctx, id)
	if err != nil {
		return nil, failed(ctx, err)
	}
	return routingiter.ToResultIter(routingiter.FromSlice([]*types.PeerRecord{recordOf(p)})), nil
}

// GetIPNS finds the record of a name.
func (r router) GetIPNS(ctx context.Context, name ipns.Name) (*ipns.Record, error) {
	value, err := r.dht.GetValue(ctx, string(name.RoutingKey()))
	if err != nil {
		return nil, failed(ctx, err)
	}
	return ipns.UnmarshalRecord(value)
}

// PutIPNS stores the record of a name.
func (r router) PutIPNS(ctx context.Context, name ipns.Name, record *ipns.Record) error {
	value, err := ipns.MarshalRecord(record)
	if err != nil {
		return err
	}
	if err := r.dht.PutValue(ctx, string(name.RoutingKey()), value); err != nil {
		return failed(ctx, err)
	}
	return nil
}

// GetClosestPeers finds the peers closest to a content, or to a peer, whose ID is the
// multihash of the CID.
func (r router) GetClosestPeers(ctx context.Context, key cid.Cid) (routingiter.ResultIter[*types.PeerRecord], error) {
	peers, err := r.dht.ClosestPeers(ctx, key.Hash())
	if err != nil {
		return nil, failed(ctx, err)
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

// A searched is the providers that a search finds, as an iterator of boxo. An error that comes
// after the first provider ends it.
type searched struct {
	cancel context.CancelFunc
	next   func() (peer.AddrInfo, error, bool)
	stop   func()
	first  *types.PeerRecord // until it is yielded; nil if there is none
	record *types.PeerRecord // the last one that was yielded
}

// Next implements [routingiter.Iter].
func (s *searched) Next() bool {
	if s.first != nil {
		s.record, s.first = s.first, nil
		return true
	}
	found, err, more := s.next()
	if err != nil || !more {
		return false
	}
	s.record = recordOf(found)
	return true
}

// Val implements [routingiter.Iter].
func (s *searched) Val() routingiter.Result[types.Record] {
	return routingiter.Result[types.Record]{Val: s.record}
}

// Close implements [routingiter.Iter].
func (s *searched) Close() error {
	s.cancel()
	s.stop()
	return nil
}
