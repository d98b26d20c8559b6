package net_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/itest/internal/race"
	"github.com/go-kad/kad/protocol"
)

const (
	// floodStreams is how many streams each identity of a flood has.
	floodStreams = 5

	// floodFor is how long the throughput of a client is measured, and floodRounds how often.
	floodFor    = time.Second
	floodRounds = 3

	// floodFills is how long an identity that does not wait takes until the windows of its streams
	// are full, which the node does not read: 1.2 MiB, or 0.8 over QUIC. Until then, the transport
	// reads what comes.
	floodFills = 60 * time.Millisecond
)

// A flood are hosts that are connected to some nodes, of which they flood one at a time.
type flood struct {
	hosts []host.Host
}

// newFlood returns as many hosts, connected to all victims over a transport.
func newFlood(t *testing.T, transport string, count int, victims ...*victim) (f flood) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for range count {
		h := victims[0].attacker(t, transport)
		for _, v := range victims[1:] {
			if err := h.Connect(ctx, v.info(transport)); err != nil {
				t.Fatal(err)
			}
		}
		f.hosts = append(f.hosts, h)
	}
	return f
}

// request returns the request of a kind that a host floods with.
func (f flood) request(kind string, h host.Host) protocol.Request {
	switch kind {
	case "GET_PROVIDERS":
		return protocol.GetProviders{Key: []byte("key")}
	case "PUT":
		return protocol.PutValue{Record: protocol.Record{Key: []byte("/v/" + h.ID()), Value: []byte("1")}}
	case "ADD":
		return protocol.AddProvider{Key: []byte("key"), Providers: []protocol.Peer{{
			ID: h.ID(), Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/127.0.0.1/tcp/4001")},
		}}}
	default:
		return protocol.FindNode{Target: []byte("target")}
	}
}

const (
	// patient is the kind of flood whose streams wait for each answer, as those of a client do,
	// and neighbours is that from addresses of one network.
	patient    = "FIND_NODE, one after the other,"
	neighbours = "FIND_NODE, one after the other, at addresses of one network,"

	// echoes is a flood that is as patient, and asks for nothing of the DHT: no order of answers
	// can give back to a client what it takes.
	echoes = "an echo of 1 KiB, one after the other,"
)

// waits reports whether a kind of flood waits for its answers.
func waits(kind string) bool { return kind == patient || kind == neighbours || kind == echoes }

// start has the first hosts send requests of a kind to a victim, as fast as it takes them. It
// returns what ends that.
func (f flood) start(t *testing.T, v *victim, kind string, identities int) (end func()) {
	t.Helper()
	var streams []network.Stream
	var senders sync.WaitGroup
	over := make(chan struct{})
	for _, h := range f.hosts[:identities] {
		var many []byte
		for range 100 {
			many = protocol.AppendRequestFrame(many, f.request(kind, h))
		}
		one, proto := protocol.AppendRequestFrame(nil, f.request(kind, h)), victimProtocol
		if kind == echoes {
			one, proto = protocol.AppendFrame(nil, make([]byte, 1<<10)), victimEcho
		}
		addr := "/ip4/127.0.0.1/tcp/4001"
		if kind == neighbours {
			addr = "/ip4/20.0.7.7/tcp/4001"
		}
		v.tell(t, h.ID().String()+" "+addr)
		for range floodStreams {
			s, err := v.openTo(t, h, proto)
			if err != nil {
				t.Fatal(err)
			}
			streams = append(streams, s)
			if waits(kind) {
				senders.Go(func() {
					for r := bufio.NewReader(s); ; {
						if _, err := s.Write(one); err != nil {
							return
						}
						if _, err := protocol.ReadFrame(r, protocol.MaxFrame); err != nil {
							return
						}
					}
				})
				continue
			}
			senders.Go(func() {
				for {
					select {
					case <-over:
						return
					default:
					}
					if _, err := s.Write(many); err != nil {
						return
					}
				}
			})
			senders.Go(func() { _, _ = io.Copy(io.Discard, s) })
		}
	}
	return func() {
		close(over)
		for _, s := range streams {
			_ = s.Reset()
		}
		senders.Wait()
	}
}

