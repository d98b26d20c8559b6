package host_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/events"
	"github.com/go-kad/kad/host/validator"
)

// startTwo starts a network of two nodes on this machine. A program has one node, and the
// addresses of others.
func startTwo(cfg kad.Config) (ann, bob *kad.DHT, stop func()) {
	cfg.Network = "/example"
	var ends []func()
	start := func() *kad.DHT {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
		if err != nil {
			panic(err)
		}
		d, err := kad.New(h, cfg)
		if err != nil {
			panic(err)
		}
		ends = append(ends, func() { _, _ = d.Close(), h.Close() })
		return d
	}
	ann = start()
	cfg.Bootstrap = []peer.AddrInfo{{ID: ann.ID(), Addrs: ann.Host().Addrs()}}
	bob = start()
	for _, d := range []*kad.DHT{ann, bob} {
		if err := d.Ready(context.Background()); err != nil {
			panic(err)
		}
	}
	return ann, bob, func() {
		for _, end := range ends {
			end()
		}
	}
}

// A peer announces that it has a content, and another one finds it.
func ExampleDHT_Announce() {
	ctx := context.Background()
	ann, bob, stop := startTwo(kad.Config{})
	defer stop()

	content := cid.MustParse("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy")
	receipt, err := ann.Announce(ctx, content)
	if err != nil {
		panic(err)
	}
	fmt.Println("stored by", len(receipt.Stored), "of", receipt.Wanted)
	for p, err := range bob.Providers(ctx, content, 1) {
		fmt.Println("found:", p.ID == ann.ID(), err)
	}
	// Output:
	// stored by 1 of 1
	// found: true <nil>
}

// A put says which peers have stored the value, and a get finds it.
func ExampleDHT_Put() {
	ctx := context.Background()
	ann, bob, stop := startTwo(kad.Config{Validators: map[string]record.Validator{"blob": validator.Immutable{}}})
	defer stop()

	value := []byte("hello")
	key := validator.ImmutableKey("blob", value)
	receipt, err := ann.Put(ctx, key, value, kad.Quorum(1))
	if err != nil {
		panic(err)
	}
	fmt.Println("stored by bob:", receipt.Stored[0] == bob.ID())
	got, err := bob.GetValue(ctx, key)
	fmt.Printf("%s %v\n", got, err)
	_, err = bob.GetValue(ctx, validator.ImmutableKey("blob", []byte("bye")))
	fmt.Println("not found:", errors.Is(err, kad.ErrNotFound))
	// Output:
	// stored by bob: true
	// hello <nil>
	// not found: true
}

// Two peers write under one key, and a get returns what both have written.
func ExampleDHT_GetValues() {
	ctx := context.Background()
	ann, bob, stop := startTwo(kad.Config{Validators: map[string]record.Validator{"guest": validator.SignedSet{}}})
	defer stop()

	const key = "/guest/book"
	for _, d := range []*kad.DHT{ann, bob} {
		priv, _, err := crypto.GenerateEd25519Key(rand.Reader)
		if err != nil {
			panic(err)
		}
		value, err := validator.Sign(priv, key, 1, []byte("I was here"))
		if err != nil {
			panic(err)
		}
		if err := d.PutValue(ctx, key, value); err != nil {
			panic(err)
		}
	}
	values, err := ann.GetValues(ctx, key)
	fmt.Println(len(values), "values", err)
	// Output: 2 values <nil>
}

// A peer announces itself under a name, and another one finds it there. Join does both
// again and again.
func ExampleDHT_Advertise() {
	ctx := context.Background()
	ann, bob, stop := startTwo(kad.Config{})
	defer stop()

	lasts, err := ann.Advertise(ctx, "my-app/lobby")
	fmt.Println(lasts > time.Hour, err)
	for p, err := range bob.Discover(ctx, "my-app/lobby", 0) {
		fmt.Println("found:", p.ID == ann.ID(), err)
	}
	// Output:
	// true <nil>
	// found: true <nil>
}

// FindPeer returns the addresses of a peer; Locate says where each of them comes from.
func ExampleDHT_Locate() {
	ctx := context.Background()
	ann, bob, stop := startTwo(kad.Config{})
	defer stop()

	info, err := ann.FindPeer(ctx, bob.ID())
	fmt.Println(len(info.Addrs) > 0, err)
	found, err := ann.Locate(ctx, bob.ID())
	fmt.Println(found.Addrs[0].Source, err)
	// Output:
	// true <nil>
	// connected <nil>
}

