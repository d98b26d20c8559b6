package protocol_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/protocol"
)

// somePeer is the ID of a peer.
const somePeer = "12D3KooWMt5FHExoUkNhbiK4xv9FaEJxRXNABDntyQ5UbG8Lx87w"

// Each of the six requests is a type.
func ExampleRequest() {
	record := protocol.Record{Key: []byte("/v/key"), Value: []byte("value"), TTL: 48 * time.Hour}
	for _, req := range []protocol.Request{
		protocol.FindNode{Target: []byte("key")},
		protocol.GetValue{Key: record.Key},
		protocol.PutValue{Record: record},
		protocol.GetProviders{Key: []byte("multihash")},
		protocol.AddProvider{Key: []byte("multihash"), Providers: []protocol.Peer{{ID: peer.ID("\x00\x01a")}}},
		protocol.Ping{},
	} {
		back, err := protocol.ParseRequest(protocol.MarshalRequest(req))
		fmt.Printf("%T %v %v\n", back, protocol.Check(back), err)
	}
	// Output:
	// protocol.FindNode <nil> <nil>
	// protocol.GetValue <nil> <nil>
	// protocol.PutValue <nil> <nil>
	// protocol.GetProviders <nil> <nil>
	// protocol.AddProvider <nil> <nil>
	// protocol.Ping <nil> <nil>
}

// A server answers a request, and the client reads the answer. AppendResponse and
// AppendEncodedResponse append the same without the length of a frame.
func ExampleAppendResponseFrame() {
	req := protocol.GetValue{Key: []byte("/v/key")}
	stream := bytes.NewBuffer(protocol.AppendResponseFrame(nil, req, protocol.Response{
		Record: &protocol.Record{Key: req.Key, Value: []byte("value")},
	}))

	msg, err := protocol.ReadFrame(bufio.NewReader(stream), protocol.MaxFrame)
	if err != nil {
		fmt.Println(err)
		return
	}
	resp, err := protocol.ParseResponse(req, msg)
	fmt.Printf("%s %v\n", resp.Record.Value, err)
	fmt.Println(bytes.Equal(msg, protocol.AppendEncodedResponse(nil, req, []protocol.Record{*resp.Record}, nil, nil)))
	// Output:
	// value <nil>
	// true
}

// A server reads many requests with one buffer, and says what it may hold. Frames are bytes
// with their length in front.
func ExampleReadFrameWithin() {
	stream := bufio.NewReader(bytes.NewReader(protocol.AppendFrame(protocol.AppendFrame(nil, []byte("short")), make([]byte, 10_000))))

	var buf []byte
	buf, err := protocol.ReadFrameInto(stream, buf, protocol.MaxFrame)
	fmt.Println(len(buf), err)
	errMemory := errors.New("no memory is left")
	_, err = protocol.ReadFrameWithin(stream, buf, protocol.MaxFrame, func(size int) error {
		if size > 8192 {
			return errMemory
		}
		return nil
	})
	fmt.Println(errors.Is(err, errMemory))
	// Output:
	// 5 <nil>
	// true
}

// A peer announces many keys, with the same addresses each time.
func ExampleRequestParser() {
	id, err := peer.Decode(somePeer)
	if err != nil {
		fmt.Println(err)
		return
	}
	self := protocol.Peer{ID: id, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/192.0.2.1/tcp/4001")}}
	var parser protocol.RequestParser
	for _, key := range []string{"one", "two"} {
		req, err := parser.Parse(protocol.AppendRequest(nil, protocol.AddProvider{Key: []byte(key), Providers: []protocol.Peer{self}}))
		if err != nil {
			fmt.Println(err)
			return
		}
		add := req.(protocol.AddProvider)
		fmt.Printf("%s is provided at %s\n", add.Key, add.Providers[0].Addrs)
	}
	// Output:
	// one is provided at [/ip4/192.0.2.1/tcp/4001]
	// two is provided at [/ip4/192.0.2.1/tcp/4001]
}

// What one peer says of another. An address that ends in the ID is written without it.
func ExamplePeer() {
	id, err := peer.Decode(somePeer)
	if err != nil {
		fmt.Println(err)
		return
	}
	wire := protocol.AppendPeer(nil, protocol.Peer{
		ID:         id,
		Addrs:      []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/192.0.2.1/tcp/4001/p2p/" + somePeer)},
		Connection: protocol.CanConnect,
	})
	p, err := protocol.ParsePeer(wire)
	fmt.Println(p.Addrs, p.Connection == protocol.CanConnect, err)
	// Output: [/ip4/192.0.2.1/tcp/4001] true <nil>
}

// The keys of the records that all networks know.
func ExampleIPNSKey() {
	id, err := peer.Decode(somePeer)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, key := range [][]byte{protocol.IPNSKey(id), protocol.PublicKeyKey(id)} {
		ns, ok := protocol.Namespace(key)
		_, rest, _ := protocol.CutNamespace(key)
		fmt.Println(ns, peer.ID(rest) == id, ok)
	}
	// Output:
	// ipns true true
	// pk true true
}

// Bytes with their length in front, one after the other.
func ExampleCutBytes() {
	list := protocol.AppendBytes(protocol.AppendBytes(nil, []byte("one")), []byte("two"))
	for value, rest, ok := protocol.CutBytes(list); ok; value, rest, ok = protocol.CutBytes(rest) {
		fmt.Printf("%s\n", value)
	}
	// Output:
	// one
	// two
}

// How much of an answer is read depends on what was asked.
func ExampleMaxResponse() {
	fmt.Println("FIND_NODE:", protocol.MaxResponse(protocol.FindNode{Target: []byte("peer")}))
	fmt.Println("GET_VALUE:", protocol.MaxResponse(protocol.GetValue{Key: []byte("/v/key")}) == protocol.MaxFrame)
	// Output:
	// FIND_NODE: 589824
	// GET_VALUE: true
}

// A peer sends two announcements in one message, and is told what became of each.
func ExampleAppendManyFrame() {
	id, err := peer.Decode(somePeer)
	if err != nil {
		fmt.Println(err)
		return
	}
	self := []protocol.Peer{{ID: id, Addrs: []multiaddr.Multiaddr{multiaddr.StringCast("/ip4/192.0.2.1/tcp/4001")}}}
	sent := protocol.AppendManyFrame(nil, []protocol.Request{
		protocol.AddProvider{Key: []byte("one"), Providers: self},
		protocol.AddProvider{Key: []byte("two"), Providers: self},
	})

	// The holder stores the first one, and refuses the second.
	msg, err := protocol.ReadFrame(bufio.NewReader(bytes.NewReader(sent)), protocol.MaxFrame)
	if err != nil {
		fmt.Println(err)
		return
	}
	requests, err := protocol.SplitMany(msg)
	if err != nil {
		fmt.Println(err)
		return
	}
	var parser protocol.RequestParser
	var codes []uint32
	for i, request := range requests {
		req, err := parser.Parse(request)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s\n", req.(protocol.AddProvider).Key)
		codes = append(codes, uint32(i))
	}
	answer := protocol.AppendOutcomesFrame(nil, codes)

	msg, err = protocol.ReadFrame(bufio.NewReader(bytes.NewReader(answer)), protocol.MaxFrame)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(protocol.ParseOutcomes(msg, len(requests)))
	// Output:
	// one
	// two
	// [0 1] <nil>
}
