package host_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/protocol"
)

// The routing table, bucket by bucket.
func ExampleDHT_Table() {
	ann, bob, stop := startTwo(kad.Config{})
	defer stop()

	for _, bucket := range ann.Table() {
		for _, contact := range bucket.Contacts {
			fmt.Println("bob:", contact.ID == bob.ID(), "answers:", !contact.Suspect)
		}
	}
	// Output: bob: true answers: true
}

// What a node counts, and what it does next by itself. Times has how many of the requests took
// how long.
func ExampleDHT_Stats() {
	ann, _, stop := startTwo(kad.Config{})
	defer stop()

	if _, err := ann.ClosestPeers(context.Background(), []byte("any key")); err != nil {
		panic(err)
	}
	s := ann.Stats()
	fmt.Println(s.Contacts, "contact, a server:", s.Server)
	for _, sent := range s.Sent {
		if sent.Kind == "find_node" && sent.Outcome == "answered" {
			last := kad.Intervals - 1
			fmt.Println("all within", kad.TimesBound(last).Round(time.Second), sent.Within[last] == sent.Count)
		}
	}
	for _, next := range s.Due {
		if next.Job == "expire" {
			fmt.Println("removes what has expired within a day:", time.Until(next.At) < 24*time.Hour)
		}
	}
	// Output:
	// 1 contact, a server: true
	// all within 13s true
	// removes what has expired within a day: true
}

// A node becomes a client, for instance while a phone saves power, and serves again.
func ExampleDHT_SetMode() {
	ann, _, stop := startTwo(kad.Config{})
	defer stop()

	for _, m := range []kad.Mode{kad.ModeClient, kad.ModeServer} {
		if err := ann.SetMode(m); err != nil {
			panic(err)
		}
		mode, reason := ann.Mode()
		fmt.Println(mode, "-", reason)
	}
	// Output:
	// client - set to client
	// server - set to server
}

// FindPeers is Discover with a channel, as discovery.Discovery of go-libp2p has it.
func ExampleDHT_FindPeers() {
	ctx := context.Background()
	ann, bob, stop := startTwo(kad.Config{})
	defer stop()

	if _, err := ann.Advertise(ctx, "my-app/lobby"); err != nil {
		panic(err)
	}
	found, err := bob.FindPeers(ctx, "my-app/lobby")
	if err != nil {
		panic(err)
	}
	for p := range found {
		fmt.Println("found:", p.ID == ann.ID())
	}
	// Output: found: true
}

// The error of Connect has each step that was tried, and why it failed. With WaitDirect(0),
// a relayed connection would do.
func ExampleConnectError() {
	ann, _, stop := startTwo(kad.Config{})
	defer stop()

	missing, err := peer.Decode("12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x")
	if err != nil {
		panic(err)
	}
	_, err = ann.Connect(context.Background(), missing, kad.WaitDirect(0))
	if failed, ok := errors.AsType[*kad.ConnectError](err); ok {
		for _, step := range failed.Steps {
			fmt.Println(step.Name, errors.Is(step.Err, kad.ErrNotFound))
		}
	}
	// Output:
	// known false
	// find true
}

// A Group says how a membership stands, and which peers come and go.
func ExampleGroup() {
	ann, bob, stop := startTwo(kad.Config{})
	defer stop()

	for _, d := range []*kad.DHT{ann, bob} {
		group, err := d.Join(context.Background(), "my-app/lobby")
		if err != nil {
			panic(err)
		}
		defer group.Close()
		for e := range group.Events() {
			if e.Kind == kad.GroupWorks {
				break
			}
		}
		fmt.Println(group.State().Err)
	}
	// Output:
	// <nil>
	// <nil>
}

// A Tracer sees operations, and the lookups and requests that they consist of. Package
// host/tracing has one for OpenTelemetry.
func ExampleTracer() {
	var requests atomic.Int32
	count := func(ctx context.Context, name string, _ ...slog.Attr) (context.Context, func(error, ...slog.Attr)) {
		if name == "kad.request" {
			requests.Add(1)
		}
		return ctx, func(error, ...slog.Attr) {}
	}
	ann, _, stop := startTwo(kad.Config{Tracer: count})
	defer stop()

	if _, err := ann.ClosestPeers(context.Background(), []byte("any key")); err != nil {
		panic(err)
	}
	fmt.Println(requests.Load() > 0)
	// Output: true
}

// A program with options of its own gives AutoRelay the relays that the DHT finds. Traversal
// does this, and more.
func ExampleDHT_RelaySource() {
	var d *kad.DHT
	attached := make(chan struct{}) // the host may ask for relays before there is a DHT
	h, err := libp2p.New(
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.EnableAutoRelayWithPeerSource(func(ctx context.Context, num int) <-chan peer.AddrInfo {
			<-attached
			return d.RelaySource(ctx, num)
		}),
	)
	if err != nil {
		panic(err)
	}
	defer h.Close()
	d, err = kad.New(h, kad.Config{Network: "/example", OfferRelay: true, Relay: kad.RelayLimits{Reservations: 16}})
	if err != nil {
		panic(err)
	}
	close(attached)
	fmt.Println(d.Close())
	// Output: <nil>
}

// A host has the resource manager of libp2p with the limits that fit the DHT.
func ExampleAddLimits() {
	cfg := kad.Config{Network: "/example", MaxInbound: 128}
	limits := rcmgr.DefaultLimits
	libp2p.SetDefaultServiceLimits(&limits)
	kad.AddLimits(&limits, cfg)
	resources, err := rcmgr.NewResourceManager(rcmgr.NewFixedLimiter(limits.AutoScale()))
	if err != nil {
		panic(err)
	}
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.ResourceManager(resources))
	if err != nil {
		panic(err)
	}
	defer h.Close()
	d, err := kad.New(h, cfg)
	if err != nil {
		panic(err)
	}
	defer d.Close()
	fmt.Println(limits.ProtocolLimits["/example/kad/1.0.0"].BaseLimit.StreamsInbound)
	// Output: 256
}

// An operation that fails because too few peers have answered says how many did.
func ExampleUnansweredError() {
	var refuses atomic.Bool
	ann, _, stop := startTwo(kad.Config{RequestTimeout: time.Second, OnRequest: func(network.Conn, protocol.Request) error {
		if refuses.Load() {
			return errors.New("not now")
		}
		return nil
	}})
	defer stop()

	refuses.Store(true) // bob answers no more
	missing, err := peer.Decode("12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x")
	if err != nil {
		panic(err)
	}
	_, err = ann.FindPeer(context.Background(), missing)
	if few, ok := errors.AsType[*kad.UnansweredError](err); ok {
		fmt.Println(few.Answered, "of", few.Closest)
	}
	// Output: 0 of 1
}
