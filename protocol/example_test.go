package protocol_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/protocol"
)

// A client writes a request and a server reads it. Here the stream is a buffer.
func ExampleReadFrame() {
	stream := bytes.NewBuffer(protocol.AppendRequestFrame(nil, protocol.GetValue{Key: []byte("/v/key")}))

	msg, err := protocol.ReadFrame(bufio.NewReader(stream), protocol.MaxFrame)
	if err != nil {
		fmt.Println(err)
		return
	}
	req, err := protocol.ParseRequest(msg)
	if err != nil {
		fmt.Println(err)
		return
	}
	switch req := req.(type) {
	case protocol.GetValue:
		fmt.Printf("asked for the value of %s\n", req.Key)
	default:
		fmt.Printf("asked for something else: %T\n", req)
	}
	// Output: asked for the value of /v/key
}

// A response is read as the answer to its request.
func ExampleParseResponse() {
	id, err := peer.Decode("12D3KooWMt5FHExoUkNhbiK4xv9FaEJxRXNABDntyQ5UbG8Lx87w")
	if err != nil {
		fmt.Println(err)
		return
	}
	req := protocol.FindNode{Target: []byte(id)}
	msg := protocol.AppendResponse(nil, req, protocol.Response{
		Closer: []protocol.Peer{{
			ID:         id,
			Addrs:      []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/192.0.2.1/udp/4001/quic-v1")},
			Connection: protocol.Connected,
		}},
	})

	resp, err := protocol.ParseResponse(req, msg)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, p := range resp.Closer {
		fmt.Println(p.ID, p.Addrs)
	}
	_, err = protocol.ParseResponse(protocol.Ping{}, msg)
	fmt.Println(errors.Is(err, protocol.ErrMalformed))
	// Output:
	// 12D3KooWMt5FHExoUkNhbiK4xv9FaEJxRXNABDntyQ5UbG8Lx87w [/ip4/192.0.2.1/udp/4001/quic-v1]
	// true
}

// A server answers with peers that it encoded when it learnt of them.
func ExampleAppendEncodedResponseFrame() {
	id, err := peer.Decode("12D3KooWMt5FHExoUkNhbiK4xv9FaEJxRXNABDntyQ5UbG8Lx87w")
	if err != nil {
		fmt.Println(err)
		return
	}
	wire := protocol.AppendPeer(nil, protocol.Peer{
		ID:    id,
		Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/192.0.2.1/tcp/4001")},
	})

	buf := make([]byte, 0, 4096) // many answers use it, one after the other
	closer := []protocol.EncodedPeer{{Wire: wire, Connection: protocol.Connected}}
	frame := protocol.AppendEncodedResponseFrame(buf, protocol.FindNode{Target: []byte("key")}, nil, closer, nil)
	fmt.Println(len(wire), len(frame))
	// Output: 50 57
}

func ExampleSplitKey() {
	ns, rest, ok := protocol.SplitKey([]byte("/v/name"))
	fmt.Println(ns, string(rest), ok)
	// Output: v name true
}

func ExampleCheck() {
	err := protocol.Check(protocol.PutValue{Record: protocol.Record{
		Key:   []byte("/v/film"),
		Value: make([]byte, 2<<20),
	}})
	fmt.Println(err)
	// Output: kad: message is too large: PUT_VALUE with 2097152 bytes of value, limit is 1048576
}
