package carry

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
)

const (
	// moveProtocol continues a stream on another connection. The writer opens it, and
	// sends the protocol ID of the stream with its length in front. The reader answers
	// with one byte: it will read on here when the first stream has ended.
	moveProtocol lprotocol.ID = "/kad/move/1.0.0"

	moveTimeout  = 5 * time.Second
	moveAttempts = 3
	movePause    = time.Second // between two attempts

	// maxProtocol bounds the protocol ID that is read, in bytes.
	maxProtocol = 256
)

// errWriterEnded ends a move whose stream is closed.
var errWriterEnded = errors.New("the stream is closed")

// moveAll moves all streams to a peer that are on relayed connections.
func (h *Host) moveAll(id peer.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for key, w := range h.writers {
		if key.peer == id {
			h.startMove(w)
		}
	}
}

// startMove moves a writer, unless it is on a direct connection already, or moving. The
// lock is held.
func (h *Host) startMove(w *writer) {
	if h.closed || !w.beginMove() {
		return
	}
	h.running.Go(func() {
		defer w.endMove()
		for range moveAttempts {
			err := w.move(h.ctx)
			if err == nil || errors.Is(err, errWriterEnded) || !pause(h.ctx, movePause) {
				return
			}
		}
	})
}

// pause waits for d, and is false if ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// beginMove reports whether the caller is to move the writer.
func (w *writer) beginMove() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.moving != nil || w.ended || !IsRelayed(w.now.Conn()) {
		return false
	}
	w.moving = make(chan struct{})
	return true
}

func (w *writer) endMove() {
	w.mu.Lock()
	defer w.mu.Unlock()
	close(w.moving)
	w.moving = nil
}

// move opens a stream on a direct connection, and continues there.
func (w *writer) move(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(network.WithNoDial(ctx, "carry"), moveTimeout)
	defer cancel()
	s, err := w.host.Host.NewStream(ctx, w.key.peer, moveProtocol)
	if err != nil {
		return err
	}
	if err := w.continueOn(ctx, s); err != nil {
		_ = s.Reset()
		return err
	}
	return nil
}

// continueOn agrees with the reader on s, and makes it the current stream.
func (w *writer) continueOn(ctx context.Context, s network.Stream) error {
	if IsRelayed(s.Conn()) {
		return network.ErrLimitedConn // the direct connection has closed again
	}
	reset := context.AfterFunc(ctx, func() { _ = s.Reset() })
	_, err := s.Write(append(binary.AppendUvarint(nil, uint64(len(w.key.protocol))), w.key.protocol...))
	if err == nil {
		_, err = io.ReadFull(s, make([]byte, 1))
	}
	if !reset() || err != nil {
		return fmt.Errorf("moving a stream: not agreed: %w", err)
	}
	if !w.swap(s) {
		return errWriterEnded
	}
	w.host.running.Go(func() { w.watch(s) }) // this is one of running itself
	return nil
}

// continueReading handles a stream that continues one that is being read.
func (h *Host) continueReading(s network.Stream) {
	_ = s.SetReadDeadline(time.Now().Add(moveTimeout))
	id, err := readMessage(bufio.NewReader(s), maxProtocol) // nothing follows before the answer
	_ = s.SetReadDeadline(time.Time{})
	if err != nil {
		_ = s.Reset()
		return
	}
	_, n := binary.Uvarint(id)
	h.mu.Lock()
	r := h.readers[streamKey{s.Conn().RemotePeer(), lprotocol.ID(id[n:])}]
	h.mu.Unlock()
	if r == nil || !r.append(s) {
		_ = s.Reset()
		return
	}
	if _, err := s.Write([]byte{1}); err != nil {
		_ = s.Reset() // it stays appended, and ends the reader if that gets there
	}
}
