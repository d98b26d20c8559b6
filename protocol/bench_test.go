package protocol

import (
	"bufio"
	"bytes"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/go-kad/kad/pb"
)

// The answer that servers give most: 20 peers with 4 addresses each, 1.9 kB.
func benchAnswer(tb testing.TB) (FindNode, Response) {
	return FindNode{[]byte(testID(99))}, Response{Closer: testPeers(tb, 20, 4)}
}

// Budget: 0 allocations, as TestAnswerAllocatesNothing checks.
func BenchmarkAppendEncodedResponse(b *testing.B) {
	find, resp := benchAnswer(b)
	var req Request = find
	closer := encode(resp.Closer)
	dst := AppendEncodedResponseFrame(nil, req, nil, closer, nil)
	b.SetBytes(int64(len(dst)))
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendEncodedResponseFrame(dst[:0], req, nil, closer, nil)
	}
}

func TestAnswerAllocatesNothing(t *testing.T) {
	find, resp := benchAnswer(t)
	var req Request = find
	closer := encode(resp.Closer)
	dst := AppendEncodedResponseFrame(nil, req, nil, closer, nil)
	if n := testing.AllocsPerRun(100, func() { dst = AppendEncodedResponseFrame(dst[:0], req, nil, closer, nil) }); n > 0 {
		t.Errorf("%v allocations, want none", n)
	}
	get := GetValue{[]byte("/v/key")}
	records := []Record{testRecord(), testRecord(), testRecord()}
	req = get
	if n := testing.AllocsPerRun(100, func() { dst = AppendEncodedResponseFrame(dst[:0], req, records, closer, nil) }); n > 0 {
		t.Errorf("with records: %v allocations, want none", n)
	}
}

// A message of one record costs what it did before there could be several: its
// key, value, time and publisher, and the request or the record itself.
func TestOneRecordAllocates(t *testing.T) {
	rec := testRecord()
	msg := MarshalRequest(PutValue{Record: rec})
	if n := testing.AllocsPerRun(100, func() { ParseRequest(msg) }); n > 5 {
		t.Errorf("reading a request: %v allocations, want 5", n)
	}
	var get Request = GetValue{rec.Key}
	msg = AppendResponse(nil, get, Response{Record: &rec})
	if n := testing.AllocsPerRun(100, func() { ParseResponse(get, msg) }); n > 5 {
		t.Errorf("reading an answer: %v allocations, want 5", n)
	}
}

func BenchmarkAppendResponse(b *testing.B) {
	req, resp := benchAnswer(b)
	var dst []byte
	b.ReportAllocs()
	for b.Loop() {
		dst = AppendResponseFrame(dst[:0], req, resp)
	}
}

func BenchmarkParseResponse(b *testing.B) {
	req, resp := benchAnswer(b)
	msg := AppendResponse(nil, req, resp)
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseResponse(req, msg); err != nil {
			b.Fatal(err)
		}
	}
}

// For comparison: the generated code, which leaves addresses as bytes.
func BenchmarkUnmarshalGenerated(b *testing.B) {
	req, resp := benchAnswer(b)
	msg := AppendResponse(nil, req, resp)
	b.SetBytes(int64(len(msg)))
	b.ReportAllocs()
	for b.Loop() {
		var m pb.Message
		if err := proto.Unmarshal(msg, &m); err != nil {
			b.Fatal(err)
		}
	}
}

// Budget: 2 allocations.
func BenchmarkParseRequest(b *testing.B) {
	req, _ := benchAnswer(b)
	msg := AppendRequest(nil, req)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParseRequest(msg); err != nil {
			b.Fatal(err)
		}
	}
}

// Budget: 0 allocations.
func BenchmarkReadFrameInto(b *testing.B) {
	req, resp := benchAnswer(b)
	frame := AppendResponseFrame(nil, req, resp)
	src := bytes.NewReader(nil)
	r := bufio.NewReader(src)
	buf := make([]byte, 0, 4<<10)
	b.SetBytes(int64(len(frame)))
	b.ReportAllocs()
	for b.Loop() {
		src.Reset(frame)
		r.Reset(src)
		if _, err := ReadFrameInto(r, buf, MaxFrame); err != nil {
			b.Fatal(err)
		}
	}
}
