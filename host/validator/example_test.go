package validator_test

import (
	"crypto/rand"
	"fmt"

	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/validator"
)

// must ends an example that cannot go on.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// newOwner returns a key pair, as a libp2p host has one, and its ID.
func newOwner() (crypto.PrivKey, peer.ID) {
	priv, _, err := crypto.GenerateEd25519Key(rand.Reader)
	must(priv, err)
	return priv, must(peer.IDFromPrivateKey(priv))
}

// A network says by namespace what may be stored in it.
func Example() {
	ann, annID := newOwner()
	_, bobID := newOwner()
	members := map[peer.ID]bool{annID: true, bobID: true}

	cfg := kad.Config{
		Network: "/example",
		Validators: map[string]record.Validator{
			"blob":  validator.Immutable{},
			"note":  validator.Signed{},
			"guest": validator.SignedSet{Allow: func(id peer.ID) bool { return members[id] }},
		},
	}

	// What PutValue does first.
	value := must(validator.Sign(ann, "/guest/book", 1, []byte("hello")))
	fmt.Println(cfg.Validators["guest"].Validate("/guest/book", value))
	// Output: <nil>
}

func ExampleImmutable() {
	value := []byte("hello")
	key := validator.ImmutableKey("blob", value)
	fmt.Println(key)

	v := validator.Immutable{}
	fmt.Println(v.Validate(key, value))
	fmt.Println(v.Validate(key, []byte("hallo")))
	// Output:
	// /blob/QmRN6wdp1S2A5EtjW9A3M1vKSBuQQGcgvuhoMUoEz4iiT5
	// <nil>
	// the value is that of the key "/blob/Qmca6JwFSQAZixqx3ejM5AbjGV4zp3ATkUckjZU69HRaoi", not of "/blob/QmRN6wdp1S2A5EtjW9A3M1vKSBuQQGcgvuhoMUoEz4iiT5"
}

// The owner replaces a value with one of a higher sequence number. An older one
// that somebody kept is worse, and stays out.
func ExampleSigned() {
	priv, owner := newOwner()
	key := validator.SignedKey("note", owner, "todo")
	older := must(validator.Sign(priv, key, 1, []byte("tea")))
	newer := must(validator.Sign(priv, key, 2, []byte("cake")))

	v := validator.Signed{}
	fmt.Println(v.Validate(key, older), v.Validate(key, newer))
	values := [][]byte{newer, older}
	best := must(v.Select(key, values))
	entry := must(validator.Open(key, values[best]))
	fmt.Printf("%s, number %d of its owner: %t\n", entry.Data, entry.Seq, entry.Owner == owner)

	stranger, _ := newOwner()
	foreign := must(validator.Sign(stranger, key, 3, []byte("mine")))
	fmt.Println("a stranger may write:", v.Validate(key, foreign) == nil)
	// Output:
	// <nil> <nil>
	// cake, number 2 of its owner: true
	// a stranger may write: false
}

// Many owners write under one key, and each replaces what it wrote itself.
func ExampleSignedSet() {
	const key = "/guest/book"
	ann, annID := newOwner()
	bob, bobID := newOwner()
	names := map[peer.ID]string{annID: "ann", bobID: "bob"}
	v := validator.SignedSet{Allow: func(owner peer.ID) bool { return names[owner] != "" }}

	values := must(v.Reduce(key, [][]byte{
		must(validator.Sign(ann, key, 1, []byte("I was here"))),
		must(validator.Sign(bob, key, 1, []byte("me too"))),
		must(validator.Sign(ann, key, 2, []byte("I am still here"))),
	}))
	for _, value := range values {
		entry := must(validator.Open(key, value))
		fmt.Printf("%s: %s\n", names[entry.Owner], entry.Data)
	}

	stranger, _ := newOwner()
	spam := must(validator.Sign(stranger, key, 1, []byte("buy this")))
	fmt.Println("a stranger may write:", v.Validate(key, spam) == nil)
	// Unordered output:
	// ann: I am still here
	// bob: me too
	// a stranger may write: false
}

func ExamplePublicKey() {
	priv, id := newOwner()
	value := must(crypto.MarshalPublicKey(priv.GetPublic()))

	v := validator.PublicKey{}
	fmt.Println(v.Validate("/pk/"+string(id), value))
	_, other := newOwner()
	fmt.Println(v.Validate("/pk/"+string(other), value))
	// Output:
	// <nil>
	// public key does not match storage key
}
