package network_test

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/kadtest"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

const sybils = 45

// beset puts identities into a network that lie nearer to a key than any honest node does.
// They acknowledge what they are sent and drop it, deny what they are asked for, and name
// each other.
func beset(t *testing.T, n *kadtest.Network, honest []*kadtest.Node, key string) {
	t.Helper()
	target := routing.KeyOf([]byte(key))
	byDistance := func(a, b *kadtest.Node) int {
		return target.Compare(routing.KeyOf([]byte(a.ID())), routing.KeyOf([]byte(b.ID())))
	}
	nearest := n.Closest(key, 1)[0]
	var near []*kadtest.Node
	for len(near) < sybils {
		for _, h := range n.AddHosts(100) {
			if byDistance(h, nearest) < 0 {
				near = append(near, h)
			}
		}
	}
	near = near[:sybils]
	var all []protocol.Peer
	for _, s := range near {
		all = append(all, protocol.Peer{ID: s.ID(), Addrs: s.Info().Addrs})
	}
	for _, s := range near {
		s.Host.SetStreamHandler("/test/kad/1.0.0", func(stream network.Stream) { accomplice(stream, all) })
		for _, d := range honest {
			if err := s.Host.Connect(t.Context(), d.Info()); err != nil {
				t.Fatal(err)
			}
		}
	}
	time.Sleep(time.Minute)
}

// accomplice answers one request as a Sybil does.
func accomplice(stream network.Stream, all []protocol.Peer) {
	defer func() { _ = stream.Close() }()
	msg, err := protocol.ReadFrame(bufio.NewReader(stream), protocol.MaxFrame)
	if err != nil {
		return
	}
	req, err := protocol.ParseRequest(msg)
	if err != nil {
		return
	}
	var about []byte
	resp := protocol.Response{}
	switch req := req.(type) {
	case protocol.FindNode:
		about = req.Target
	case protocol.GetValue:
		about = req.Key
	case protocol.GetProviders:
		about = req.Key
	case protocol.PutValue:
		resp.Record = &req.Record
	case protocol.AddProvider:
		return
	}
	if about != nil {
		closer, to := slices.Clone(all), routing.KeyOf(about)
		slices.SortFunc(closer, func(a, b protocol.Peer) int {
			return to.Compare(routing.KeyOf([]byte(a.ID)), routing.KeyOf([]byte(b.ID)))
		})
		resp.Closer = closer[:min(len(closer), defaultK)]
	}
	_, _ = stream.Write(protocol.AppendResponseFrame(nil, req, resp))
}

// finds returns how many of so many gets, and of as many searches for providers, find what is
// stored, each by another node than the publisher.
func finds(t *testing.T, nodes []*kadtest.Node, key string, count int) (values, providers int) {
	t.Helper()
	content := contentOf(t, key)
	for i := range count {
		d := nodes[1+i%(len(nodes)-1)].DHT
		if got, err := d.GetValue(t.Context(), key); err == nil && string(got) == "1" {
			values++
		}
		for info, err := range d.Providers(t.Context(), content, 1) {
			if err == nil && info.ID == nodes[0].ID() {
				providers++
			}
		}
	}
	return values, providers
}

// What is put among Sybils that lie nearer to its key than all honest nodes is found, and the
// receipt says that the key is crowded.
//
// With a small k, and where most peers are Sybils, that is not so: make hostile prints what it is.
func TestSybilsAroundKey(t *testing.T) {
	bubble(t, func(t *testing.T) { testSybilsAroundKey(t, 200, defaultK, true) })
	if os.Getenv("KAD_HOSTILE_HOURS") == "" {
		return
	}
	for _, tt := range []struct {
		nodes, k int
		told     bool
	}{{40, defaultK, true}, {40, 4, false}, {12, 4, false}, {5, defaultK, false}, {3, defaultK, false}, {2, defaultK, false}} {
		t.Run(fmt.Sprintf("%d nodes, k %d", tt.nodes, tt.k), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testSybilsAroundKey(t, tt.nodes, tt.k, tt.told) })
		})
	}
}

