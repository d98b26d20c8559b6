package resume_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/carry/resume"
)

func start() host.Host {
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		panic(err)
	}
	return h
}

// Ann writes to Bob, and does not notice that their connection is closed in between.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ann, bob := start(), start()
	defer ann.Close()
	defer bob.Close()

	read := make(chan string)
	receiver := resume.New(bob, "/lines/1.0.0", resume.Config{Accept: func(s *resume.Stream) {
		defer close(read)
		for lines := bufio.NewScanner(s); lines.Scan(); {
			read <- lines.Text()
		}
	}})
	defer receiver.Close()
	sender := resume.New(ann, "/lines/1.0.0", resume.Config{
		// With a DHT, this is its Connect, which finds a peer wherever it is.
		Connect: func(ctx context.Context, id peer.ID) error {
			return ann.Connect(ctx, peer.AddrInfo{ID: id, Addrs: bob.Addrs()})
		},
	})
	defer sender.Close()

	s, err := sender.Open(ctx, bob.ID())
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(s, "hello")
	fmt.Println(<-read)
	if err := ann.Network().ClosePeer(bob.ID()); err != nil {
		panic(err)
	}
	fmt.Fprintln(s, "and on")
	fmt.Println(<-read)
	_ = s.CloseWrite()
	fmt.Println("flushed:", s.Flush(ctx))
	// Output:
	// hello
	// and on
	// flushed: <nil>
}

// A question and its answer on one stream.
func ExampleStream() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	ann, bob := start(), start()
	defer ann.Close()
	defer bob.Close()
	answerer := resume.New(bob, "/shout/1.0.0", resume.Config{Accept: func(s *resume.Stream) {
		text, err := io.ReadAll(s)
		if err == nil {
			_, _ = fmt.Fprintf(s, "%s!", text)
		}
	}})
	defer answerer.Close()
	ann.Peerstore().AddAddrs(bob.ID(), bob.Addrs(), time.Hour)
	asker := resume.New(ann, "/shout/1.0.0", resume.Config{})
	defer asker.Close()

	s, err := asker.Open(ctx, bob.ID())
	if err != nil {
		panic(err)
	}
	defer s.Close()
	_, _ = io.WriteString(s, "hello")
	_ = s.CloseWrite()
	answer, err := io.ReadAll(s)
	fmt.Println(string(answer), err)
	// Output: hello! <nil>
}