// throughput returns how many requests a client has answered on one stream, one after the other,
// in floodFor.
func throughput(t *testing.T, h host.Host, v *victim) (answers int) {
	t.Helper()
	s, err := v.open(t, h)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Reset() }()
	frame := protocol.AppendRequestFrame(nil, protocol.FindNode{Target: []byte("another target")})
	r := bufio.NewReader(s)
	ask := func() {
		if _, err := s.Write(frame); err != nil {
			t.Fatal(err)
		}
		if _, err := protocol.ReadFrame(r, protocol.MaxFrame); err != nil {
			t.Fatal(err)
		}
	}
	ask() // with the negotiation of the stream
	for began := time.Now(); time.Since(began) < floodFor; answers++ {
		ask()
	}
	return answers
}

// median returns the one in the middle.
func median(counts []int) int {
	slices.Sort(counts)
	return counts[len(counts)/2]
}

// A flood of requests leaves a client a share of the throughput that a flood of another node on
// the same processor leaves it.
func TestHostileFloodOfNode(t *testing.T) {
	if os.Getenv("KAD_HOSTILE_FRAMES") == "" {
		t.Skip("it measures for make hostile, on a machine that does nothing else")
	}
	if race.Enabled {
		t.Skip("the race detector slows each part down by a factor of its own")
	}
	if _, err := exec.LookPath("taskset"); err != nil {
		t.Skip("taskset is not there, which gives two nodes one processor")
	}
	if firstCore() == "" {
		t.Skip("the system does not say which processors there are")
	}
	identities := []int{1, 50}
	kinds := []string{"FIND_NODE", "GET_PROVIDERS", "PUT", "ADD", patient, neighbours, echoes}
	core := firstCore()
	for _, transport := range transports {
		if transport != tcp {
			kinds = []string{"FIND_NODE", "PUT"}
		}
		node, other := startVictim(t, core), startVictim(t, core)
		if transport == circuit {
			node.behindRelay(t)
			other.behindRelay(t)
		}
		client := node.attacker(t, transport)
		f := newFlood(t, transport, identities[len(identities)-1], node, other)
		for _, count := range identities {
			for _, kind := range kinds {
				t.Run(fmt.Sprintf("%s of %d identities over %s", kind, count, transport), func(t *testing.T) {
					f.measure(t, kind, count, client, node, other)
				})
			}
		}
	}
}

// measure compares what a client has beside a flood of the node that it asks, and of another one.
func (f flood) measure(t *testing.T, kind string, count int, client host.Host, node, other *victim) {
	var alone, flooded, beside []int
	answered := 0 // of the flood of the node
	for range floodRounds {
		alone = append(alone, throughput(t, client, node))
		for _, v := range []*victim{node, other} {
			end := f.start(t, v, kind, count)
			if !waits(kind) {
				time.Sleep(time.Duration(count) * floodFills)
			}
			before := v.ask(t, false).answered
			got := throughput(t, client, node)
			if v == node {
				answered += v.ask(t, false).answered - before - got
			}
			end()
			if v == node {
				flooded = append(flooded, got)
			} else {
				beside = append(beside, got)
			}
		}
	}
	share := float64(median(flooded)) / float64(median(beside))
	t.Logf("%d requests of a client, %d beside another node that is flooded, %d undisturbed: %.2f; %d answers to the flood a second",
		median(flooded), median(beside), median(alone), share, answered/floodRounds)
	ofFlood := float64(median(flooded)) * floodRounds / float64(answered)
	switch {
	case kind == echoes:
	case kind == patient && ofFlood*float64(count) < leastOfOne:
		t.Errorf("a client has %.2f of the answers of one of the identities", ofFlood*float64(count))
	case kind == neighbours && ofFlood < leastOfNetwork:
		t.Errorf("a client has %.2f of the answers of a network of flooding identities", ofFlood)
	case !waits(kind) && share < leastShare:
		t.Errorf("a client has %.2f of what a flood of another node leaves", share)
	}
}

// firstCore returns the number of the first processor that this process may use.
func firstCore() string {
	status, _ := os.ReadFile("/proc/self/status")
	_, list, _ := strings.Cut(string(status), "Cpus_allowed_list:")
	return strings.TrimSpace(list[:max(strings.IndexAny(list, "-,\n"), 0)])
}

const (
	// leastShare is what a flood leaves a client at least, of what it has beside a flood of
	// another node. 0.66 to 1.48 were measured.
	leastShare = 0.6

	// leastOfOne is what a client on one stream has at least of the answers of one identity on
	// floodStreams, if all of them wait for each answer. 0.28 was measured.
	leastOfOne = 0.1

	// leastOfNetwork is what it has at least of the answers of all identities of one network that
	// ask one after the other, too.
	leastOfNetwork = 0.8
)
