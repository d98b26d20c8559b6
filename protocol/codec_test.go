package protocol

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// requestsOfAllTypes has one request of each type, with every field set.
func requestsOfAllTypes(t testing.TB) []Request {
	return []Request{
		FindNode{[]byte("target")},
		GetValue{[]byte("/v/key")},
		PutValue{testRecord(), testMore()},
		GetProviders{[]byte("\x12\x20hash")},
		AddProvider{[]byte("\x12\x20hash"), certifiedPeers(t), []byte("proof")},
		Ping{},
	}
}

// certifiedPeers are peers of which the first has certified its addresses.
func certifiedPeers(t testing.TB) []Peer {
	peers := testPeers(t, 2, 3)
	peers[0].Certified = []byte("certified")
	return peers
}

func testRecord() Record {
	return Record{
		Key:          []byte("/v/key"),
		Value:        []byte("value"),
		TimeReceived: time.Date(2026, 11, 23, 4, 11, 5, 326768102, time.UTC),
		Publisher:    []byte(testID(1)),
		TTL:          36 * time.Hour,
	}
}

// testMore has records beside testRecord.
func testMore() []Record {
	return []Record{
		{Key: []byte("/v/key"), Value: []byte("second"), Publisher: []byte(testID(2)), TTL: time.Hour},
		{Key: []byte("/v/key"), TimeReceived: time.Date(2026, 11, 24, 0, 0, 0, 5, time.UTC)},
	}
}

func TestRequestRoundTrip(t *testing.T) {
	for _, want := range requestsOfAllTypes(t) {
		got, err := ParseRequest(MarshalRequest(want))
		if err != nil {
			t.Errorf("%+v: %v", want, err)
		}
		checkEqual(t, got, want)
		if err := Check(want); err != nil {
			t.Errorf("Check(%+v) = %v", want, err)
		}
	}
}

func TestResponseRoundTrip(t *testing.T) {
	closer, providers, rec, more := testPeers(t, 20, 3), testPeers(t, 100, 2), testRecord(), testMore()
	closer[3].Connection, providers[99].Connection = Connected, CannotConnect
	give, records := Response{closer, providers, &rec, more}, append([]Record{rec}, more...)
	wants := []Response{
		{Closer: closer},
		{Closer: closer, Record: &rec, More: more},
		{Record: &rec},
		{Closer: closer, Providers: providers},
		{},
		{},
	}
	for i, req := range requestsOfAllTypes(t) {
		msg := AppendResponse(nil, req, give)
		got, err := ParseResponse(req, msg)
		if err != nil {
			t.Errorf("%T: %v", req, err)
		}
		checkEqual(t, got, wants[i])
		if encoded := AppendEncodedResponse(nil, req, records, encode(closer), encode(providers)); !bytes.Equal(encoded, msg) {
			t.Errorf("%T: from encoded peers %x, want %x", req, encoded, msg)
		}
		for _, other := range requestsOfAllTypes(t) {
			if _, err := ParseResponse(other, msg); kindOf(other) != kindOf(req) && !errors.Is(err, ErrMalformed) {
				t.Errorf("answer to %T for %T: error %v", req, other, err)
			}
		}
	}
}

// encode encodes peers as the owner of a table does.
func encode(peers []Peer) []EncodedPeer {
	var encoded []EncodedPeer
	for _, p := range peers {
		c := p.Connection
		p.Connection = NotConnected
		encoded = append(encoded, EncodedPeer{AppendPeer(nil, p), c})
	}
	return encoded
}

func TestRequestLimits(t *testing.T) {
	sized := func(n int) []byte { return bytes.Repeat([]byte("k"), n) }
	put := func(key, value int) Request { return PutValue{Record: Record{Key: sized(key), Value: sized(value)}} }
	tests := []struct {
		name string
		give Request
		want error
	}{
		{"target", FindNode{sized(MaxKey)}, nil},
		{"target too large", FindNode{sized(MaxKey + 1)}, ErrTooLarge},
		{"no target", FindNode{}, ErrMalformed},
		{"key", GetValue{sized(MaxKey)}, nil},
		{"key too large", GetValue{sized(MaxKey + 1)}, ErrTooLarge},
		{"no key", GetValue{}, ErrMalformed},
		{"multihash", GetProviders{sized(MaxProviderKey)}, nil},
		{"multihash too large", GetProviders{sized(MaxProviderKey + 1)}, ErrTooLarge},
		{"no multihash", GetProviders{[]byte{}}, ErrMalformed},
		{"provided", AddProvider{Key: sized(MaxProviderKey)}, nil},
		{"provided too large", AddProvider{Key: sized(MaxProviderKey + 1)}, ErrTooLarge},
		{"nothing provided", AddProvider{}, ErrMalformed},
		{"record", put(MaxKey, MaxValue), nil},
		{"empty value", put(1, 0), nil},
		{"record key too large", put(MaxKey+1, 1), ErrTooLarge},
		{"value too large", put(1, MaxValue+1), ErrTooLarge},
		{"no record key", put(0, 1), ErrMalformed},
		{"ping", Ping{}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := Check(tt.give); !errors.Is(err, tt.want) {
				t.Errorf("Check() = %v, want %v", err, tt.want)
			}
			if _, err := ParseRequest(MarshalRequest(tt.give)); !errors.Is(err, tt.want) {
				t.Errorf("ParseRequest() = %v, want %v", err, tt.want)
			}
		})
	}
}

