package kill_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	lhost "github.com/libp2p/go-libp2p/core/host"
	lnetwork "github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"

	"github.com/go-kad/kad/protocol"
)

// An asker asks a single node. It is no part of the network: it serves nothing,
// and cannot be dialled.
type asker struct{ host lhost.Host }

func newAsker(t *testing.T) *asker {
	t.Helper()
	h, err := libp2p.New(libp2p.NoListenAddrs)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return &asker{h}
}

// ask asks a node questions, all over one stream, and returns what is wrong with
// the answers.
func (a *asker) ask(ctx context.Context, n *node, questions []question) (wrong []error, err error) {
	infos, err := peer.AddrInfosFromP2pAddrs(multiaddrs(n.Addrs)...)
	if err != nil {
		return nil, err
	}
	id := infos[0].ID
	a.host.Peerstore().ClearAddrs(id) // those from before it was killed
	if err := a.host.Connect(ctx, infos[0]); err != nil {
		return nil, err
	}
	defer func() { _ = a.host.Network().ClosePeer(id) }()
	stream, err := a.host.NewStream(ctx, id, lprotocol.ID(network+"/kad/1.0.0"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = stream.Reset() }()
	_ = stream.SetDeadline(time.Now().Add(patience))

	sent := make(chan error, 1)
	go func() { sent <- send(stream, questions) }()
	r := bufio.NewReader(stream)
	for i, q := range questions {
		answer, err := read(r, q.request)
		if err != nil {
			_ = stream.Reset() // ends the sending
			return wrong, fmt.Errorf("answer %d of %d: %w", i, len(questions), errors.Join(err, <-sent))
		}
		if err := q.check(answer); err != nil {
			wrong = append(wrong, err)
		}
	}
	return wrong, <-sent
}

// send sends the requests of questions, and says that there are no more.
func send(stream lnetwork.Stream, questions []question) error {
	for _, q := range questions {
		if _, err := stream.Write(protocol.AppendRequestFrame(nil, q.request)); err != nil {
			return err
		}
	}
	return stream.CloseWrite()
}

// read reads the answer to a request.
func read(r *bufio.Reader, req protocol.Request) (protocol.Response, error) {
	msg, err := protocol.ReadFrame(r, protocol.MaxFrame)
	if err != nil {
		return protocol.Response{}, err
	}
	return protocol.ParseResponse(req, msg)
}
