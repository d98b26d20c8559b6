package protocol

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func FuzzReadFrame(f *testing.F) {
	for _, v := range loadVectors(f) {
		f.Add(frameSeed(f, v.Request))
	}
	f.Add([]byte{0xff, 0xff, 0x7f}) // a length, and nothing else
	f.Fuzz(func(t *testing.T, in []byte) {
		msg, err := ReadFrame(bufio.NewReader(bytes.NewReader(in)), MaxFrame)
		if err != nil {
			if msg != nil {
				t.Errorf("%x: a message beside error %v", in, err)
			}
			return
		}
		if again := AppendFrame(nil, msg); !bytes.HasPrefix(in, again) {
			t.Errorf("%x was read from %x, but has the frame %x", msg, in, again)
		}
	})
}

func FuzzParseRequest(f *testing.F) {
	for _, v := range loadVectors(f) {
		f.Add(messageSeed(f, v.Request))
	}
	for _, req := range requestsOfAllTypes(f) { // with the fields that only we have
		f.Add(MarshalRequest(req))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		checkOpen(t, msg)
		checkRequest(t, msg)
	})
}

func FuzzParseResponse(f *testing.F) {
	for _, v := range loadVectors(f) {
		if v.Response != "" {
			f.Add(messageSeed(f, v.Response))
		}
	}
	rec := testRecord()
	f.Add(AppendResponse(nil, GetValue{rec.Key}, Response{Record: &rec, More: testMore()}))
	f.Fuzz(func(t *testing.T, msg []byte) {
		checkOpen(t, msg)
		checkResponse(t, msg)
	})
}

func FuzzParsePeer(f *testing.F) {
	for _, v := range loadVectors(f) {
		if v.Response == "" {
			continue
		}
		fs := walk(messageSeed(f, v.Response), maxRequestFields)
		for range 3 { // the first of each message will do
			for fs.next() && fs.num != fieldCloser && fs.num != fieldProviders {
				continue
			}
			f.Add(fs.value)
		}
	}
	f.Fuzz(func(t *testing.T, msg []byte) { checkPeer(t, msg) })
}

// frameSeed returns the recorded bytes of a frame, cut if the record is.
func frameSeed(t testing.TB, s string) []byte {
	s, _, _ = strings.Cut(s, "...")
	return unhex(t, s)
}

func messageSeed(t testing.TB, s string) []byte {
	frame := frameSeed(t, s)
	for i, b := range frame {
		if b < 0x80 {
			return frame[i+1:]
		}
	}
	return nil
}

// checkParsers checks what holds for any bytes: no panic, and what was read is
// the same after it was written and read again.
func checkParsers(t rapid.TB, msg []byte) {
	t.Helper()
	checkRequest(t, msg)
	checkResponse(t, msg)
	checkPeer(t, msg)
}

func checkRequest(t rapid.TB, msg []byte) {
	t.Helper()
	req, err := ParseRequest(msg)
	if err != nil {
		if req != nil {
			t.Fatalf("%x: request %v beside error %v", msg, req, err)
		}
		return
	}
	if err := Check(req); err != nil {
		t.Fatalf("%x is read as %v, which is none: %v", msg, req, err)
	}
	again, err := ParseRequest(MarshalRequest(req))
	if err != nil {
		t.Fatalf("%x is read as %v, but not again: %v", msg, req, err)
	}
	checkEqual(t, again, req)
	parser := new(RequestParser)
	other := MarshalRequest(AddProvider{Key: []byte("other"), Providers: []Peer{{ID: "\x12\x20--------------------------------"}}})
	for _, m := range [][]byte{msg, msg, other, msg} { // as one that remembers, and one that has forgotten
		got, err := parser.Parse(m)
		if err != nil {
			t.Fatalf("%x: a RequestParser fails: %v", m, err)
		}
		want, _ := ParseRequest(m)
		checkEqual(t, got, want)
	}
	resp := AppendResponse(nil, req, Response{})
	if _, err := ParseResponse(req, resp); err != nil {
		t.Fatalf("%x: its answer %x: %v", msg, resp, err)
	}
}

func checkResponse(t rapid.TB, msg []byte) {
	t.Helper()
	var e envelope
	ok := e.open(msg, maxRequestFields)
	if !ok {
		return
	}
	for _, req := range []Request{
		FindNode{e.key}, GetValue{e.record.key}, PutValue{Record: Record{Key: e.record.key}}, GetProviders{e.key}, AddProvider{}, Ping{},
	} {
		resp, err := ParseResponse(req, msg)
		if err != nil {
			continue
		}
		if put, ok := req.(PutValue); ok && resp.Record != nil {
			put.Record = *resp.Record // its answer echoes it
			req = put
		}
		written := AppendResponse(nil, req, resp)
		again, err := ParseResponse(req, written)
		if err != nil || len(written) > MaxFrame {
			t.Fatalf("%x is read as %v, but not again: %v", msg, resp, err)
		}
		if put, ok := req.(PutValue); ok && resp.Record == nil {
			resp.Record = &put.Record
		}
		checkEqual(t, again, resp)
	}
}

func checkPeer(t rapid.TB, msg []byte) {
	t.Helper()
	p, err := ParsePeer(msg)
	if err != nil {
		return
	}
	written := AppendPeer(nil, p)
	if len(written) > MaxPeer || len(p.Addrs) > MaxAddrs {
		t.Fatalf("%x: %d bytes, %d addresses", msg, len(written), len(p.Addrs))
	}
	again, err := ParsePeer(written)
	if err != nil {
		t.Fatalf("%x is read as %v, but not again: %v", msg, p, err)
	}
	checkEqual(t, again, p)
}
