package dht

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/kadtest"
	"github.com/go-kad/kad/host/validator"
	"github.com/go-kad/kad/pb"
)

// The hook sees each request with its connection, also one that an option has the node refuse.
func TestOnRequestHook(t *testing.T) { synctest.Test(t, testOnRequestHook) }

func testOnRequestHook(t *testing.T) {
	hosts := kadtest.New(t, kadtest.Config{}).AddHosts(2)
	other := hosts[1].ID()
	var mu sync.Mutex
	seen := make(map[pb.Message_MessageType][]byte) // the last key of each type
	hook := func(ctx context.Context, s network.Stream, req *pb.Message) {
		mu.Lock()
		defer mu.Unlock()
		seen[req.GetType()] = req.GetKey()
		if ctx.Err() != nil || s.Conn().RemotePeer() != other || s.Protocol() != "/hook/kad/1.0.0" || s.Stat().Direction != network.DirInbound {
			t.Errorf("the stream of %v is of %v, with %s", req.GetType(), s.Conn().RemotePeer(), s.Protocol())
		}
		if _, err := s.Read(nil); !errors.Is(err, errors.ErrUnsupported) || !errors.Is(s.Reset(), errors.ErrUnsupported) {
			t.Errorf("the stream can be read, or reset: %v", err)
		}
	}
	var nodes []*IpfsDHT
	for i, h := range hosts {
		opts := []Option{ProtocolPrefix("/hook"), NamespacedValidator("v", validator.Immutable{})}
		if i == 0 {
			opts = append(opts, OnRequestHook(hook), DisableValues())
		} else {
			opts = append(opts, BootstrapPeers(peer.AddrInfo{ID: nodes[0].PeerID(), Addrs: nodes[0].Host().Addrs()}))
		}
		d, err := New(h.Host, opts...)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		nodes = append(nodes, d)
	}
	for _, d := range nodes {
		if err := d.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	value := []byte("a value")
	key := validator.ImmutableKey("v", value)
	if err := nodes[1].PutValue(t.Context(), key, value); err == nil {
		t.Error("the value is stored, which DisableValues forbids")
	}
	mu.Lock()
	defer mu.Unlock()
	if got := string(seen[pb.Message_PUT_VALUE]); got != key || seen[pb.Message_FIND_NODE] == nil {
		t.Errorf("the hook has seen %q", seen)
	}
}
