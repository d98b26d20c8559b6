package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

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
	record    *protocol.Record
	closer    []protocol.EncodedPeer
	providers []protocol.EncodedPeer
}

// maxServedProviders bounds the providers in one answer: the freshest that we
// know of, and at a few addresses each about 200 kB.
const maxServedProviders = 1000

// errBadProvider refuses an announcement.
var errBadProvider = errors.New("kad: an announcement must name its sender, with an address that others can dial")

// answer handles one request. It needs no stream.
func (d *DHT) answer(ctx context.Context, from asker, req protocol.Request) (reply, error) {
	switch req := req.(type) {
	case protocol.FindNode:
		return reply{closer: d.closerTo(from, req.Target, true)}, nil
	case protocol.GetValue:
		rec, err := d.storedRecord(ctx, req.Key)
		return reply{record: rec, closer: d.closerTo(from, req.Key, false)}, err
	case protocol.PutValue:
		if err := d.storeRecord(ctx, req.Record); err != nil {
			return reply{}, err
		}
		return reply{record: &req.Record}, nil
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
	case errors.Is(err, store.ErrFull), errors.Is(err, store.ErrTooLarge):
		return codeFull
	case errors.Is(err, errBadProvider):
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
	for _, c := range d.peers.closest(routing.KeyOf(preimage), d.cfg.K+2) {
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

// storedRecord returns the record that we hold; nil if we have none. A record
// can become invalid while we hold it, so it is validated again.
func (d *DHT) storedRecord(ctx context.Context, key []byte) (*protocol.Record, error) {
	v, err := d.store.Value(ctx, key, time.Now())
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil //nolint:nilnil // a miss is an answer
	}
	if err != nil {
		return nil, err
	}
	if d.validators.check(key, v.Data) != nil {
		return nil, nil //nolint:nilnil,nilerr // what is not valid any more is not served
	}
	return &protocol.Record{Key: key, Value: v.Data, TimeReceived: v.Received}, nil
}

// storeRecord keeps a record that passes its validator, unless a better one is
// held.
func (d *DHT) storeRecord(ctx context.Context, rec protocol.Record) error {
	if err := d.validators.check(rec.Key, rec.Value); err != nil {
		return err
	}
	now := time.Now()
	return d.store.UpdateValue(ctx, rec.Key, now, func(current store.Value, ok bool) (store.Value, error) {
		if ok && d.validators.better(rec.Key, current.Data, rec.Value) {
			return store.Value{}, ErrOldRecord
		}
		return store.Value{Data: rec.Value, Received: now, Expires: d.expiry(now)}, nil
	})
}

// expiry is when something that is stored now is to be forgotten.
func (d *DHT) expiry(now time.Time) time.Time {
	if d.cfg.RecordAge < 0 {
		return time.Time{}
	}
	return now.Add(d.cfg.RecordAge)
}

// storedProviders returns the providers that we know of, the freshest first,
// with the addresses that the asker can use.
func (d *DHT) storedProviders(ctx context.Context, from asker, key []byte) ([]protocol.EncodedPeer, error) {
	stored, err := d.store.Providers(ctx, key, time.Now(), maxServedProviders)
	if err != nil {
		return nil, err
	}
	providers := make([]protocol.EncodedPeer, 0, len(stored))
	for _, p := range stored {
		id := peer.ID(p.ID)
		if id == from.id {
			continue
		}
		wire := announcement(p.Addrs).at(from.at)
		if id == d.self || wire == nil {
			wire = d.announcementOf(id).at(from.at) // ours change; of others the host may know more
		}
		if wire == nil {
			wire = protocol.AppendPeer(nil, protocol.Peer{ID: id}) // the asker may find it
		}
		providers = append(providers, d.encoded(id, wire))
	}
	return providers, nil
}

// storeProvider keeps an announcement. Only the sender can announce itself.
func (d *DHT) storeProvider(ctx context.Context, from asker, add protocol.AddProvider) error {
	i := slices.IndexFunc(add.Providers, func(p protocol.Peer) bool { return p.ID == from.id })
	if i < 0 {
		return errBadProvider
	}
	a := announce(from.id, fit(add.Providers[i].Addrs, from.at))
	if a.at(from.at) == nil {
		return errBadProvider
	}
	now := time.Now()
	return d.store.AddProvider(ctx, add.Key, store.Provider{
		ID:       string(from.id),
		Addrs:    a,
		Received: now,
		Expires:  d.expiry(now),
	})
}
