package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// An asker is who sent a request.
type asker struct {
	id peer.ID
	at scope // how far away it is, which decides the addresses it is told
}

// A reply is the answer to a request, its peers encoded already.
type reply struct {
	records   []protocol.Record // the best one first
	closer    []protocol.EncodedPeer
	providers []protocol.EncodedPeer
}

// answer handles one request. It needs no stream.
func (d *DHT) answer(ctx context.Context, from asker, req protocol.Request) (reply, error) {
	switch req := req.(type) {
	case protocol.FindNode:
		return reply{closer: d.closerTo(from, req.Target, true)}, nil
	case protocol.GetValue:
		records, err := d.storedRecords(ctx, req.Key)
		return reply{records: records, closer: d.closerTo(from, req.Key, false)}, err
	case protocol.PutValue:
		return reply{}, d.storeRecords(ctx, from.id, recordsIn(req)...)
	case protocol.GetProviders:
		providers, err := d.storedProviders(ctx, from, req.Key)
		return reply{providers: providers, closer: d.closerTo(from, req.Key, false)}, err
	case protocol.AddProvider:
		return reply{}, d.storeProvider(ctx, from, req)
	case protocol.Ping:
		return reply{}, nil
	default:
		return reply{}, fmt.Errorf("kad: request %T has no handler", req)
	}
}

// codeOf returns the code that tells the other side why its request failed.
func codeOf(err error) network.StreamErrorCode {
	switch {
	case errors.Is(err, ErrInvalidRecord):
		return codeInvalid
	case errors.Is(err, ErrOldRecord):
		return codeOld
	case errors.Is(err, errTooMany):
		return codeTooMany
	case errors.Is(err, errOverQuota):
		return codeOverQuota
	case errors.Is(err, errExpired):
		return codeExpired
	case errors.Is(err, store.ErrFull), errors.Is(err, store.ErrTooLarge):
		return codeFull
	case errors.Is(err, errBadProvider), errors.Is(err, errBadProof):
		return codeBadPeer
	case errors.Is(err, protocol.ErrMalformed), errors.Is(err, protocol.ErrTooLarge):
		return codeMalformed
	default:
		return codeInternal
	}
}

// closerTo returns the k contacts closest to a preimage, closest first, without
// the asker and without us. If the preimage is the ID of a peer whose addresses
// we know, that peer comes first, whether it serves or not, and even if it is
// the asker or us: that is how those who do not serve are found.
//
// Spec: libp2p kad-dht, "Peer routing".
func (d *DHT) closerTo(from asker, preimage []byte, isPeer bool) []protocol.EncodedPeer {
	peers := make([]protocol.EncodedPeer, 0, d.cfg.K+1)
	target := peer.ID("")
	if isPeer {
		target = peer.ID(preimage)
		if wire := d.announcementOf(target).at(from.at); wire != nil {
			peers = append(peers, d.encoded(target, wire))
		}
	}
	for _, c := range d.peers.sound(routing.KeyOf(preimage), d.cfg.K+2) {
		if c.ID == from.id || c.ID == target {
			continue
		}
		if wire := announcement(c.Wire).at(from.at); wire != nil && len(peers) < d.cfg.K {
			peers = append(peers, d.encoded(c.ID, wire))
		}
	}
	return peers
}

// encoded is a peer of an answer, with the hint whether we are connected to it.
func (d *DHT) encoded(id peer.ID, wire []byte) protocol.EncodedPeer {
	p := protocol.EncodedPeer{Wire: wire}
	if d.host.Network().Connectedness(id) == network.Connected {
		p.Connection = protocol.Connected
	}
	return p
}

// announcementOf returns how a peer is announced to others, as far as the host
// knows; our own if it is us.
func (d *DHT) announcementOf(id peer.ID) announcement {
	if id == d.self {
		return announce(id, d.host.Addrs())
	}
	if id.Validate() != nil {
		return nil
	}
	return announce(id, d.host.Peerstore().Addrs(id))
}
