package host_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
)

// modeOf returns the configuration of a node for the tests of single servers.
func modeOf(mode kad.Mode) kad.Config {
	return kad.Config{Mode: mode, Validators: map[string]record.Validator{"v": anyValue{}}}
}

// The only server of a network is ready once it has served a client: it stores at itself, and
// its receipts say so. It finds what its clients have stored. A server that comes later is
// given all of that.
func TestOnlyServer(t *testing.T) { synctest.Test(t, testOnlyServer) }

func testOnlyServer(t *testing.T) {
	n := kadtest.New(t, kadtest.Config{})
	server := n.Add(1, modeOf(kad.ModeServer))[0]
	time.Sleep(2 * time.Minute)
	var notReady *kad.NotReadyError
	if err := server.DHT.Ready(t.Context()); !errors.As(err, &notReady) || !strings.Contains(err.Error(), "only server") {
		t.Errorf("a server without clients: Ready() = %v", err)
	}
	client := n.Add(1, modeOf(kad.ModeClient))[0]
	if err := client.DHT.PutValue(t.Context(), "/v/its", []byte("1")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(30 * time.Second)
	if err := server.DHT.Ready(t.Context()); err != nil || !server.DHT.Stats().Single {
		t.Fatalf("Ready() = %v, Single %v", err, server.DHT.Stats().Single)
	}
	if g, err := server.DHT.Diagnose(t.Context()); err != nil || g.NotReady != nil || !strings.Contains(g.String(), "only server") {
		t.Errorf("Diagnose() = %v, %v", g, err)
	}
	began := time.Now()
	itself := []peer.ID{server.DHT.ID()}
	receipt, err := server.DHT.Put(t.Context(), "/v/ours", []byte("1"))
	if err != nil || !slices.Equal(receipt.Stored, itself) || receipt.Wanted != 1 {
		t.Errorf("Put() = %+v, %v", receipt, err)
	}
	var failed *kad.PutError
	if _, err := server.DHT.Put(t.Context(), "/v/ours", []byte("1"), kad.Quorum(2)); !errors.As(err, &failed) {
		t.Errorf("Put() with a quorum of 2: %v", err)
	}
	if receipt, err := server.DHT.Announce(t.Context(), someContent(t)); err != nil || !slices.Equal(receipt.Stored, itself) {
		t.Errorf("Announce() = %+v, %v", receipt, err)
	}
	for key, want := range map[string]error{"/v/its": nil, "/v/ours": nil, "/v/none": kad.ErrNotFound} {
		if _, err := server.DHT.GetValue(t.Context(), key); !errors.Is(err, want) {
			t.Errorf("GetValue(%q): %v, want %v", key, err, want)
		}
	}
	for info, err := range server.DHT.Providers(t.Context(), someContent(t), 0) {
		t.Errorf("Providers() yields %v, %v", info, err)
	}
	if peers, err := server.DHT.ClosestPeers(t.Context(), []byte("key")); err != nil || len(peers) > 0 {
		t.Errorf("ClosestPeers() = %v, %v", peers, err)
	}
	if spent := time.Since(began); spent > time.Second {
		t.Errorf("all of that took %v", spent)
	}
	if value, err := client.DHT.GetValue(t.Context(), "/v/ours"); err != nil || string(value) != "1" {
		t.Errorf("the client reads %q, %v", value, err)
	}

	second := n.Add(1, modeOf(kad.ModeServer))[0]
	n.Settle()
	if server.DHT.Stats().Single {
		t.Error("it takes itself for the only server")
	}
	n.Kill(server)
	time.Sleep(time.Minute)
	for _, key := range []string{"/v/its", "/v/ours"} {
		if _, err := client.DHT.GetValue(t.Context(), key); err != nil {
			t.Errorf("with the second server alone: GetValue(%q): %v", key, err)
		}
	}
	if second.DHT.Stats().Single {
		t.Error("a server that has lost the other one takes itself for the only one")
	}
}

// A server that has lost its network, that has bootstrap peers, or whose clients are none, is
// not ready, and reports no success.
func TestNotTheOnlyServer(t *testing.T) {
	for name, build := range map[string]func(n *kadtest.Network) *kadtest.Node{
		"lost its network": func(n *kadtest.Network) *kadtest.Node {
			nodes := n.Add(2, modeOf(kad.ModeServer))
			n.Add(1, modeOf(kad.ModeClient))
			n.Settle()
			n.Kill(nodes[1])
			return nodes[0]
		},
		"has bootstrap peers": func(n *kadtest.Network) *kadtest.Node {
			other := n.Add(1, modeOf(kad.ModeServer))[0]
			cfg := modeOf(kad.ModeServer)
			cfg.Bootstrap = []peer.AddrInfo{{ID: other.DHT.ID(), Addrs: other.Host.Addrs()}}
			n.Kill(other)
			server := n.Add(1, cfg)[0]
			n.Add(1, modeOf(kad.ModeClient))
			return server
		},
		"serves no more": func(n *kadtest.Network) *kadtest.Node {
			server := n.Add(1, modeOf(kad.ModeServer))[0]
			n.Add(1, modeOf(kad.ModeClient))
			time.Sleep(2 * time.Minute)
			if err := server.DHT.SetMode(kad.ModeClient); err != nil {
				panic(err)
			}
			return server
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := kadtest.New(t, kadtest.Config{})
				server := build(n)
				time.Sleep(10 * time.Minute)
				if receipt, err := server.DHT.Put(t.Context(), "/v/key", []byte("1")); err == nil || server.DHT.Stats().Single {
					t.Errorf("Put() = %+v; Single %v", receipt, server.DHT.Stats().Single)
				}
			})
		})
	}
}
