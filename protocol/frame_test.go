package protocol

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

func TestReadFrame(t *testing.T) {
	large := strings.Repeat("x", MaxFrame)
	tests := []struct {
		name  string
		give  string
		limit int
		want  string
		err   error
	}{
		{"nothing", "", MaxFrame, "", io.EOF},
		{"empty message", "\x00", MaxFrame, "", nil},
		{"message", "\x03abc", MaxFrame, "abc", nil},
		{"message and more", "\x03abcd", MaxFrame, "abc", nil},
		{"at the limit", "\x80\x80\x80\x02" + large, MaxFrame, large, nil},
		{"over the limit", "\x81\x80\x80\x02" + large + "x", MaxFrame, "", ErrTooLarge},
		{"over a limit of one's own", "\x03abc", 2, "", ErrTooLarge},
		{"no room at all", "\x01a", 0, "", ErrTooLarge},
		{"63 bits", "\xff\xff\xff\xff\xff\xff\xff\xff\x7f", MaxFrame, "", ErrTooLarge},
		{"64 bits", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", MaxFrame, "", ErrTooLarge},
		{"65 bits", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", MaxFrame, "", ErrMalformed},
		{"no end of the length", strings.Repeat("\x80", 11), MaxFrame, "", ErrMalformed},
		{"padded length", "\x83\x00abc", MaxFrame, "", ErrMalformed},
		{"padded zero", "\x80\x00", MaxFrame, "", ErrMalformed},
		{"cut in the length", "\x83", MaxFrame, "", io.ErrUnexpectedEOF},
		{"cut after the length", "\x03", MaxFrame, "", io.ErrUnexpectedEOF},
		{"cut in the message", "\x03ab", MaxFrame, "", io.ErrUnexpectedEOF},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, r := range []io.Reader{strings.NewReader(tt.give), iotest.HalfReader(strings.NewReader(tt.give))} {
				got, err := ReadFrame(bufio.NewReader(r), tt.limit)
				if string(got) != tt.want || !errors.Is(err, tt.err) || (got == nil) != (err != nil) {
					t.Errorf("ReadFrame() = %d bytes, %v; want %d, %v", len(got), err, len(tt.want), tt.err)
				}
			}
		})
	}
}

func TestReadFrameReportsTheReader(t *testing.T) {
	want := errors.New("reset")
	for _, give := range []string{"", "\x83", "\x03a"} {
		r := io.MultiReader(strings.NewReader(give), iotest.ErrReader(want))
		if _, err := ReadFrame(bufio.NewReader(r), MaxFrame); !errors.Is(err, want) {
			t.Errorf("after %q: error %v, want %v", give, err, want)
		}
	}
}

func TestReadFrameInto(t *testing.T) {
	buf := make([]byte, 0, 8)
	r := bufio.NewReader(strings.NewReader("\x03abc\x05hello\x09ninebytes"))
	for _, want := range []string{"abc", "hello", "ninebytes"} {
		got, err := ReadFrameInto(r, buf, MaxFrame)
		if err != nil || string(got) != want {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
		if fits := len(want) <= cap(buf); fits != (&got[0] == &buf[:1][0]) {
			t.Errorf("%q: the buffer is used: %v, want %v", want, !fits, fits)
		}
	}
}

// A peer that declares 4 MiB and sends ten bytes costs what it sent.
func TestReadFrameAllocatesWhatArrives(t *testing.T) {
	for _, sent := range []int{0, 10, 5_000, 100_000} {
		give := append([]byte("\x80\x80\x80\x02"), make([]byte, sent)...)
		r := bufio.NewReader(bytes.NewReader(nil))
		allocated := allocatedBytes(func() {
			r.Reset(bytes.NewReader(give))
			if _, err := ReadFrame(r, MaxFrame); !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Fatal(err)
			}
		})
		if limit := uint64(4*sent + 4*firstRead); allocated > limit {
			t.Errorf("%d bytes sent: allocated %d bytes, want at most %d", sent, allocated, limit)
		}
	}
}

// allocatedBytes returns how much f allocates: the least of two calls, because what the
// runtime allocates meanwhile counts too.
func allocatedBytes(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 2 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

func TestAppendFrames(t *testing.T) {
	find := FindNode{[]byte("key")}
	put := PutValue{Record: Record{Key: []byte("/v/k"), Value: bytes.Repeat([]byte("v"), 20_000)}}
	resp := Response{Closer: testPeers(t, 20, 3)}
	encoded := encode(resp.Closer)
	tests := []struct {
		name     string
		frame    func(dst []byte) []byte
		unframed []byte
	}{
		{"1 byte of length", func(dst []byte) []byte { return AppendRequestFrame(dst, find) }, AppendRequest(nil, find)},
		{"3 bytes of length", func(dst []byte) []byte { return AppendRequestFrame(dst, put) }, AppendRequest(nil, put)},
		{"response", func(dst []byte) []byte { return AppendResponseFrame(dst, find, resp) }, AppendResponse(nil, find, resp)},
		{
			"encoded", func(dst []byte) []byte { return AppendEncodedResponseFrame(dst, find, nil, encoded, nil) },
			AppendResponse(nil, find, resp),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, dst := range [][]byte{nil, []byte("before"), make([]byte, 3, 1<<16)} {
				want := AppendFrame(bytes.Clone(dst), tt.unframed)
				if got := tt.frame(dst); !bytes.Equal(got, want) {
					t.Errorf("got  %.100x\nwant %.100x", got, want)
				}
			}
		})
	}
}
