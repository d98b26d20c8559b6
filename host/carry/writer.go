package carry

import (
	"errors"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

const (
	writeTimeout = 30 * time.Second

	// readTimeout bounds how long a stream that was closed waits for its reader.
	readTimeout = 500 * time.Millisecond
)

// A writer is a stream that the protocol writes to. It moves: what it inherits of Stream
// is that of the first stream.
type writer struct {
	network.Stream
	key     streamKey
	host    *Host
	writing sync.Mutex // held while a message is written, and while the current stream changes
	written bool       // a message was written; guarded by writing

	mu     sync.Mutex
	now    network.Stream
	moving chan struct{} // closed when the move that is under way ends; nil: there is none
	ended  bool

	over chan struct{} // closed when the other peer reads no more
	err  error         // why; written before over is closed
}

// errReaderWrites ends a writer whose other peer does not keep to one direction.
var errReaderWrites = errors.New("the other peer wrote to a stream that it reads")

// current returns the stream that is written to now.
func (w *writer) current() network.Stream {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// swap makes s the current stream, and ends the writing on the one before. It is false
// if the writer has ended. It waits while a message is written.
func (w *writer) swap(s network.Stream) bool {
	w.writing.Lock()
	defer w.writing.Unlock()
	w.mu.Lock()
	old, ended := w.now, w.ended
	if !ended {
		w.now = s
	}
	w.mu.Unlock()
	if ended {
		return false
	}
	_ = old.SetReadDeadline(time.Now().Add(moveTimeout)) // of watch
	_ = old.CloseWrite()                                 // if it fails, the reader finds that messages are missing
	return true
}

// hasMoved reports whether the writer has left s. It waits for a move that is under way.
func (w *writer) hasMoved(s network.Stream) bool {
	w.mu.Lock()
	moving := w.moving
	w.mu.Unlock()
	if moving != nil {
		<-moving
	}
	return w.current() != s
}

// Write writes whole messages. If the stream breaks while it moves, Write repeats them on
// the next one. The deadline is its own, since the one that the protocol sets belongs to
// the first stream.
func (w *writer) Write(p []byte) (int, error) {
	return w.writeNext(func() []byte { return p })
}

// greet writes Config.Greeting, unless nothing was written before: what the protocol is
// about to write first is as good.
func (w *writer) greet() {
	_, _ = w.writeNext(func() []byte {
		if !w.written {
			return nil
		}
		return w.host.cfg.Greeting()
	})
}

// writeNext writes the messages that next returns, with the lock held.
func (w *writer) writeNext(next func() []byte) (int, error) {
	for {
		s, n, err := w.write(next)
		if err == nil || !w.hasMoved(s) {
			return n, err
		}
	}
}

// write writes to the current stream, and returns that.
func (w *writer) write(next func() []byte) (network.Stream, int, error) {
	w.writing.Lock()
	defer w.writing.Unlock()
	s, p := w.current(), next()
	if len(p) == 0 {
		return s, 0, nil
	}
	w.written = true
	if err := s.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return s, 0, err
	}
	n, err := s.Write(p)
	return s, n, err
}

// Read returns when the other peer reads no more, which is what protocols use it for: a
// writer has nothing to read.
func (w *writer) Read([]byte) (int, error) {
	<-w.over
	return 0, w.err
}

// watch waits until the other peer reads s no more, and closes it then. It is the only
// goroutine that reads s: of two, yamux v5.1.0 wakes one when a stream ends.
func (w *writer) watch(s network.Stream) {
	n, err := s.Read(make([]byte, 1))
	if n > 0 {
		err = errReaderWrites
	}
	if !w.hasMoved(s) {
		w.err = err
		close(w.over)
		if n > 0 {
			_ = w.Reset()
		}
	} else if !isEnd(err) && w.host.cfg.Lost != nil {
		w.host.cfg.Lost(w.key.peer) // the reader has not come to the end of s
	}
	w.mu.Lock()
	ended := w.ended
	w.mu.Unlock()
	if ended || w.current() != s {
		_ = s.Close()
	}
}

// Close ends the writer, and leaves the other peer half a second to read what was written.
func (w *writer) Close() error {
	s, first := w.end()
	if !first {
		return nil
	}
	_ = s.SetReadDeadline(time.Now().Add(readTimeout))
	err := s.CloseWrite()
	select {
	case <-w.over:
		return s.Close()
	default: // watch closes s
		return err
	}
}

// Reset ends the writer at once. After Close, it does nothing: what was written is still
// on its way.
func (w *writer) Reset() error {
	s, first := w.end()
	if !first {
		return nil
	}
	return s.Reset()
}

// end removes the writer from its host. It returns the current stream, and whether this
// was the first call.
func (w *writer) end() (s network.Stream, first bool) {
	w.host.mu.Lock()
	defer w.host.mu.Unlock()
	if w.host.writers[w.key] == w {
		delete(w.host.writers, w.key)
	}
	select {
	case w.host.ended <- struct{}{}:
	default:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	first, w.ended = !w.ended, true
	return w.now, first
}
