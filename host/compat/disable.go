package dht

import (
	"context"
	"errors"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"

	"github.com/go-kad/kad/protocol"
)

// DisableProviders has the node hold no announcements of other peers, and has the methods of
// [IpfsDHT] that are about contents return routing.ErrNotSupported. Requests for providers are
// answered with closer peers, which those that look for a peer need.
func DisableProviders() Option { return set(func(c *config) { c.noProviders = true }) }

// DisableValues has the node hold no values of other peers, and has the methods of [IpfsDHT]
// that are about values return routing.ErrNotSupported. Requests for values are answered with
// closer peers.
func DisableValues() Option { return set(func(c *config) { c.noValues = true }) }

// errDisabled is why a node refuses to hold what its options disable.
var errDisabled = errors.New("disabled by an option of New")

// refuse returns why the options refuse a request; nil if they do not.
func (c *config) refuse(req protocol.Request) error {
	switch req.(type) {
	case protocol.AddProvider:
		if c.noProviders {
			return errDisabled
		}
	case protocol.PutValue:
		if c.noValues {
			return errDisabled
		}
	default:
	}
	return nil
}

// supports returns an error if a method is disabled.
func (d *IpfsDHT) supports(method string, disabled bool) error {
	if disabled {
		return fmt.Errorf("kad: %s: %w: %w", method, lrouting.ErrNotSupported, errDisabled)
	}
	return nil
}

// Provide is that of DHT, unless providers are disabled.
func (d *IpfsDHT) Provide(ctx context.Context, c cid.Cid, broadcast bool) error {
	if err := d.supports("Provide", d.config.noProviders); err != nil {
		return err
	}
	return d.DHT.Provide(ctx, c, broadcast)
}

// FindProvidersAsync is that of DHT; the channel is closed at once if providers are disabled.
func (d *IpfsDHT) FindProvidersAsync(ctx context.Context, c cid.Cid, count int) <-chan peer.AddrInfo {
	if d.config.noProviders {
		none := make(chan peer.AddrInfo)
		close(none)
		return none
	}
	return d.DHT.FindProvidersAsync(ctx, c, count)
}

// PutValue is that of DHT, unless values are disabled.
func (d *IpfsDHT) PutValue(ctx context.Context, key string, value []byte, opts ...lrouting.Option) error {
	if err := d.supports("PutValue", d.config.noValues); err != nil {
		return err
	}
	return d.DHT.PutValue(ctx, key, value, opts...)
}

// GetValue is that of DHT, unless values are disabled.
func (d *IpfsDHT) GetValue(ctx context.Context, key string, opts ...lrouting.Option) ([]byte, error) {
	if err := d.supports("GetValue", d.config.noValues); err != nil {
		return nil, err
	}
	return d.DHT.GetValue(ctx, key, opts...)
}

// SearchValue is that of DHT, unless values are disabled.
func (d *IpfsDHT) SearchValue(ctx context.Context, key string, opts ...lrouting.Option) (<-chan []byte, error) {
	if err := d.supports("SearchValue", d.config.noValues); err != nil {
		return nil, err
	}
	return d.DHT.SearchValue(ctx, key, opts...)
}
