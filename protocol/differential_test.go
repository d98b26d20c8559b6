package protocol

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/go-kad/kad/pb"
)

// checkOpen compares what open makes of any bytes with what the generated code
// makes of them. That is stricter in two ways: a string has to be UTF-8, and the
// peers have to be messages. open does without large groups, and what comes after many fields.
func checkOpen(t rapid.TB, msg []byte) {
	t.Helper()
	if !countable(msg) {
		return
	}
	var want pb.Message
	err := proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(msg, &want)
	var got envelope
	ok := got.open(msg, maxRequestFields)
	if err != nil {
		return
	}
	if !ok || got.badRecord {
		t.Fatalf("%x is a message, but is refused", msg)
	}
	if got.kind != want.GetType() || !bytes.Equal(got.key, want.GetKey()) || got.hasRecord != (want.GetRecord() != nil) {
		t.Fatalf("%x is read as %+v, want %v", msg, got, &want)
	}
	r, w := got.record, want.GetRecord()
	if !bytes.Equal(r.key, w.GetKey()) || !bytes.Equal(r.value, w.GetValue()) || string(r.time) != w.GetTimeReceived() ||
		!bytes.Equal(r.publisher, w.GetPublisher()) || r.ttl != w.GetTtl() {
		t.Fatalf("%x has the record %+v, want %v", msg, r, w)
	}
	values := 0
	for _, m := range want.GetMoreRecords() {
		values += len(m.GetValue())
	}
	if got.more != len(want.GetMoreRecords()) || got.moreValues != values || !bytes.Equal(got.proof, want.GetProof()) {
		t.Fatalf("%x has %d further records with %d bytes and the proof %x, want %v", msg, got.more, got.moreValues, got.proof, &want)
	}
}

// countable reports whether a message has no large group, and no more fields than are looked at in a
// record, nor have the messages in it.
func countable(msg []byte) bool {
	count := 0
	for ; len(msg) > 0; count++ {
		num, typ, n := protowire.ConsumeField(msg)
		if n < 0 {
			return true // no message: both see it
		}
		if typ == protowire.StartGroupType && n > maxGroup || count == maxRecordFields {
			return false
		}
		if num == fieldRecord || num == fieldMore {
			_, _, tag := protowire.ConsumeTag(msg)
			if v, m := protowire.ConsumeBytes(msg[tag:n]); m >= 0 && !countable(v) {
				return false
			}
		}
		msg = msg[n:]
	}
	return true
}

// oraclePeers is what parsePeers is to make of peers, below the limits, written
// without care for what it costs.
func oraclePeers(list []*pb.Message_Peer) []Peer {
	var peers []Peer
	for _, q := range list {
		id := peer.ID(q.GetId())
		if !validID(q.GetId()) || slices.ContainsFunc(peers, func(p Peer) bool { return p.ID == id }) {
			continue
		}
		p := Peer{ID: id, Certified: clone(q.GetCertified())}
		if c := q.GetConnection(); 0 <= c && c <= 3 {
			p.Connection = Connection(c)
		}
		for _, b := range q.GetAddrs() {
			a, err := multiaddr.NewMultiaddrBytes(b)
			if err != nil {
				continue
			}
			transport, last := peer.SplitAddr(a)
			through := strings.Contains(transport.String()+"/", "/p2p/"+id.String()+"/")
			if last != "" && last != id || len(transport) == 0 || through {
				continue
			}
			if !slices.ContainsFunc(p.Addrs, transport.Equal) {
				p.Addrs = append(p.Addrs, transport)
			}
		}
		peers = append(peers, p)
	}
	return peers
}

// Generators of messages, valid and nearly so.
func genBytes(maxLen int) *rapid.Generator[[]byte] { return rapid.SliceOfN(rapid.Byte(), 0, maxLen) }

func genID() *rapid.Generator[[]byte] {
	return rapid.OneOf(
		rapid.Map(rapid.IntRange(0, 9), func(i int) []byte { return []byte(testID(i)) }),
		rapid.Map(rapid.SliceOfN(rapid.Byte(), 32, 32), func(b []byte) []byte { return append([]byte(sha256Prefix), b...) }),
		genBytes(40),
	)
}

func genAddr(t *rapid.T, id []byte) []byte {
	s := rapid.SampledFrom([]string{
		"/ip4/192.0.2.1/tcp/4001", "/ip6/2001:db8::1/udp/4001/quic-v1", "/dns4/example.com/tcp/443/tls/ws", "/p2p-circuit",
		"/p2p/" + testID(3).String() + "/p2p-circuit",
	}).Draw(t, "addr")
	b := addr(t, s).Bytes()
	switch rapid.IntRange(0, 4).Draw(t, "suffix") {
	case 0:
		b = append(b, addr(t, "/p2p/"+testID(1).String()).Bytes()...)
	case 1:
		b = append(append(b, 0xa5, 0x03, byte(len(id))), id...)
	case 2:
		b = append(b, genBytes(3).Draw(t, "junk")...)
	}
	return b
}

