package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

// hostileAllocs is what reading the worst message of 4 MiB may allocate, in
// bytes, garbage included. The generated code allocates 60 times the message.
const hostileAllocs = 4 * MaxFrame

// A hostilePeer makes the i-th Peer message of a message that is made to cost
// its reader as much as possible.
type hostilePeer struct {
	name string
	peer func(i int) []byte
}

func hostilePeers() []hostilePeer {
	peerWith := func(i int, addrs ...string) []byte {
		b := appendBytes(nil, fieldPeerID, []byte(testID(i)))
		for _, a := range addrs {
			b = appendBytes(b, fieldPeerAddr, []byte(a))
		}
		return b
	}
	repeat := func(s string, n int) []string {
		list := make([]string, n)
		for i := range list {
			list[i] = s
		}
		return list
	}
	chain := string(bytes.Repeat([]byte("\xe0\x03"), maxComponents)) // /http/http...
	deep := string(bytes.Repeat([]byte("\xe0\x03"), MaxAddr/2))
	return []hostilePeer{
		{"empty peers", func(int) []byte { return nil }},
		{"peers of garbage", func(int) []byte { return []byte("\xff\xff") }},
		{"empty addresses", func(i int) []byte { return peerWith(i, repeat("", MaxFrame/2)...) }},
		{"bad addresses", func(i int) []byte { return peerWith(i, repeat("\x06\x01", 100)...) }},
		{"bad addresses that look good", func(i int) []byte { return peerWith(i, repeat("\xa5\x03\x02\x01\x02", MaxAddrs)...) }},
		{"many addresses", func(i int) []byte { return peerWith(i, repeat("\x04\x01\x02\x03\x04\x06\x00\x01", 1000)...) }},
		{"costly addresses", func(i int) []byte { return peerWith(i, repeat(chain, MaxAddrs)...) }},
		{"costly addresses, each another", func(i int) []byte {
			var addrs []string
			for j := range MaxAddrs {
				addrs = append(addrs, string([]byte{6, byte(i), byte(j)})+chain[2:])
			}
			return peerWith(i, addrs...)
		}},
		{"deep addresses", func(i int) []byte { return peerWith(i, deep, deep) }},
		{"peers without addresses", func(i int) []byte { return peerWith(i) }},
		{"the same peer", func(int) []byte { return peerWith(1, chain) }},
		{"points that are not on the curve", func(i int) []byte {
			return appendBytes(nil, fieldPeerID, fmt.Appendf(nil, "%s\x02%s%08d", secp256k1Prefix, bytes.Repeat([]byte("\xff"), 24), i))
		}},
		{"groups in groups", func(int) []byte { return bytes.Repeat([]byte("\x0b"), 9_000) }},
		{"one large peer", func(int) []byte { return make([]byte, MaxFrame-20) }},
	}
}

func TestHostileMessages(t *testing.T) {
	long(t)
	for _, tt := range hostilePeers() {
		for num, req := range map[protowire.Number]Request{
			fieldCloser:    FindNode{},
			fieldProviders: GetProviders{[]byte("k")},
		} {
			t.Run(fmt.Sprintf("%s/%T", tt.name, req), func(t *testing.T) {
				msg := fill(appendKind(nil, kindOf(req)), MaxFrame, num, tt.peer)
				got := allocatedBytes(func() {
					if _, err := ParseResponse(req, msg); err != nil {
						t.Fatal(err)
					}
				})
				if got > hostileAllocs {
					t.Errorf("reading %d bytes allocates %d", len(msg), got)
				}
			})
		}
		t.Run(tt.name+"/AddProvider", func(t *testing.T) {
			msg := fill(AppendRequest(nil, AddProvider{Key: []byte("k")}), MaxFrame/8, fieldProviders, tt.peer)
			got := allocatedBytes(func() {
				if _, err := ParseRequest(msg); err != nil {
					t.Fatal(err)
				}
			})
			if got > hostileAllocs/8 {
				t.Errorf("reading %d bytes allocates %d", len(msg), got)
			}
		})
	}
}

// fill appends peers as field num until no other fits into size bytes.
func fill(msg []byte, size int, num protowire.Number, peer func(i int) []byte) []byte {
	for i := 0; ; i++ {
		p := peer(i)
		if len(p) > size-20 {
			p = p[:(size-20)&^1] // all of the same fields, of two bytes
		}
		if len(msg)+len(p)+5 > size {
			return msg
		}
		msg = appendBytes(msg, num, p)
	}
}

// What is not asked for costs nothing, even if it is no message.
func TestHostileRequests(t *testing.T) {
	junk := bytes.Repeat([]byte("\x42\x00\x4a\x01\xff\x1a\x02\x12\x00\xca\x3e\x01\xff"), MaxFrame/13-10)
	for _, req := range requestsOfAllTypes(t) {
		if _, ok := req.(PutValue); ok {
			continue // records are of interest there
		}
		msg := append(AppendRequest(nil, req), junk...)
		got := allocatedBytes(func() {
			if _, err := ParseRequest(msg); err != nil {
				t.Fatal(err)
			}
		})
		if got > 8<<10 {
			t.Errorf("%T: reading %d bytes allocates %d", req, len(msg), got)
		}
	}
}