// Connect reaches a peer by its ID alone, and says how.
func ExampleDHT_Connect() {
	ann, bob, stop := startTwo(kad.Config{})
	defer stop()

	conn, err := ann.Connect(context.Background(), bob.ID())
	fmt.Println(conn.Via, err)
	// Output: direct <nil>
}

// Ready says why lookups do not work.
func ExampleDHT_Ready() {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		panic(err)
	}
	defer h.Close()
	d, err := kad.New(h, kad.Config{Network: "/example"})
	if err != nil {
		panic(err)
	}
	defer d.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	err = d.Ready(ctx)
	notReady, ok := errors.AsType[*kad.NotReadyError](err)
	fmt.Println(ok, errors.Is(notReady, kad.ErrNoContacts))
	// Output: true true
}

// WithTrace counts what an operation cost.
func ExampleWithTrace() {
	ann, _, stop := startTwo(kad.Config{})
	defer stop()

	ctx, trace := kad.WithTrace(context.Background())
	peers, err := ann.ClosestPeers(ctx, []byte("any key"))
	cost := trace.Stats()
	fmt.Println(len(peers), "peer,", cost.Requests, "request,", cost.Hops, "hop,", err)
	// Output: 1 peer, 1 request, 1 hop, <nil>
}

// Events tells what happens in a node, here the lookups.
func ExampleDHT_Events() {
	ann, _, stop := startTwo(kad.Config{})
	defer stop()

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	happened := ann.Events(ctx) // from now on
	go func() { _, _ = ann.ClosestPeers(ctx, []byte("any key")) }()
	for e := range happened {
		if end, ok := e.What.(events.LookupEnded); ok {
			fmt.Println(end.Type(), end.Answered, "answered")
			break
		}
	}
	// Output: lookup_ended 1 answered
}

// Diagnose says how a node can be found and reached.
func ExampleDHT_Diagnose() {
	ann, _, stop := startTwo(kad.Config{})
	defer stop()

	diagnosis, err := ann.Diagnose(context.Background())
	fmt.Println(diagnosis.Mode, diagnosis.Told, "of", diagnosis.Asked, diagnosis.Filtering, diagnosis.NotReady, len(diagnosis.Advice), err)
	// Output: server 1 of 1 unknown <nil> 0 <nil>
}

// Many values share lookups.
func ExampleDHT_PutMany() {
	ann, _, stop := startTwo(kad.Config{Validators: map[string]record.Validator{"blob": validator.Immutable{}}})
	defer stop()

	values := func(yield func(string, []byte) bool) {
		for i := range 100 {
			value := fmt.Append(nil, "value ", i)
			if !yield(validator.ImmutableKey("blob", value), value) {
				return
			}
		}
	}
	stored := 0
	for p := range ann.PutMany(context.Background(), values) {
		if p.Err == nil {
			stored++
		}
	}
	fmt.Println(stored, "are stored")
	// Output: 100 are stored
}

// The error of an address says what is missing in it.
func ExampleParseAddrs() {
	peers, err := kad.ParseAddrs("/ip4/192.0.2.7/tcp/4001/p2p/12D3KooWHGqaPPYWmsRgdTRUbqWfXdsEakpajGKub2QaAZzLYYDY")
	fmt.Println(peers[0].Addrs, err)
	_, err = kad.ParseAddrs("/p2p/12D3KooWHGqaPPYWmsRgdTRUbqWfXdsEakpajGKub2QaAZzLYYDY")
	fmt.Println(err)
	// Output:
	// [/ip4/192.0.2.7/tcp/4001] <nil>
	// kad: "/p2p/12D3KooWHGqaPPYWmsRgdTRUbqWfXdsEakpajGKub2QaAZzLYYDY" has the ID of the peer and no address: put its address before /p2p/
}

// A node that leaves for good gives what it holds to others.
func ExampleDHT_Leave() {
	ann, bob, stop := startTwo(kad.Config{Validators: map[string]record.Validator{"blob": validator.Immutable{}}})
	defer stop()

	value := []byte("hello")
	if err := ann.PutValue(context.Background(), validator.ImmutableKey("blob", value), value); err != nil {
		panic(err)
	}
	fmt.Println(ann.Leave(context.Background()))
	fmt.Println(bob.Stats().Values, "value remains")
	// Output:
	// <nil>
	// 1 value remains
}