func genPeers(t *rapid.T) []*pb.Message_Peer {
	peers := make([]*pb.Message_Peer, rapid.IntRange(0, 5).Draw(t, "peers"))
	for i := range peers {
		id := genID().Draw(t, "id")
		peers[i] = &pb.Message_Peer{Id: id, Connection: pb.Message_ConnectionType(rapid.Int32Range(-2, 5).Draw(t, "connection"))}
		peers[i].Certified = genBytes(20).Draw(t, "certified")
		for range rapid.IntRange(0, 4).Draw(t, "addrs") {
			peers[i].Addrs = append(peers[i].Addrs, genAddr(t, id))
		}
	}
	return peers
}

func genMessage(t *rapid.T) *pb.Message {
	key := genBytes(20).Draw(t, "key")
	m := &pb.Message{
		Type:            pb.Message_MessageType(rapid.Int32Range(-1, 7).Draw(t, "type")),
		Key:             key,
		ClusterLevelRaw: rapid.Int32().Draw(t, "level"),
		CloserPeers:     genPeers(t),
		ProviderPeers:   genPeers(t),
	}
	if rapid.Bool().Draw(t, "record") {
		m.Record = genRecord(t, key)
	}
	for range rapid.IntRange(0, 3).Draw(t, "more") {
		r := genRecord(t, key)
		if rapid.Bool().Draw(t, "left out") {
			r.Key = nil
		}
		m.MoreRecords = append(m.MoreRecords, r)
	}
	m.Proof = genBytes(20).Draw(t, "proof")
	return m
}

func genRecord(t *rapid.T, key []byte) *pb.Record {
	return &pb.Record{
		Key:          rapid.OneOf(rapid.Just(key), genBytes(3)).Draw(t, "record key"),
		Value:        genBytes(20).Draw(t, "value"),
		TimeReceived: rapid.SampledFrom([]string{"", "now", "2026-11-23T04:11:05.5Z", "2026-11-23T04:11:05+01:00"}).Draw(t, "time"),
		Publisher:    genBytes(MaxPublisher).Draw(t, "publisher"),
		Ttl:          rapid.Uint32().Draw(t, "ttl"),
	}
}

func oracleRecord(r *pb.Record) *Record {
	at, err := time.Parse(time.RFC3339, r.GetTimeReceived())
	if err != nil {
		at = time.Time{}
	}
	return &Record{r.GetKey(), r.GetValue(), at.UTC(), r.GetPublisher(), time.Duration(r.GetTtl()) * time.Second}
}

// oracleMore is what parseMore is to make of records, below the limits.
func oracleMore(key []byte, list []*pb.Record) []Record {
	var more []Record
	for _, r := range list {
		if len(r.GetKey()) == 0 || bytes.Equal(r.GetKey(), key) {
			rec := oracleRecord(r)
			rec.Key = key
			more = append(more, *rec)
		}
	}
	return more
}

// What the generated code writes, we read: as its reader does, and by the rules.
func TestReadsGeneratedMessages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := genMessage(t)
		msg, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		checkOpen(t, msg)

		record := oracleRecord(m.Record)
		closer, providers := oraclePeers(m.CloserPeers), oraclePeers(m.ProviderPeers)
		more := oracleMore(m.Key, m.MoreRecords)
		ownRecord := m.Record != nil && bytes.Equal(record.Key, m.Key)

		var want Request
		switch hasKey := len(m.Key) > 0; {
		case m.Type == pb.Message_PING:
			want = Ping{}
		case !hasKey:
		case m.Type == pb.Message_PUT_VALUE && ownRecord && len(more) == len(m.MoreRecords):
			want = PutValue{*record, more}
		case m.Type == pb.Message_GET_VALUE:
			want = GetValue{m.Key}
		case m.Type == pb.Message_ADD_PROVIDER:
			want = AddProvider{m.Key, providers, m.Proof}
		case m.Type == pb.Message_GET_PROVIDERS:
			want = GetProviders{m.Key}
		case m.Type == pb.Message_FIND_NODE:
			want = FindNode{m.Key}
		}
		req, err := ParseRequest(msg)
		if (want == nil) != (err != nil) {
			t.Fatalf("ParseRequest() = %v, %v; want %v", req, err, want)
		}
		checkEqual(t, req, want)

		// The same message as an answer.
		if want == nil {
			return
		}
		var wantResp Response
		if hasCloser(m.Type) {
			wantResp.Closer = closer
		}
		if m.Type == pb.Message_GET_PROVIDERS {
			wantResp.Providers = providers
		}
		needsRecord := m.Type == pb.Message_GET_VALUE || m.Type == pb.Message_PUT_VALUE
		if needsRecord && ownRecord {
			wantResp.Record = record
			if m.Type == pb.Message_GET_VALUE {
				wantResp.More = more
			}
		}
		resp, err := ParseResponse(want, msg)
		if wantErr := needsRecord && m.Record != nil && !ownRecord; wantErr != (err != nil) {
			t.Fatalf("ParseResponse() = %v, %v; want an error: %v", resp, err, wantErr)
		}
		if err == nil {
			checkEqual(t, resp, wantResp)
		}
	})
}

