package call

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/protocol"
)

// When memory has been lacking here for many requests to a peer, its connection is as it was.
func TestNoMemoryLeavesConnection(t *testing.T) {
	limits := rcmgr.PartialLimitConfig{PeerDefault: rcmgr.ResourceLimits{Memory: 2 * streamMemory}}
	room, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.Build(rcmgr.InfiniteLimits)))
	if err != nil {
		t.Fatal(err)
	}
	here, err := libp2p.New(libp2p.NoListenAddrs, libp2p.ResourceManager(room), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = here.Close() })
	there := newHost(t, "/ip4/127.0.0.1/tcp/0")
	there.SetStreamHandler("/test", func(s network.Stream) { _ = s.Reset() })
	there.SetStreamHandler("/hold", func(network.Stream) {})
	connect(t, here, there)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var held []network.Stream
	s := NewStreams(here, "/test", "/many", nil, func() {})
	for lacking := 0; lacking < 300; {
		_, err := s.Request(ctx, there.ID(), protocol.Ping{})
		switch {
		case errors.Is(err, network.ErrResourceLimitExceeded):
			lacking++
			continue
		case errors.Is(err, errConnEnded): // a stream of identify that finds no memory here ends it
			connect(t, here, there)
			lacking = 0
		case !errors.Is(err, kaderr.ErrRefused):
			t.Fatalf("after %d requests without memory: %v", lacking, err)
		}
		if s, err := here.NewStream(ctx, there.ID(), "/hold"); err == nil {
			held = append(held, s)
		}
	}
	for _, s := range held {
		_ = s.Reset()
	}
	if _, err := s.Request(ctx, there.ID(), protocol.Ping{}); !errors.Is(err, kaderr.ErrRefused) {
		t.Errorf("with memory again: %v", err)
	}
}
