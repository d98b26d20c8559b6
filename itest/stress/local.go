//go:build unix

package stress

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	record "github.com/libp2p/go-libp2p-record"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	lping "github.com/libp2p/go-libp2p/p2p/protocol/ping"
	"github.com/multiformats/go-multiaddr"

	kad "github.com/go-kad/kad/host"
)

// streams is how many streams the node that lacks them may open at a time.
const streams = 6

// A local is a node that runs in this process, for what no flag of examples/node can do.
type local struct {
	host lhost.Host
	dht  *kad.DHT
}

// newLocal starts a node in this process.
func newLocal(cfg kad.Config, r role) (*local, error) {
	opts := []libp2p.Option{libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics()}
	switch r {
	case fewStreams:
		limits := rcmgr.InfiniteLimits
		partial := rcmgr.PartialLimitConfig{Protocol: map[lprotocol.ID]rcmgr.ResourceLimits{
			lprotocol.ID(cfg.Network + "/kad/1.0.0"): {StreamsOutbound: streams},
		}}
		resources, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(partial.Build(limits)))
		if err != nil {
			return nil, err
		}
		opts = append(opts, libp2p.ResourceManager(resources))
	default:
		opts = append(opts, libp2p.ResourceManager(&network.NullResourceManager{}), libp2p.AddrsFactory(withUseless))
	}
	h, err := libp2p.New(opts...)
	if err != nil {
		return nil, err
	}
	d, err := kad.New(h, cfg)
	if err != nil {
		_ = h.Close()
		return nil, err
	}
	return &local{h, d}, nil
}

// withUseless returns the addresses of a host after 32 at which nothing listens: those of
// bridges of containers, with four transports each.
func withUseless(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	var all []multiaddr.Multiaddr
	for i := range 8 {
		for _, transport := range []string{"tcp/4001", "udp/4001/quic-v1", "tcp/4002/ws", "udp/4001/quic-v1/webtransport"} {
			all = append(all, multiaddr.StringCast(fmt.Sprintf("/ip4/172.%d.0.1/%s", 17+i, transport)))
		}
	}
	return append(all, addrs...)
}

// close ends the node.
func (l *local) close() {
	_ = l.dht.Close()
	_ = l.host.Close()
}

// listens returns the addresses at which the node listens.
func (l *local) listens() []string {
	var addrs []string
	for _, a := range l.host.Network().ListenAddresses() {
		addrs = append(addrs, a.String())
	}
	return addrs
}

// do carries out an operation.
func (l *local) do(ctx context.Context, r request) answer {
	ctx, cancel := context.WithTimeout(ctx, operationTimeout)
	defer cancel()
	a, err := l.operate(ctx, r)
	if err != nil {
		a.outcome, a.why = outcomeOfError(ctx, err), err.Error()
	}
	return a
}

func (l *local) operate(ctx context.Context, r request) (answer, error) {
	switch r.kind {
	case put:
		return receipt(l.dht.Put(ctx, r.key, []byte(r.value)))
	case get:
		value, err := l.dht.GetValue(ctx, r.key)
		return answer{value: string(value)}, err
	case advertise: // as Advertise does, which gives no receipt
		name, err := kad.NamespaceCID(r.key)
		if err != nil {
			return answer{}, err
		}
		return receipt(l.dht.Announce(ctx, name))
	case discover:
		return collect(l.dht.Discover(ctx, r.key, 0))
	case find:
		info, err := l.dht.FindPeer(ctx, decode(r.key))
		return answer{peers: []peerAt{at(info)}}, err
	case ping:
		return l.ping(ctx, decode(r.key))
	case closest:
		infos, err := l.dht.ClosestPeers(ctx, []byte(r.key))
		var a answer
		for _, info := range infos {
			a.peers = append(a.peers, at(info))
		}
		return a, err
	}
	content, err := cid.Decode(r.key)
	if err != nil {
		return answer{}, err
	}
	switch r.kind {
	case announce:
		return receipt(l.dht.Announce(ctx, content))
	case withdraw:
		return answer{}, l.dht.StopProviding(ctx, content)
	default:
		return collect(l.dht.Providers(ctx, content, 0))
	}
}

// ping connects to a peer, and pings it.
func (l *local) ping(ctx context.Context, id peer.ID) (answer, error) {
	if _, err := l.dht.Connect(ctx, id); err != nil {
		return answer{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	got, ok := <-lping.Ping(ctx, l.host, id)
	if !ok {
		return answer{}, context.Cause(ctx)
	}
	return answer{}, got.Error
}

// receipt returns a receipt as an answer.
func receipt(r kad.Receipt, err error) (answer, error) {
	a := answer{wanted: r.Wanted}
	for _, id := range r.Stored {
		a.stored = append(a.stored, id.String())
	}
	return a, err
}

// collect returns the peers that a search finds.
func collect(found iter.Seq2[peer.AddrInfo, error]) (answer, error) {
	var a answer
	for info, err := range found {
		if err != nil {
			return a, err
		}
		a.peers = append(a.peers, at(info))
	}
	return a, nil
}

func at(info peer.AddrInfo) peerAt {
	p := peerAt{id: info.ID.String()}
	for _, a := range info.Addrs {
		p.addrs = append(p.addrs, bare(a.String()))
	}
	return p
}

// decode returns a peer ID of the ledger.
func decode(text string) peer.ID {
	id, err := peer.Decode(text)
	if err != nil {
		panic(err) // it was printed by a node
	}
	return id
}

// outcomeOfError returns what an error says.
func outcomeOfError(ctx context.Context, err error) outcome {
	var stored *kad.PutError
	switch {
	case errors.Is(err, kad.ErrClosed):
		return gone
	case errors.Is(err, kad.ErrNoContacts):
		return notReady
	case errors.As(err, &stored):
		return unstored
	case errors.Is(err, kad.ErrOldRecord), errors.Is(err, kad.ErrInvalidRecord):
		return refused
	case errors.Is(err, kad.ErrNotFound):
		return absent
	case ctx.Err() != nil:
		return late
	case errors.Is(err, kad.ErrUnanswered):
		return unanswered
	default:
		return other
	}
}

// greatest is the validator of --open-namespace: every value is valid, and the greatest
// bytes win.
type greatest struct{}

var _ record.Validator = greatest{}

// Validate accepts everything.
func (greatest) Validate(string, []byte) error { return nil }

// Select returns the index of the greatest value.
func (greatest) Select(_ string, values [][]byte) (int, error) {
	best := -1
	for i, v := range values {
		if best < 0 || bytes.Compare(v, values[best]) > 0 {
			best = i
		}
	}
	if best < 0 {
		return 0, errors.New("no values")
	}
	return best, nil
}
