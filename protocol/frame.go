package protocol

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
)

// ReadFrame reads one message of at most limit bytes from r; limit is
// [MaxFrame] or less. It returns [io.EOF] only if r ends before the first byte:
// a frame that is cut short is [io.ErrUnexpectedEOF]. A frame over the limit is
// [ErrTooLarge], and is not read; a length other than a varint of the least size is
// [ErrMalformed].
//
// Memory grows with what has arrived, not with what was declared.
//
// Spec: libp2p kad-dht, "RPC messages".
func ReadFrame(r *bufio.Reader, limit int) ([]byte, error) {
	return ReadFrameInto(r, nil, limit)
}

// ReadFrameInto is [ReadFrame] into buf, which it overwrites, and grows if needed, so
// that one buffer serves many frames.
func ReadFrameInto(r *bufio.Reader, buf []byte, limit int) ([]byte, error) {
	return ReadFrameWithin(r, buf, limit, func(int) error { return nil })
}

// ReadFrameWithin is [ReadFrameInto] that asks reserve before the buffer grows: size is how
// many bytes it is to hold then. The first 4 KiB are not asked for, and an error of reserve
// ends the read.
func ReadFrameWithin(r *bufio.Reader, buf []byte, limit int, reserve func(size int) error) ([]byte, error) {
	n, err := readLength(r)
	if err != nil {
		return nil, err
	}
	if n > uint64(max(limit, 0)) {
		return nil, fmt.Errorf("%w: a frame of %d bytes, limit is %d", ErrTooLarge, n, limit)
	}
	msg := buf[:0]
	if msg == nil {
		msg = []byte{}
	}
	for left := int(n); left > 0; { //nolint:gosec // at most limit
		if len(msg) == cap(msg) {
			// As much as there is already, so that the size at most doubles.
			more := min(left, max(len(msg), firstRead))
			if len(msg) >= firstRead {
				if err := reserve(len(msg) + more); err != nil {
					return nil, err
				}
			}
			msg = slices.Grow(msg, more)
		}
		part := msg[len(msg):min(cap(msg), len(msg)+left)]
		got, err := io.ReadFull(r, part)
		if err != nil {
			return nil, cutShort(err)
		}
		msg = msg[:len(msg)+got]
		left -= got
	}
	return msg, nil
}

// firstRead is how many bytes are allocated for a frame before any of it has arrived:
// enough for most messages.
const firstRead = 4 << 10

// readLength reads the length of a frame.
func readLength(r *bufio.Reader) (uint64, error) {
	var n uint64
	for i := range binary.MaxVarintLen64 {
		b, err := r.ReadByte()
		if err != nil {
			if i > 0 {
				err = cutShort(err)
			}
			return 0, err
		}
		if i == binary.MaxVarintLen64-1 && b > 1 {
			break // over 64 bits
		}
		n |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			if b == 0 && i > 0 {
				return 0, fmt.Errorf("%w: the length of the frame is padded", ErrMalformed)
			}
			return n, nil
		}
	}
	return 0, fmt.Errorf("%w: the length of the frame is over 64 bits", ErrMalformed)
}

// cutShort returns the error for a frame of which a part was read. An error that wraps
// [io.EOF] says more, such as that the connection has broken.
func cutShort(err error) error {
	if err == io.EOF { //nolint:errorlint // itself
		return io.ErrUnexpectedEOF
	}
	return err
}

// AppendFrame appends msg as a frame: its length as a varint, and itself.
//
// Spec: libp2p kad-dht, "RPC messages".
func AppendFrame(dst, msg []byte) []byte { return AppendBytes(dst, msg) }

// AppendRequestFrame appends the frame of a request, to be sent in one write.
// See [AppendRequest].
func AppendRequestFrame(dst []byte, r Request) []byte {
	start := len(dst)
	return closeFrame(AppendRequest(openFrame(dst), r), start)
}

// AppendResponseFrame appends the frame of a response, to be sent in one write.
// See [AppendResponse].
func AppendResponseFrame(dst []byte, req Request, r Response) []byte {
	start := len(dst)
	return closeFrame(AppendResponse(openFrame(dst), req, r), start)
}

// AppendEncodedResponseFrame appends the frame of a response, to be sent in one
// write. See [AppendEncodedResponse].
func AppendEncodedResponseFrame(dst []byte, req Request, records []Record, closer, providers []EncodedPeer) []byte {
	start := len(dst)
	return closeFrame(AppendEncodedResponse(openFrame(dst), req, records, closer, providers), start)
}

// maxPrefix is the most that the length of a frame takes, in bytes.
const maxPrefix = binary.MaxVarintLen32

// openFrame reserves room for the length of a frame.
func openFrame(dst []byte) []byte {
	return append(dst, make([]byte, maxPrefix)...)
}

// closeFrame writes the length of the frame that was opened at start, and moves
// the message up to it.
func closeFrame(dst []byte, start int) []byte {
	msg := dst[start+maxPrefix:]
	n := binary.PutUvarint(dst[start:], uint64(len(msg)))
	return dst[:start+n+copy(dst[start+n:], msg)]
}
