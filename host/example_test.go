package host_test

import (
	"context"
	"fmt"

	"github.com/libp2p/go-libp2p"
	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
)

// anything is a validator that accepts every value.
type anything struct{}

func (anything) Validate(string, []byte) error        { return nil }
func (anything) Select(string, [][]byte) (int, error) { return 0, nil }

// Two nodes are a network: what one puts, the other gets.
func Example() {
	ctx := context.Background()
	cfg := kad.Config{Network: "/example", Validators: map[string]record.Validator{"v": anything{}}}

	ann, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		panic(err)
	}
	defer ann.Close()
	first, err := kad.New(ann, cfg)
	if err != nil {
		panic(err)
	}
	defer first.Close()

	bob, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		panic(err)
	}
	defer bob.Close()
	cfg.Bootstrap = []peer.AddrInfo{{ID: ann.ID(), Addrs: ann.Addrs()}}
	second, err := kad.New(bob, cfg)
	if err != nil {
		panic(err)
	}
	defer second.Close()

	if err := second.PutValue(ctx, "/v/greeting", []byte("hello")); err != nil {
		panic(err)
	}
	value, err := first.GetValue(ctx, "/v/greeting")
	if err != nil {
		panic(err)
	}
	fmt.Println(string(value))
	// Output: hello
}
