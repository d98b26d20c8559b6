package protocol

import (
	"bytes"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"github.com/go-kad/kad/pb"
)

// specMessage returns the type of messages without the fields that are ours: the
// schema of the specification, which others have.
func specMessage(t testing.TB) protoreflect.MessageType {
	t.Helper()
	file := protodesc.ToFileDescriptorProto(pb.File_kad_dht_proto)
	i := slices.IndexFunc(file.MessageType, func(m *descriptorpb.DescriptorProto) bool { return m.GetName() == "Message" })
	j := slices.IndexFunc(file.MessageType[i].NestedType, func(m *descriptorpb.DescriptorProto) bool { return m.GetName() == "Peer" })
	ours := 0
	for _, m := range []*descriptorpb.DescriptorProto{file.MessageType[i], file.MessageType[i].NestedType[j]} {
		count := len(m.Field)
		m.Field = slices.DeleteFunc(m.Field, func(f *descriptorpb.FieldDescriptorProto) bool { return f.GetNumber() > 1000 })
		ours += count - len(m.Field)
	}
	if ours != 3 {
		t.Fatalf("%d fields are ours, want 3", ours)
	}
	desc, err := protodesc.NewFile(file, protoregistry.GlobalFiles)
	if err != nil {
		t.Fatal(err)
	}
	return dynamicpb.NewMessageType(desc.Messages().ByName("Message"))
}

// readByOthers returns what others read from msg, encoded again.
func readByOthers(t testing.TB, spec protoreflect.MessageType, msg []byte) []byte {
	t.Helper()
	m := spec.New().Interface()
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(msg, m); err != nil {
		t.Fatalf("%x: %v", msg, err)
	}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// withoutExtensions returns r without what others do not have.
func withoutExtensions(r Request) Request {
	switch r := r.(type) {
	case PutValue:
		r.More = nil
		return r
	case AddProvider:
		r.Proof = nil
		r.Providers = withoutCertified(r.Providers)
		return r
	case FindNode, GetValue, GetProviders, Ping:
	}
	return r
}

// withoutCertified returns peers without what they have certified.
func withoutCertified(peers []Peer) []Peer {
	peers = slices.Clone(peers)
	for i := range peers {
		peers[i].Certified = nil
	}
	return peers
}

// Others read of a message with our fields what they read without them.
func TestOthersIgnoreExtensions(t *testing.T) {
	spec := specMessage(t)
	rec := testRecord()
	peers := certifiedPeers(t)
	plain := withoutCertified(peers)
	longer := 0
	for _, req := range requestsOfAllTypes(t) {
		for _, tt := range []struct{ with, without []byte }{
			{MarshalRequest(req), MarshalRequest(withoutExtensions(req))},
			{
				AppendResponse(nil, req, Response{peers, peers, &rec, testMore()}),
				AppendResponse(nil, withoutExtensions(req), Response{Closer: plain, Providers: plain, Record: &rec}),
			},
		} {
			if got := readByOthers(t, spec, tt.with); !bytes.Equal(got, tt.without) {
				t.Errorf("%T: others read %x, want %x", req, got, tt.without)
			}
			if len(tt.with) > len(tt.without) {
				longer++
			}
		}
	}
	if longer != 5 {
		t.Errorf("%d messages have fields of ours, want PUT_VALUE, ADD_PROVIDER and the answers with peers", longer)
	}
}

// Our fields in what others recorded change nothing for others, and for us
// only what they are for.
func TestVectorsWithExtensions(t *testing.T) {
	spec := specMessage(t)
	extend := func(msg []byte) []byte {
		msg = appendMore(slices.Clone(msg), nil, []Record{{Value: []byte("more")}})
		return appendBytes(msg, fieldProof, []byte("proof"))
	}
	var puts, adds, gets int
	for name, v := range loadVectors(t) {
		msg, err := readOne(frameBytes(t, v.Request, v.Decoded.Request))
		if err != nil {
			continue // TestVectors says why
		}
		req, err := ParseRequest(msg)
		if err != nil {
			continue
		}
		if got, want := readByOthers(t, spec, extend(msg)), readByOthers(t, spec, msg); !bytes.Equal(got, want) {
			t.Errorf("%s: others read %.200x, want %.200x", name, got, want)
		}
		got, err := ParseRequest(extend(msg))
		if put, ok := req.(PutValue); ok && len(put.Record.Value)+len("more") <= MaxValue {
			puts++
			put.More = []Record{{Key: put.Record.Key, Value: []byte("more")}}
			req = put
		} else if ok {
			continue // no room
		}
		if add, ok := req.(AddProvider); ok {
			adds++
			add.Proof = []byte("proof")
			req = add
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		checkEqual(t, got, req)

		if v.Response == "" {
			continue
		}
		if msg, err = readOne(frameBytes(t, v.Response, v.Decoded.Response)); err != nil {
			continue
		}
		resp, err := ParseResponse(req, msg)
		if err != nil {
			continue
		}
		if get, ok := req.(GetValue); ok && resp.Record != nil && len(resp.Record.Value)+len("more") <= MaxValue {
			gets++
			resp.More = []Record{{Key: get.Key, Value: []byte("more")}}
		}
		gotResp, err := ParseResponse(req, extend(msg))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		checkEqual(t, gotResp, resp)
	}
	if puts < 5 || adds < 5 || gets < 5 {
		t.Errorf("%d puts, %d announcements, %d gets: too few to tell", puts, adds, gets)
	}
}