func TestParseRequestRules(t *testing.T) {
	tests := []struct {
		name string
		give string
		want Request // nil: ErrMalformed
	}{
		{"field order", "\x12\x01k\x08\x01", GetValue{[]byte("k")}},
		{"last one wins", "\x08\x05\x12\x01x\x08\x01\x12\x01k", GetValue{[]byte("k")}},
		{"records merge", "\x12\x01k\x1a\x03\x0a\x01k\x1a\x03\x12\x01v", PutValue{Record: Record{Key: []byte("k"), Value: []byte("v")}}},
		{"unknown fields", "\x08\x05\x50\x07\xa2\x06\x02hi\x65abcd\x61abcdefgh", Ping{}},
		{"group", "\x08\x05\xa3\x06\x08\x01\xa4\x06", Ping{}},
		{"field of another type", "\x08\x05\x0a\x01\x01\x0d\x01\x01\x01\x01", Ping{}},
		{"value of a request that has none", "\x08\x05\x1a\x01\xff", Ping{}},
		{"type over 32 bits", "\x08\x85\x80\x80\x80\x10", Ping{}},
		{"empty", "", nil},
		{"negative type", "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", nil},
		{"type 6", "\x08\x06", nil},
		{"cut after a tag", "\x08\x05\x12", nil},
		{"cut in a value", "\x08\x05\x12\x02k", nil},
		{"group without end", "\x08\x05\xa3\x06", nil},
		{"end without group", "\x08\x05\xa4\x06", nil},
		{"field 0", "\x08\x05\x00\x00", nil},
		{"field over 29 bits", "\x08\x05\x80\x80\x80\x80\x10\x00", nil},
		{"wire type 7", "\x08\x05\x0f", nil},
		{"bad record", "\x12\x01k\x1a\x04\x0a\x01k\xff", nil},
		{"bad record, then a good one", "\x12\x01k\x1a\x01\xff\x1a\x03\x0a\x01k", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseRequest([]byte(tt.give))
			if tt.want == nil && !errors.Is(err, ErrMalformed) || tt.want != nil && err != nil {
				t.Fatalf("error %v, want request %v", err, tt.want)
			}
			checkEqual(t, got, tt.want)
		})
	}
}

// However much it is given, a response stays below MaxFrame, and is read as it
// was written.
func TestResponseStaysBelowMaxFrame(t *testing.T) {
	peers := testPeers(t, 2*MaxProviders, 1)
	long := "/dns4/" + strings.Repeat("a", 240)
	for i := range peers[:MaxCloser] {
		for j := range MaxAddrs {
			peers[i].Addrs = append(peers[i].Addrs, addr(t, long+"/tcp/"+string('1'+rune(j%9))+string('0'+rune(j/9))))
		}
	}
	for _, req := range []Request{GetProviders{[]byte("k")}, GetValue{[]byte("k")}} {
		rec := &Record{Key: []byte("k"), Value: make([]byte, MaxValue/2)}
		more := slices.Repeat([]Record{{Value: make([]byte, MaxValue/MaxRecords/2), Publisher: make([]byte, MaxPublisher)}}, 2*MaxRecords)
		msg := AppendResponse(nil, req, Response{peers, peers, rec, more})
		if len(msg) > MaxFrame {
			t.Errorf("%T: %d bytes", req, len(msg))
		}
		got, err := ParseResponse(req, msg)
		if err != nil {
			t.Fatal(err)
		}
		if again := AppendResponse(nil, req, got); !bytes.Equal(again, msg) {
			t.Errorf("%T: %d bytes are read and written as %d", req, len(msg), len(again))
		}
		if _, ok := req.(GetValue); ok && len(got.More) != MaxRecords-1 {
			t.Errorf("%d further records are left", len(got.More))
		}
		if len(got.Closer) < 20 || len(got.Closer[0].Addrs) < 20 {
			t.Errorf("%T: %d closer peers with %d addresses are left", req, len(got.Closer), len(got.Closer[0].Addrs))
		}
	}
	small := Response{Closer: testPeers(t, 2*MaxCloser, 1), Providers: testPeers(t, 2*MaxProviders, 1)}
	req := GetProviders{[]byte("k")}
	got, err := ParseResponse(req, AppendResponse(nil, req, small))
	if err != nil || len(got.Closer) != MaxCloser || len(got.Providers) != MaxProviders {
		t.Errorf("%d closer, %d providers, %v; want the limits", len(got.Closer), len(got.Providers), err)
	}
}

// What was parsed does not change with the buffer it was parsed from.
func TestParseCopies(t *testing.T) {
	parse := func(t *testing.T, msg []byte, parse func([]byte) (any, error)) {
		want, err := parse(bytes.Clone(msg))
		if err != nil {
			t.Fatal(err)
		}
		got, _ := parse(msg)
		clear(msg)
		checkEqual(t, got, want)
	}
	for _, req := range requestsOfAllTypes(t) {
		rec := testRecord()
		resp := Response{testPeers(t, 3, 2), testPeers(t, 3, 2), &rec, testMore()}
		parse(t, MarshalRequest(req), func(b []byte) (any, error) { return ParseRequest(b) })
		parse(t, AppendResponse(nil, req, resp), func(b []byte) (any, error) { return ParseResponse(req, b) })
	}
	parse(t, AppendPeer(nil, testPeers(t, 1, 2)[0]), func(b []byte) (any, error) { return ParsePeer(b) })
}
