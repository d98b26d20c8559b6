package protocol

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/go-kad/kad/pb"
)

// vector is a recorded exchange: see testdata/vectors/README.md.
type vector struct {
	Request  string `json:"request_hex"`
	Response string `json:"response_hex"`
	Decoded  struct {
		Request, Response *vectorMessage
	}
}

type vectorBytes struct {
	Hex string
	Len int
}

func (b *vectorBytes) bytes(t testing.TB) []byte {
	if b == nil {
		return nil
	}
	if strings.HasSuffix(b.Hex, "(truncated)") {
		return bytes.Repeat([]byte("x"), b.Len) // all of the large ones are
	}
	return unhex(t, b.Hex)
}

type vectorPeer struct {
	ID         string
	Addrs      []string
	Connection Connection
}

type vectorMessage struct {
	Type          any // a name, or a number that has none
	Key           *vectorBytes
	Record        *vectorRecord
	CloserPeers   []vectorPeer
	ProviderPeers []vectorPeer

	ClusterLevelRaw int32
}

type vectorRecord struct {
	Key, Value   *vectorBytes
	TimeReceived string
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// kind returns the message's type, -1 for one that has no name.
func (m *vectorMessage) kind() kind {
	name, _ := m.Type.(string)
	name, _, _ = strings.Cut(name, " ") // "PUT_VALUE (field absent)"
	if n, ok := pb.Message_MessageType_value[name]; ok {
		return kind(n)
	}
	return -1
}

// request returns the request that m is, if it were accepted.
func (m *vectorMessage) request(t testing.TB) Request {
	key := m.Key.bytes(t)
	switch m.kind() {
	case pb.Message_FIND_NODE:
		return FindNode{key}
	case pb.Message_GET_VALUE:
		return GetValue{key}
	case pb.Message_PUT_VALUE:
		put := PutValue{}
		if m.Record != nil {
			put.Record = *m.Record.record(t)
		}
		return put
	case pb.Message_GET_PROVIDERS:
		return GetProviders{key}
	case pb.Message_ADD_PROVIDER:
		return AddProvider{Key: key, Providers: wantPeers(t, m.ProviderPeers)}
	case pb.Message_PING:
		return Ping{}
	}
	return nil
}

func (m *vectorMessage) response(t testing.TB) Response {
	return Response{
		Closer:    wantPeers(t, m.CloserPeers),
		Providers: wantPeers(t, m.ProviderPeers),
		Record:    m.Record.record(t),
	}
}

func (r *vectorRecord) record(t testing.TB) *Record {
	if r == nil {
		return nil
	}
	rec := &Record{Key: r.Key.bytes(t), Value: r.Value.bytes(t)}
	if at, err := time.Parse(time.RFC3339, r.TimeReceived); err == nil {
		rec.TimeReceived = at
	}
	return rec
}

// wantPeers is what is to be made of recorded peers: the rules for duplicates
// and addresses, applied to strings.
func wantPeers(t testing.TB, recorded []vectorPeer) []Peer {
	var peers []Peer
	for _, r := range recorded {
		id, err := peer.Decode(r.ID)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(peers, func(p Peer) bool { return p.ID == id }) {
			continue
		}
		p := Peer{ID: id, Connection: r.Connection}
		for _, s := range r.Addrs {
			s = strings.TrimSuffix(s, "/p2p/"+r.ID)
			if strings.HasPrefix(s, "invalid") || strings.Contains(s, "/p2p/") {
				continue
			}
			p.Addrs = append(p.Addrs, addr(t, s))
		}
		peers = append(peers, p)
	}
	return peers
}

// frameBytes returns the bytes of a recorded frame. Those of frames over 64 KiB
// were cut: they are made again, from the description, of the size and with the
// first bytes that were recorded.
func frameBytes(t testing.TB, s string, m *vectorMessage) []byte {
	start, cut, ok := strings.Cut(s, "...(")
	b := unhex(t, start)
	if !ok {
		return b
	}
	whole := AppendFrame(nil, m.pb(t))
	if want := fmt.Sprintf("%d bytes in all)", len(whole)); cut != want || !bytes.HasPrefix(whole, b) {
		t.Fatalf("made %s of %s", want, cut)
	}
	return whole
}

// pb returns the message that m describes, encoded by the generated code.
func (m *vectorMessage) pb(t testing.TB) []byte {
	msg := &pb.Message{
		Type:            m.kind(),
		Key:             m.Key.bytes(t),
		ClusterLevelRaw: m.ClusterLevelRaw,
	}
	if r := m.Record; r != nil {
		msg.Record = &pb.Record{Key: r.Key.bytes(t), Value: r.Value.bytes(t), TimeReceived: r.TimeReceived}
	}
	for _, p := range m.CloserPeers {
		id, err := peer.Decode(p.ID)
		if err != nil {
			t.Fatal(err)
		}
		q := &pb.Message_Peer{Id: []byte(id), Connection: pb.Message_ConnectionType(p.Connection)}
		for _, a := range p.Addrs {
			q.Addrs = append(q.Addrs, addr(t, a).Bytes())
		}
		msg.CloserPeers = append(msg.CloserPeers, q)
	}
	b, err := proto.Marshal(msg)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func loadVectors(t testing.TB) map[string]vector {
	t.Helper()
	files, err := filepath.Glob("testdata/vectors/*.json")
	if err != nil || len(files) < 200 {
		t.Fatalf("found %d vectors: %v", len(files), err)
	}
	vectors := make(map[string]vector, len(files))
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var v vector
		if err := json.Unmarshal(b, &v); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		vectors[strings.TrimSuffix(filepath.Base(file), ".json")] = v
	}
	return vectors
}

// refusedVectors are the recorded messages that are not accepted, of Go and of
// JavaScript alike: without go- and js- before their names.
var refusedVectors = map[string]error{
	// No key. Go and JavaScript refuse these too, but JavaScript answers the
	// empty key of FIND_NODE.
	"server-add-provider-no-key request":     ErrMalformed,
	"server-empty-message request":           ErrMalformed,
	"server-find-node-empty-key request":     ErrMalformed,
	"server-find-node-no-key request":        ErrMalformed,
	"server-get-providers-empty-key request": ErrMalformed,
	"server-get-providers-no-key request":    ErrMalformed,
	"server-get-value-empty-key request":     ErrMalformed,
	"server-get-value-no-key request":        ErrMalformed,

	// No message, or none of this protocol.
	"server-garbage request":      ErrMalformed,
	"server-unknown-type request": ErrMalformed,

	// No record, or one of another key than the message. JavaScript accepts the
	// first of these.
	"server-put-value-key-mismatch request":         ErrMalformed,
	"server-put-value-no-record request":            ErrMalformed,
	"server-put-value-no-record-key request":        ErrMalformed,
	"client-get-canned-nokey-get-value response":    ErrMalformed,
	"client-get-canned-otherkey-get-value response": ErrMalformed,

	// Over MaxProviderKey. Go and JavaScript refuse it too.
	"server-get-providers-81-bytes request": ErrTooLarge,

	// Over MaxValue. These were made to find the limits of others.
	"server-size-put-2097152 request":  ErrTooLarge,
	"server-size-put-2097152 response": ErrTooLarge,
	"server-size-put-4194104 request":  ErrTooLarge,
	"server-size-put-4194104 response": ErrTooLarge,
	"server-size-get-2097152 response": ErrTooLarge,

	// Over MaxFrame. The answer is what others send for a value that they took
	// just below the limit: no client of theirs reads it either.
	"server-size-get-4194104 response": ErrTooLarge,
	"server-size-put-4194304 request":  ErrTooLarge,
	"server-size-put-4198400 request":  ErrTooLarge,
	"server-size-put-5242880 request":  ErrTooLarge,
}

// TestVectors reads every recorded frame. Each is what its description says, or
// is refused for the reason in refusedVectors.
func TestVectors(t *testing.T) {
	used := map[string]bool{}
	check := func(t *testing.T, name string, err error) bool {
		name = name[len("go-"):]
		want, refused := refusedVectors[name]
		used[name] = true
		if !refused {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			return err == nil
		}
		if !errors.Is(err, want) {
			t.Errorf("%s: error %v, want %v", name, err, want)
		}
		return false
	}
	for name, v := range loadVectors(t) {
		t.Run(name, func(t *testing.T) {
			m := v.Decoded.Request
			msg, err := readOne(frameBytes(t, v.Request, m))
			if err == nil {
				var got Request
				if got, err = ParseRequest(msg); err == nil {
					checkEqual(t, got, m.request(t))
				}
			}
			check(t, name+" request", err)

			m = v.Decoded.Response
			if v.Response == "" {
				return
			}
			var got Response
			req := v.Decoded.Request.request(t)
			if msg, err = readOne(frameBytes(t, v.Response, m)); err == nil {
				got, err = ParseResponse(req, msg)
			}
			if check(t, name+" response", err) {
				checkEqual(t, got, m.response(t))
			}
		})
	}
	for name := range refusedVectors {
		if !used[name] {
			t.Errorf("there is no %s", name)
		}
	}
}

// readOne reads one frame, and nothing may follow it.
func readOne(b []byte) ([]byte, error) {
	r := bufio.NewReader(bytes.NewReader(b))
	msg, err := ReadFrame(r, MaxFrame)
	if err != nil {
		return nil, err
	}
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, errors.New("trailing bytes")
	}
	return msg, nil
}
