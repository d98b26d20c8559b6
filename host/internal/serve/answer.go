package serve

import (
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A Reply is the answer to a request, its peers encoded already.
type Reply struct {
	Records   []protocol.Record // the best one first
	Closer    []protocol.EncodedPeer
	Providers []protocol.EncodedPeer
}

// Answer handles one request that arrived just now. It needs no stream.
func (s *Server) Answer(ctx context.Context, from holder.From, req protocol.Request, now time.Time) (Reply, error) {
	switch req := req.(type) {
	case protocol.FindNode:
		return Reply{Closer: s.closerTo(from, req.Target, true)}, nil
	case protocol.GetValue:
		records, err := s.cfg.Holder.Records(ctx, req.Key, now)
		return Reply{Records: records, Closer: s.closerTo(from, req.Key, false)}, err
	case protocol.PutValue:
		return Reply{}, s.cfg.Holder.Store(ctx, now, from.ID, holder.RecordsIn(req)...)
	case protocol.GetProviders:
		providers, err := s.cfg.Holder.Providers(ctx, from, req.Key, now)
		return Reply{Providers: providers, Closer: s.closerTo(from, req.Key, false)}, err
	case protocol.AddProvider:
		return Reply{}, s.cfg.Holder.Announced(ctx, from, req, now)
	case protocol.Ping:
		return Reply{}, nil
	default:
		return Reply{}, fmt.Errorf("kad: request %T has no handler", req)
	}
}

// closerTo returns the k contacts closest to a preimage, closest first, without the
// requester and without us. If the preimage is the ID of a peer and we know its
// addresses, that peer comes first, whether it serves or not, and even if it is the
// requester or us: that is how peers that do not serve are found.
//
// Spec: libp2p kad-dht, "Peer routing".
func (s *Server) closerTo(from holder.From, preimage []byte, isPeer bool) []protocol.EncodedPeer {
	peers := make([]protocol.EncodedPeer, 0, s.cfg.K+1)
	target := peer.ID("")
	if isPeer {
		target = peer.ID(preimage)
		if wire := s.cfg.Table.Announcement(target).For(from.At); wire != nil {
			peers = append(peers, s.cfg.Holder.Encoded(target, wire))
		}
	}
	for _, c := range s.cfg.Table.Closest(routing.KeyOf(preimage), s.cfg.K+2) {
		if c.ID == from.ID || c.ID == target {
			continue
		}
		if wire := announce.Wire(c.Wire).For(from.At); wire != nil && len(peers) < s.cfg.K {
			peers = append(peers, s.cfg.Holder.Encoded(c.ID, wire))
		}
	}
	return peers
}
