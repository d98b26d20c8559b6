package host_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ipfs/go-cid"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/validator"
	"github.com/go-kad/kad/protocol"
)

// What a node holds, for others and of its own.
func ExampleDHT_Held() {
	ctx := context.Background()
	ann, bob, stop := startTwo(kad.Config{Validators: map[string]record.Validator{"blob": validator.Immutable{}}})
	defer stop()

	value := []byte("hello")
	if err := ann.PutValue(ctx, validator.ImmutableKey("blob", value), value); err != nil {
		panic(err)
	}
	for held, err := range bob.Held(ctx) {
		fmt.Println(held.Kind, held.Size, "bytes, by ann:", held.Peer == ann.ID(), err)
	}
	// Output: value 5 bytes, by ann: true <nil>
}

// A node publishes its own values and announcements again, until it is told to stop. Holders
// keep them until they expire.
func ExampleDHT_StopPublishing() {
	ctx := context.Background()
	ann, _, stop := startTwo(kad.Config{Validators: map[string]record.Validator{"blob": validator.Immutable{}}})
	defer stop()

	value := []byte("hello")
	key := validator.ImmutableKey("blob", value)
	if err := ann.PutValue(ctx, key, value); err != nil {
		panic(err)
	}
	fmt.Println(ann.Stats().Publications)
	fmt.Println(ann.StopPublishing(ctx, key), ann.Stats().Publications)
	// Output:
	// 1
	// <nil> 0
}

// Announcements are taken back one by one, or many at a time.
func ExampleDHT_StopProviding() {
	ctx := context.Background()
	ann, _, stop := startTwo(kad.Config{})
	defer stop()

	var contents []cid.Cid
	for _, name := range []string{"a", "b", "c"} {
		c, err := kad.NamespaceCID(name)
		if err != nil {
			panic(err)
		}
		if err := ann.Provide(ctx, c, true); err != nil {
			panic(err)
		}
		contents = append(contents, c)
	}
	fmt.Println(ann.StopProviding(ctx, contents[0]), ann.Stats().Publications)
	fmt.Println(ann.StopProvidingMany(ctx, slices.Values(contents[1:])), ann.Stats().Publications)
	// Output:
	// <nil> 2
	// <nil> 0
}

// SearchValue yields each value that is better than the one before. Paths has the lookup go
// disjoint ways, so that peers that lie mislead some of them alone.
func ExampleDHT_SearchValue() {
	ctx := context.Background()
	ann, bob, stop := startTwo(kad.Config{Validators: map[string]record.Validator{"note": validator.Signed{}}})
	defer stop()

	priv := ann.Host().Peerstore().PrivKey(ann.ID())
	key := validator.SignedKey("note", ann.ID(), "todo")
	value, err := validator.Sign(priv, key, 1, []byte("tea"))
	if err != nil {
		panic(err)
	}
	if err := ann.PutValue(ctx, key, value, kad.Quorum(1), kad.Paths(2)); err != nil {
		panic(err)
	}
	found, err := bob.SearchValue(ctx, key, kad.Paths(2))
	if err != nil {
		panic(err)
	}
	for value := range found {
		entry, err := validator.Open(key, value)
		fmt.Printf("%s %v\n", entry.Data, err)
	}
	// Output: tea <nil>
}

// A key that is not in the ID of its peer is a record that the peer has put.
func ExampleDHT_GetPublicKey() {
	ctx := context.Background()
	ann, bob, stop := startTwo(kad.Config{Validators: map[string]record.Validator{"pk": validator.PublicKey{}}})
	defer stop()

	key, err := bob.GetPublicKey(ctx, ann.ID())
	fmt.Println(key.Equals(ann.Host().Peerstore().PubKey(ann.ID())), err)
	// Output: true <nil>
}

// WithSelf has a search for providers name this node, too.
func ExampleWithSelf() {
	ctx := context.Background()
	ann, _, stop := startTwo(kad.Config{})
	defer stop()

	content := cid.MustParse("bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy")
	if err := ann.Provide(ctx, content, true); err != nil {
		panic(err)
	}
	for range ann.FindProvidersAsync(ctx, content, 0) {
		fmt.Println("never: a program knows what it has announced")
	}
	for p := range ann.FindProvidersAsync(kad.WithSelf(ctx), content, 0) {
		fmt.Println("this node:", p.ID == ann.ID())
	}
	// Output: this node: true
}

// A put that no peer has stored says which peers have refused it, and why. Here, bob has a rule
// of his own.
func ExamplePutError() {
	ctx := context.Background()
	cfg := kad.Config{
		Validators: map[string]record.Validator{"guest": validator.SignedSet{}},
		OnRequest: func(_ network.Conn, req protocol.Request) error {
			if put, ok := req.(protocol.PutValue); ok && strings.HasPrefix(string(put.Record.Key), "/guest/") {
				return errors.New("the book is closed")
			}
			return nil
		},
	}
	ann, bob, stop := startTwo(cfg)
	defer stop()

	priv, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		panic(err)
	}
	value, err := validator.Sign(priv, "/guest/book", 1, []byte("I was here"))
	if err != nil {
		panic(err)
	}
	_, err = ann.Put(ctx, "/guest/book", value)
	if put, ok := errors.AsType[*kad.PutError](err); ok {
		fmt.Println(put.Failed[bob.ID()])
	}
	// Output: kad: refused by the peer: by a rule of its own
}

// A Reducer is a validator whose keys hold several values: SignedSet is one.
func ExampleReducer() {
	var set kad.Reducer = validator.SignedSet{}
	priv, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		panic(err)
	}
	var values [][]byte
	for seq := range uint64(3) {
		value, err := validator.Sign(priv, "/guest/book", seq, []byte("hello"))
		if err != nil {
			panic(err)
		}
		values = append(values, value)
	}
	left, err := set.Reduce("/guest/book", values)
	fmt.Println(len(left), "of one owner", err)
	// Output: 1 of one owner <nil>
}