func testSybilsAroundKey(t *testing.T, count, k int, told bool) {
	n := kadtest.New(t, kadtest.Config{Seed: 1, Latency: link})
	nodes := joined(n, count, kad.Config{PublisherOnly: true, K: k})
	for _, key := range []string{recordKey(1), providerKey(contentOf(t, recordKey(1)))} {
		beset(t, n, nodes, key)
	}
	put, err := nodes[0].DHT.Put(t.Context(), recordKey(1), []byte("1"))
	if err != nil {
		t.Fatal(err)
	}
	announced, err := nodes[0].DHT.Announce(t.Context(), contentOf(t, recordKey(1)))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []kad.Receipt{put, announced} {
		r, err := r.Wait(t.Context())
		honest := slices.DeleteFunc(slices.Clone(r.Stored), func(id peer.ID) bool { return !slices.Contains(ids(nodes), id) })
		t.Logf("stored by %d of %d peers, %d of them honest; crowded %v", len(r.Stored), r.Wanted, len(honest), r.Crowded)
		if err != nil || told && !r.Crowded {
			t.Errorf("the receipt does not say that the key is crowded: %v", err)
		}
	}
	ctx, trace := kad.WithTrace(t.Context())
	if _, err := nodes[1].DHT.GetValue(ctx, recordKey(1)); told && (err != nil || !trace.Stats().Crowded) {
		t.Errorf("the trace of a get does not say that the key is crowded: %v", err)
	}
	searches := 40
	if os.Getenv("KAD_HOSTILE_HOURS") != "" {
		searches = 100
	}
	values, providers := finds(t, nodes, recordKey(1), searches)
	t.Logf("%d of %d gets and %d of %[2]d searches for providers find it", values, searches, providers)
	if told && 20*min(values, providers) < 19*searches {
		t.Errorf("%d and %d of %d find it, want 95 %%", values, providers, searches)
	}
}

// eraseHours is how long Sybils have to erase a record. It skips the test unless make hostile
// has set that.
func eraseHours(t *testing.T) int {
	t.Helper()
	set := os.Getenv("KAD_HOSTILE_HOURS")
	if set == "" {
		t.Skip("KAD_HOSTILE_HOURS is not set: make hostile sets it")
	}
	hours, err := strconv.Atoi(set)
	if err != nil {
		t.Fatal(err)
	}
	return hours
}

// What was stored before Sybils came is found hours later, though they acknowledge what they
// are handed and drop it.
func TestSybilsErase(t *testing.T) {
	hours := eraseHours(t)
	bubble(t, func(t *testing.T) { testSybilsErase(t, hours) })
}

func testSybilsErase(t *testing.T, hours int) {
	n := kadtest.New(t, kadtest.Config{Seed: 2, Latency: link})
	nodes := joined(n, 100, kad.Config{})
	if _, err := nodes[0].DHT.Put(t.Context(), recordKey(1), []byte("1")); err != nil {
		t.Fatal(err)
	}
	if _, err := nodes[0].DHT.Announce(t.Context(), contentOf(t, recordKey(1))); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Minute)
	// The publisher is gone: nothing is published again.
	provider := nodes[0].ID()
	n.Kill(nodes[0])
	for _, key := range []string{recordKey(1), providerKey(contentOf(t, recordKey(1)))} {
		beset(t, n, nodes[1:], key)
	}
	report := func(when string) {
		values, providers := 0, 0
		for i := range 100 {
			d := nodes[1+i%99].DHT
			if got, err := d.GetValue(t.Context(), recordKey(1), kad.Quorum(1)); err == nil && string(got) == "1" {
				values++
			}
			for info, err := range d.Providers(t.Context(), contentOf(t, recordKey(1)), 1) {
				if err == nil && info.ID == provider {
					providers++
				}
			}
		}
		t.Logf("%s: %d of 100 gets and %d of 100 searches for providers find it", when, values, providers)
		if min(values, providers) < 95 {
			t.Errorf("%s: %d and %d of 100 find it, want 95", when, values, providers)
		}
	}
	report("at once")
	time.Sleep(time.Duration(hours) * time.Hour)
	report(fmt.Sprintf("after %d hours", hours))
}