// What we write, the generated code reads, and would have written itself.
func TestWritesGeneratedMessages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := genMessage(t)
		closer, providers := oraclePeers(m.CloserPeers), oraclePeers(m.ProviderPeers)
		if len(m.Key) == 0 {
			m.Key = []byte("k")
		}
		record := oracleRecord(m.Record)
		record.Key = m.Key
		wireRecord := pbRecord(*record)
		more := oracleMore(m.Key, m.MoreRecords)
		var wireMore []*pb.Record
		for _, r := range more {
			r.Key = nil
			wireMore = append(wireMore, pbRecord(r))
		}
		wireCloser, wireProviders := pbPeers(closer), pbPeers(providers)

		for _, tt := range []struct {
			give                Request
			wantReq, wantAnswer *pb.Message
		}{
			{FindNode{m.Key}, &pb.Message{Key: m.Key}, &pb.Message{CloserPeers: wireCloser}},
			{GetValue{m.Key}, &pb.Message{Key: m.Key}, &pb.Message{Key: m.Key, Record: wireRecord, CloserPeers: wireCloser, MoreRecords: wireMore}},
			{PutValue{*record, more}, &pb.Message{Key: m.Key, Record: wireRecord, MoreRecords: wireMore}, &pb.Message{Key: m.Key, Record: wireRecord}},
			{GetProviders{m.Key}, &pb.Message{Key: m.Key}, &pb.Message{Key: m.Key, CloserPeers: wireCloser, ProviderPeers: wireProviders}},
			{AddProvider{m.Key, providers, m.Proof}, &pb.Message{Key: m.Key, ProviderPeers: wireProviders, Proof: m.Proof}, &pb.Message{Key: m.Key}},
			{Ping{}, &pb.Message{}, &pb.Message{}},
		} {
			tt.wantReq.Type, tt.wantAnswer.Type = kindOf(tt.give), kindOf(tt.give)
			checkWritten(t, AppendRequest(nil, tt.give), tt.wantReq)
			checkWritten(t, AppendResponse(nil, tt.give, Response{closer, providers, record, more}), tt.wantAnswer)
		}
	})
}

func pbRecord(r Record) *pb.Record {
	w := &pb.Record{Key: r.Key, Value: r.Value, Publisher: r.Publisher, Ttl: uint32(r.TTL / time.Second)}
	if !r.TimeReceived.IsZero() {
		w.TimeReceived = r.TimeReceived.Format("2006-01-02T15:04:05.000000000Z")
	}
	return w
}

func pbPeers(peers []Peer) []*pb.Message_Peer {
	var list []*pb.Message_Peer
	for _, p := range peers {
		q := &pb.Message_Peer{Id: []byte(p.ID), Connection: pb.Message_ConnectionType(p.Connection), Certified: p.Certified}
		for _, a := range p.Addrs {
			q.Addrs = append(q.Addrs, a.Bytes())
		}
		list = append(list, q)
	}
	return list
}

func checkWritten(t rapid.TB, got []byte, want *pb.Message) {
	t.Helper()
	var m pb.Message
	if err := proto.Unmarshal(got, &m); err != nil {
		t.Fatalf("%x: %v", got, err)
	}
	if !proto.Equal(&m, want) {
		t.Fatalf("wrote %v, want %v", &m, want)
	}
	canonical, err := (proto.MarshalOptions{Deterministic: true}).Marshal(want)
	same := bytes.Equal(got, canonical)
	if slices.ContainsFunc(append(want.CloserPeers, want.ProviderPeers...), func(p *pb.Message_Peer) bool { return len(p.Certified) > 0 }) {
		same = len(got) == len(canonical) // it stands before the addresses, not after them
	}
	if err != nil || !same {
		t.Fatalf("wrote %x, want %x (%v)", got, canonical, err)
	}
}

// Any bytes: cut, overwritten or random ones.
func TestReadsAnyBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		msg, err := proto.Marshal(genMessage(t))
		if err != nil {
			t.Fatal(err)
		}
		if len(msg) > 0 {
			msg = msg[:rapid.IntRange(0, len(msg)).Draw(t, "cut")]
		}
		for range rapid.IntRange(0, 3).Draw(t, "changes") {
			if len(msg) > 0 {
				msg[rapid.IntRange(0, len(msg)-1).Draw(t, "at")] = rapid.Byte().Draw(t, "byte")
			}
		}
		msg = append(msg, genBytes(10).Draw(t, "tail")...)
		checkOpen(t, msg)
		checkParsers(t, msg)
	})
}
