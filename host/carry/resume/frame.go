package resume

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A path begins with a hello of the opener, which the other side answers with a welcome. Then
// both send frames: a kind, an offset, and the size of the data that follow.

// An id names a stream among those of its opener to a peer.
type id [16]byte

// A hello asks to go on with a stream on a new path.
type hello struct {
	first  bool // no welcome has come yet: the stream may be unknown
	id     id
	got    int64 // the offset up to which this side has received
	window int64 // how many bytes it holds that are not read
}

const helloSize = 1 + len(id{}) + 8 + 8

func (h hello) bytes() []byte {
	b := make([]byte, 1, helloSize)
	if h.first {
		b[0] = 1
	}
	b = append(b, h.id[:]...)
	return appendNumber(appendNumber(b, h.got), h.window)
}

func readHello(r io.Reader) (h hello, err error) {
	var b [helloSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return hello{}, err
	}
	h.first = b[0] == 1
	copy(h.id[:], b[1:])
	h.got, h.window = number(b[1+len(h.id):]), number(b[1+len(h.id)+8:])
	if b[0] > 1 || h.got < 0 || h.window <= 0 {
		return hello{}, fmt.Errorf("%w: hello %x", errProtocol, b)
	}
	return h, nil
}

// A welcome answers a hello.
type welcome struct {
	answer answer
	got    int64 // as in hello
	window int64
}

// An answer is what a hello is answered with.
type answer uint8

const (
	answerYes  answer = iota
	answerGone        // the stream is not known, or has ended
	answerFull        // there are too many streams
)

const welcomeSize = 1 + 8 + 8

func (w welcome) bytes() []byte {
	b := append(make([]byte, 0, welcomeSize), byte(w.answer))
	return appendNumber(appendNumber(b, w.got), w.window)
}

func readWelcome(r io.Reader) (w welcome, err error) {
	var b [welcomeSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return welcome{}, err
	}
	w = welcome{answer(b[0]), number(b[1:]), number(b[9:])}
	if w.answer > answerFull || w.got < 0 || w.answer == answerYes && w.window <= 0 {
		return welcome{}, fmt.Errorf("%w: welcome %x", errProtocol, b)
	}
	return w, nil
}

// A kind says what a frame is.
type kind uint8

const (
	kindData kind = iota // data from an offset on
	kindRead             // all before the offset has been read; the end counts as a byte
	kindEnd              // no more data: the stream ends at the offset
	kindStop             // the same as kindRead, and nothing more is read
)

// A frame is what is sent on a path.
type frame struct {
	kind   kind
	offset int64
	size   int // of the data that follow; at most blockSize
}

const frameSize = 1 + 8 + 4 // without data

// append appends the frame to b, without data.
func (f frame) append(b []byte) []byte {
	b = appendNumber(append(b, byte(f.kind)), f.offset)
	return binary.BigEndian.AppendUint32(b, uint32(f.size)) //nolint:gosec // at most blockSize
}

// readFrame reads a frame, without the data.
func readFrame(r io.Reader) (frame, error) {
	var b [frameSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return frame{}, err
	}
	size := binary.BigEndian.Uint32(b[9:])
	f := frame{kind(b[0]), number(b[1:]), int(size)}
	if f.kind > kindStop || f.offset < 0 || size > blockSize || (f.kind == kindData) != (size > 0) {
		return frame{}, fmt.Errorf("%w: frame %x", errProtocol, b)
	}
	return f, nil
}

// appendNumber appends a number, which is not negative.
func appendNumber(b []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(n)) //nolint:gosec // see above
}

// number reads a number, which is negative if it is too large.
func number(b []byte) int64 { return int64(binary.BigEndian.Uint64(b)) } //nolint:gosec // what is negative is refused

// errProtocol ends a path whose other side does not keep to the protocol.
var errProtocol = errors.New("the other side does not keep to the protocol")
