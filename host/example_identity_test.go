package host_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/libp2p/go-libp2p"

	kad "github.com/go-kad/kad/host"
)

// A node with its key in a file is the same peer after a restart.
func ExampleLoadIdentity() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	start := func() string {
		key, err := kad.LoadIdentity(filepath.Join(dir, "identity.key"))
		if err != nil {
			panic(err)
		}
		h, err := libp2p.New(libp2p.Identity(key), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
		if err != nil {
			panic(err)
		}
		defer h.Close()
		return h.ID().String()
	}
	first := start()
	fmt.Println(start() == first)
	// Output: true
}

// The first peers of a network can be listed in the DNS: they may change while programs run.
func ExampleDNSBootstrap() {
	cfg := kad.Config{
		Network:       "/example",
		FindBootstrap: kad.DNSBootstrap("/dnsaddr/bootstrap.example.invalid"),
	}
	peers, err := cfg.FindBootstrap(context.Background()) // the DHT calls it before it joins
	fmt.Println(len(peers), err != nil)
	// Output: 0 true
}

// A name and a content are found the same way: a name has a CID.
func ExampleNamespaceCID() {
	c, err := kad.NamespaceCID("my-app/lobby")
	fmt.Println(c, err)
	_, err = kad.NamespaceCID("")
	fmt.Println(err != nil)
	// Output:
	// bafkreie6cpyouctnzg73hd7ytj74q6aas3ftv5auovdepcnzl5rui4tgi4 <nil>
	// true
}

// A host that was made without the options of Traversal says what it lacks.
func ExampleCheckTraversal() {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay())
	if err != nil {
		panic(err)
	}
	defer h.Close()
	fmt.Println(kad.CheckTraversal(h)[0])
	// Output: peers behind relays cannot be dialled: leave out libp2p.DisableRelay
}
