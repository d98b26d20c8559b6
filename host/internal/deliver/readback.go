package deliver

// Workaround of js-libp2p (kad-dht 16 and before), which no version of go-libp2p needs.
//
// What is wrong: js-libp2p resets the stream of an ADD_PROVIDER without a reason, whether
// or not it has stored the announcement.
//
// It can go when js-libp2p ends such a stream cleanly.

import (
	"context"
	"errors"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// unexplained reports whether a peer has reset the stream without a reason.
func unexplained(err error) bool {
	return errors.Is(err, kaderr.ErrRefused) && errors.Is(err, network.ErrReset)
}

// readBack asks a peer for the announcement that it may have stored. It returns nil if the
// peer has it, and reset if not.
func (s *Sender) readBack(ctx context.Context, c routing.Contact, add protocol.AddProvider, reset error) error {
	resp, err := s.cfg.Call.Request(ctx, nil, c, protocol.GetProviders{Key: add.Key}, nil)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(resp.Providers, func(p protocol.Peer) bool { return p.ID == add.Providers[0].ID }) {
		return nil
	}
	return reset
}
