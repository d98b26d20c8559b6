package carry

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// drainTimeout bounds how long a stream is read whose writer has moved: all of it was
// written, but its relay may be dead.
const drainTimeout = time.Second

// errMessageSize ends a stream with a message that is larger than Config.MaxMessage.
var errMessageSize = errors.New("the message is too large")

// A reader is a stream that the protocol reads, and the streams that continue it: when
// one has been read to its end, the next one is read. What it inherits of Stream is that
// of the first stream.
type reader struct {
	network.Stream
	key  streamKey
	host *Host
	next chan network.Stream // buffered, length 1: continues the current stream
	over chan struct{}       // closed when the reader has ended

	// These belong to the goroutine that reads.
	in   *bufio.Reader
	rest []byte // of a message

	mu    sync.Mutex
	now   network.Stream
	ended bool
}

func newReader(h *Host, s network.Stream) *reader {
	return &reader{
		Stream: s, key: keyOf(s), host: h, next: make(chan network.Stream, 1), over: make(chan struct{}),
		in: bufio.NewReader(s), now: s,
	}
}

// append lets s be read after the current stream. It is false if the reader has ended.
func (r *reader) append(s network.Stream) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return false
	}
	select {
	case old := <-r.next:
		_ = old.Reset() // the writer has given it up, and tries again
	default:
	}
	r.next <- s
	_ = r.now.SetReadDeadline(time.Now().Add(drainTimeout))
	return true
}

// Read reads whole messages from one stream after the other. The part of a message that
// a broken stream leaves is dropped: the writer repeats the message.
func (r *reader) Read(p []byte) (int, error) {
	for len(r.rest) == 0 {
		message, err := readMessage(r.in, r.host.cfg.MaxMessage)
		if err == nil {
			r.rest = message
		} else if !r.follow(err) {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// isEnd reports whether an error is the orderly end of a stream. The end of a connection
// can be an io.EOF too, with a reset.
func isEnd(err error) bool { return errors.Is(err, io.EOF) && !errors.Is(err, network.ErrReset) }

// readMessage reads a message of up to limit bytes, and returns it with the length in
// front of it.
func readMessage(in *bufio.Reader, limit int) ([]byte, error) {
	size, err := binary.ReadUvarint(in)
	if err != nil {
		return nil, err
	}
	if size > uint64(max(0, limit)) {
		return nil, fmt.Errorf("a message of %d bytes: %w", size, errMessageSize)
	}
	message := binary.AppendUvarint(nil, size)
	head := len(message)
	message = append(message, make([]byte, size)...)
	if _, err := io.ReadFull(in, message[head:]); err != nil {
		return nil, fmt.Errorf("in the middle of a message: %w", errors.Join(network.ErrReset, err))
	}
	return message, nil
}

// follow makes the next stream the current one, after an error of that. If the stream
// broke, and there is a direct connection, follow waits for the next stream. It is false
// if there is none.
func (r *reader) follow(err error) bool {
	var wait time.Duration
	if !isEnd(err) && IsRelayed(r.now.Conn()) && r.host.hasDirect(r.key.peer) {
		wait = moveTimeout
	}
	next := r.awaitNext(wait)
	if next == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		_ = next.Reset()
		return false
	}
	if isEnd(err) {
		_ = r.now.Close() // the writer takes it as: all is read
	} else {
		_ = r.now.Reset() // and this as: messages may be missing
	}
	r.now, r.in = next, bufio.NewReader(next)
	return true
}

// awaitNext returns the next stream; nil if there is none after wait, or the reader has
// ended.
func (r *reader) awaitNext(wait time.Duration) network.Stream {
	select {
	case next := <-r.next:
		return next
	default:
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case next := <-r.next:
		return next
	case <-timer.C:
	case <-r.over:
	}
	return nil
}

// Close ends the reader.
func (r *reader) Close() error { return r.end(network.Stream.Close) }

// Reset ends the reader, and reports that to the writer.
func (r *reader) Reset() error { return r.end(network.Stream.Reset) }

// end ends the current stream in one of two ways, and resets the next one.
func (r *reader) end(how func(network.Stream) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ended {
		r.ended = true
		close(r.over)
	}
	select {
	case next := <-r.next:
		_ = next.Reset()
	default:
	}
	return how(r.now)
}
