package amino_test

import (
	"crypto/rand"
	"fmt"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/path"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/amino"
)

func ExampleIPNS() {
	priv, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		panic(err)
	}
	id := must(peer.IDFromPrivateKey(priv))
	key := "/ipns/" + string(id)
	target := must(path.NewPath("/ipfs/bafkqaaa"))
	sign := func(seq uint64, expires time.Time) []byte {
		return must(ipns.MarshalRecord(must(ipns.NewRecord(priv, target, seq, expires, time.Minute))))
	}

	v := amino.IPNS{}
	fmt.Println(v.Validate(key, sign(1, time.Now().Add(48*time.Hour))))
	fmt.Println(v.Validate(key, sign(2, time.Now().Add(-time.Second))))
	// Output:
	// <nil>
	// record is expired
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
