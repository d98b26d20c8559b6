//go:build unix

package stress

import (
	"bufio"
	"context"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/protocol"
)

// An asker asks single peers. It is no part of the network: it serves nothing, and cannot be
// dialled.
type asker struct {
	host     lhost.Host
	protocol lprotocol.ID
}

func newAsker(name string) (*asker, error) {
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableMetrics(), libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		return nil, err
	}
	return &asker{h, lprotocol.ID(name + "/kad/1.0.0")}, nil
}

func (a *asker) close() { _ = a.host.Close() }

// ask asks a peer, which listens at addrs.
func (a *asker) ask(ctx context.Context, id peer.ID, addrs []string, req protocol.Request) (protocol.Response, error) {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	info := peer.AddrInfo{ID: id}
	for _, at := range addrs {
		if m, err := multiaddr.NewMultiaddr(at); err == nil {
			info.Addrs = append(info.Addrs, m)
		}
	}
	if err := a.host.Connect(ctx, info); err != nil {
		return protocol.Response{}, err
	}
	stream, err := a.host.NewStream(ctx, id, a.protocol)
	if err != nil {
		return protocol.Response{}, err
	}
	defer func() { _ = stream.Reset() }()
	_ = stream.SetDeadline(time.Now().Add(patience))
	if _, err := stream.Write(protocol.AppendRequestFrame(nil, req)); err != nil {
		return protocol.Response{}, err
	}
	msg, err := protocol.ReadFrame(bufio.NewReader(stream), protocol.MaxFrame)
	if err != nil {
		return protocol.Response{}, err
	}
	return protocol.ParseResponse(req, msg)
}

// value asks a peer for the value of a key.
func (a *asker) value(ctx context.Context, id string, addrs []string, key string) (value string, found bool, err error) {
	r, err := a.ask(ctx, decode(id), addrs, protocol.GetValue{Key: []byte(key)})
	if err != nil || r.Record == nil {
		return "", false, err
	}
	return string(r.Record.Value), true, nil
}

// provides asks a peer whether another one provides a multihash.
func (a *asker) provides(ctx context.Context, id string, addrs []string, hash, provider string) (bool, error) {
	r, err := a.ask(ctx, decode(id), addrs, protocol.GetProviders{Key: []byte(hash)})
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(r.Providers, func(p protocol.Peer) bool { return p.ID.String() == provider }), nil
}
