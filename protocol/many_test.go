package protocol

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/go-kad/kad/pb"
)

// stores returns so many requests that store something.
func stores(t testing.TB, count int) (reqs []Request) {
	t.Helper()
	for i := range count {
		key := fmt.Appendf(nil, "key %d", i)
		if i%2 == 0 {
			reqs = append(reqs, AddProvider{Key: key, Providers: testPeers(t, 1, 4), Proof: []byte("proof")})
		} else {
			reqs = append(reqs, PutValue{Record: Record{Key: key, Value: []byte("value")}})
		}
	}
	return reqs
}

// unframed returns the message of a frame.
func unframed(t testing.TB, frame []byte) []byte {
	t.Helper()
	msg, err := ReadFrame(bufio.NewReader(bytes.NewReader(frame)), MaxFrame)
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// The generated code reads what is written of many requests and of their outcomes.
func TestManyIsRead(t *testing.T) {
	reqs := stores(t, 5)
	var many pb.Many
	if err := proto.Unmarshal(unframed(t, AppendManyFrame(nil, reqs)), &many); err != nil || len(many.GetRequests()) != len(reqs) {
		t.Fatalf("%d requests are read, %v", len(many.GetRequests()), err)
	}
	for i, m := range many.GetRequests() {
		var alone pb.Message
		if err := proto.Unmarshal(MarshalRequest(reqs[i]), &alone); err != nil || !proto.Equal(m, &alone) {
			t.Errorf("request %d: %v among many, %v alone, %v", i, m, &alone, err)
		}
	}
	codes := []uint32{0, 1, 127, 128, 0x6b04, 1<<32 - 1}
	var outcomes pb.Outcomes
	if err := proto.Unmarshal(unframed(t, AppendOutcomesFrame(nil, codes)), &outcomes); err != nil || !slices.Equal(outcomes.GetCodes(), codes) {
		t.Errorf("%v, %v", outcomes.GetCodes(), err)
	}
}

// Messages without a request, with too many, or with another number of outcomes are refused.
func TestManyIsRefused(t *testing.T) {
	for _, tt := range []struct {
		requests int
		want     error
	}{{0, ErrMalformed}, {1, nil}, {MaxMany, nil}, {MaxMany + 1, ErrTooLarge}} {
		msg := unframed(t, AppendManyFrame(nil, slices.Repeat(stores(t, 1), tt.requests)))
		if got, err := SplitMany(msg); !errors.Is(err, tt.want) || err == nil && len(got) != tt.requests {
			t.Errorf("%d requests: %d, %v, want %v", tt.requests, len(got), err, tt.want)
		}
	}
	msg := unframed(t, AppendOutcomesFrame(nil, make([]uint32, 3)))
	for n, want := range []error{ErrMalformed, ErrMalformed, ErrMalformed, nil, ErrMalformed} {
		if _, err := ParseOutcomes(msg, n); !errors.Is(err, want) {
			t.Errorf("3 outcomes of %d requests: %v, want %v", n, err, want)
		}
	}
}

// checkMany compares what is read of any bytes with what the generated code reads. That is
// stricter: the requests have to be messages.
func checkMany(t rapid.TB, msg []byte) {
	t.Helper()
	if !countable(msg) {
		return
	}
	got, err := SplitMany(msg)
	var want pb.Many
	if proto.Unmarshal(msg, &want) != nil {
		return
	}
	switch n := len(want.GetRequests()); {
	case n == 0 || n > MaxMany:
		if err == nil {
			t.Fatalf("%x has %d requests, and is accepted", msg, n)
		}
	case err != nil || len(got) != n:
		t.Fatalf("%x has %d requests, want %d: %v", msg, len(got), n, err)
	}
	for i := range got {
		var one pb.Message
		if err := proto.Unmarshal(got[i], &one); err != nil || !proto.Equal(&one, want.GetRequests()[i]) {
			t.Fatalf("%x: request %d is read as %x, %v", msg, i, got[i], err)
		}
	}
}

// checkOutcomes is checkMany for outcomes.
func checkOutcomes(t rapid.TB, msg []byte) {
	t.Helper()
	if !countable(msg) {
		return
	}
	var want pb.Outcomes
	if proto.Unmarshal(msg, &want) != nil {
		for n := range 4 {
			if got, err := ParseOutcomes(msg, n); err == nil {
				t.Fatalf("%x is no message, and is read as %v", msg, got)
			}
		}
		return
	}
	n := len(want.GetCodes())
	if got, err := ParseOutcomes(msg, n); err != nil || !slices.Equal(got, want.GetCodes()) {
		t.Fatalf("%x is read as %v, %v, want %v", msg, got, err, want.GetCodes())
	}
	if got, err := ParseOutcomes(msg, n+1); err == nil {
		t.Fatalf("%x has %d outcomes, and %d requests: %v", msg, n, n+1, got)
	}
}

// Any requests and outcomes are read as the generated code reads them.
func TestManyLikeGenerated(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		many := new(pb.Many)
		for range rapid.IntRange(0, 5).Draw(t, "requests") {
			many.Requests = append(many.Requests, genMessage(t))
		}
		msg, err := proto.Marshal(many)
		if err != nil {
			t.Skip(err) // a string that is no UTF-8
		}
		checkMany(t, append(msg, genBytes(4).Draw(t, "tail")...))
		msg, err = proto.Marshal(&pb.Outcomes{Codes: rapid.SliceOfN(rapid.Uint32(), 0, 9).Draw(t, "codes")})
		if err != nil {
			t.Fatal(err)
		}
		checkOutcomes(t, append(msg, genBytes(4).Draw(t, "tail")...))
	})
}

func FuzzSplitMany(f *testing.F) {
	f.Add(unframed(f, AppendManyFrame(nil, stores(f, 3))))
	f.Add([]byte{0x0a, 0x00, 0x12, 0x01, 0x00})
	f.Fuzz(func(t *testing.T, msg []byte) { checkMany(t, msg) })
}

func FuzzParseOutcomes(f *testing.F) {
	f.Add(unframed(f, AppendOutcomesFrame(nil, []uint32{0, 0x6b04, 1<<32 - 1})))
	f.Add(protowire.AppendVarint([]byte{0x08}, 1<<40)) // not packed, and over 32 bits
	f.Fuzz(func(t *testing.T, msg []byte) { checkOutcomes(t, msg) })
}