// Further records cost what the limits allow, however many were sent.
func TestHostileRecords(t *testing.T) {
	long(t)
	const limit = MaxValue + MaxValue/4 + 128<<10 // values are rounded up, if they are small
	first := Record{Key: []byte("k"), Value: []byte("v")}
	record := func(value int) []byte {
		var b []byte
		b = appendBytes(b, fieldRecordValue, make([]byte, value))
		b = appendBytes(b, fieldRecordTime, []byte("2026-11-23T04:00:01Z"))
		return appendBytes(b, fieldRecordPublisher, make([]byte, MaxPublisher))
	}
	for _, tt := range []struct {
		name string
		more func(i int) []byte
		put  error // with which as many of them are refused
	}{
		{"empty", func(int) []byte { return nil }, ErrTooLarge},
		{"small", func(int) []byte { return record(1) }, ErrTooLarge},
		{"as large as many can be", func(int) []byte { return record(MaxValue/MaxRecords - 1) }, ErrTooLarge},
		{"too large", func(int) []byte { return record(MaxValue) }, ErrTooLarge},
		{"long publisher", func(int) []byte { return appendBytes(nil, fieldRecordPublisher, make([]byte, MaxFrame/2)) }, nil},
		{"other keys", func(i int) []byte { return appendBytes(nil, fieldRecordKey, fmt.Append(nil, i)) }, ErrTooLarge},
		{"one other key", func(int) []byte { return appendBytes(record(0), fieldRecordKey, make([]byte, MaxFrame/2)) }, ErrMalformed},
		{"garbage", func(int) []byte { return []byte("\xff") }, ErrTooLarge},
		{"values of garbage", func(int) []byte { return []byte("\x12\x01v\xff\xff") }, ErrTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			get := GetValue{first.Key}
			msg := fill(AppendResponse(nil, get, Response{Record: &first}), MaxFrame, fieldMore, tt.more)
			got := allocatedBytes(func() {
				if _, err := ParseResponse(get, msg); err != nil {
					t.Fatal(err)
				}
			})
			if got > limit {
				t.Errorf("reading an answer of %d bytes allocates %d", len(msg), got)
			}
			msg = fill(MarshalRequest(PutValue{Record: first}), MaxFrame, fieldMore, tt.more)
			got = allocatedBytes(func() {
				if _, err := ParseRequest(msg); !errors.Is(err, tt.put) {
					t.Fatalf("error %v, want %v", err, tt.put)
				}
			})
			if bound := 8 << 10; errors.Is(tt.put, ErrTooLarge) && got > uint64(bound) {
				t.Errorf("refusing a request of %d bytes allocates %d", len(msg), got)
			} else if got > limit {
				t.Errorf("reading a request of %d bytes allocates %d", len(msg), got)
			}
		})
	}
}

// Of a list that names one peer again and again, no more entries are looked at than of a short
// one.
func TestRepeatedPeers(t *testing.T) {
	for _, repeats := range []int{lookedFactor*MaxCloser - 1, lookedFactor * MaxCloser} {
		msg := MarshalRequest(FindNode{Target: []byte("x")})
		same := appendBytes(nil, fieldPeerID, []byte(testID(1)))
		for range repeats {
			msg = appendBytes(msg, fieldCloser, same)
		}
		msg = appendBytes(msg, fieldCloser, appendBytes(nil, fieldPeerID, []byte(testID(2))))
		resp, err := ParseResponse(FindNode{Target: []byte("x")}, msg)
		want := 2
		if repeats == lookedFactor*MaxCloser {
			want = 1
		}
		if err != nil || len(resp.Closer) != want {
			t.Errorf("after %d entries: %d peers, %v; want %d", repeats, len(resp.Closer), err, want)
		}
	}
}

// The cost of an answer, and of a request, of 4 MiB is that of its first fields: what comes after
// them is not even looked at, wherever it is.
func TestHostileFieldsAreNotWalked(t *testing.T) {
	tiny := func(msg []byte, num protowire.Number, count int) []byte {
		for range count {
			msg = append(appendBytes(msg, num, nil), "\xc0\x3e\x00"...) // and an unknown varint
		}
		return append(msg, 0xff) // no field
	}
	peer1 := appendBytes(nil, fieldPeerID, []byte(testID(1)))
	for _, req := range requestsOfAllTypes(t) {
		most := maxResponseFields(kindOf(req))
		head := AppendResponse(nil, req, Response{})
		for _, num := range []protowire.Number{fieldCloser, fieldProviders, fieldMore, 500} {
			if _, err := ParseResponse(req, tiny(head, num, most)); err != nil {
				t.Errorf("%T: the end of an answer is looked at: %v", req, err)
			}
			if _, err := ParseResponse(req, tiny(head, num, 10)); err == nil {
				t.Errorf("%T: a short answer without a proper end is read", req)
			}
		}
		if _, ok := req.(PutValue); ok {
			continue // it is refused for its records
		}
		if _, err := ParseRequest(tiny(MarshalRequest(req), fieldProviders, maxRequestFields)); err != nil {
			t.Errorf("%T: the end of a request is looked at: %v", req, err)
		}
	}
	if p, err := ParsePeer(tiny(peer1, 500, maxPeerFields)); err != nil || p.ID != testID(1) {
		t.Errorf("the end of a peer is looked at: %v", err)
	}
	r := new(rawRecord)
	if !r.read(tiny([]byte("\x12\x01v"), 500, maxRecordFields)) || string(r.value) != "v" {
		t.Error("the end of a record is looked at")
	}
	group := append([]byte("\x0b"), bytes.Repeat([]byte("\x10\x00"), maxGroup/2)...)
	if _, err := ParsePeer(append(append(peer1, group...), 0x0c)); err == nil {
		t.Error("a large group is walked")
	}
}

// What an answer of tiny peers costs depends on its first 64 peers, and not on its size.
func BenchmarkHostileAnswer(b *testing.B) {
	req := FindNode{Target: []byte("x")}
	for _, size := range []int{1 << 10, 64 << 10, MaxFrame} {
		msg := fill(appendKind(nil, kindOf(req)), size, fieldCloser, func(int) []byte { return nil })
		b.Run(fmt.Sprintf("%d-KiB", size>>10), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseResponse(req, msg); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
