package call

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multiaddr"
)

// A failed dial names the reason by address, and the likely cause where libp2p says only in
// which step it failed.
func TestDialError(t *testing.T) {
	addr := multiaddr.StringCast("/ip4/192.0.2.1/tcp/4001")
	refused := errors.New("connection refused")
	for _, tt := range []struct {
		cause error
		want  string
	}{
		{refused, addr.String() + ": connection refused"},
		{fmt.Errorf("failed to negotiate security protocol: %w", context.DeadlineExceeded), "says nothing"},
		{fmt.Errorf("failed to negotiate security protocol: %w", io.EOF), "no libp2p host, or one of the two hosts has another private network"},
		{fmt.Errorf("failed to negotiate security protocol: %w", sec.ErrPeerIDMismatch{}), "another peer has this address now"},
	} {
		err := DialError(&swarm.DialError{DialErrors: []swarm.TransportError{{Address: addr, Cause: tt.cause}}})
		if !errors.Is(err, tt.cause) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.cause.Error()) {
			t.Errorf("%v: %q, want %q in it", tt.cause, err, tt.want)
		}
	}
	if err := DialError(refused); !errors.Is(err, refused) {
		t.Errorf("%v, want what is no error of the swarm as it is", err)
	}
}
