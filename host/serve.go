package host

import (
	"bufio"
	"context"
	"errors"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/go-kad/kad/protocol"
)

const (
	// serviceName is how the resource manager of the host knows us.
	serviceName = "kad"

	// idleTimeout is how long a stream may go without a complete request.
	idleTimeout = time.Minute

	// answerTimeout bounds the work on one request, and the writing of its
	// answer: who reads slower than that is not waited for.
	answerTimeout = 10 * time.Second

	// maxRequest bounds what a stranger can make us keep in memory per stream:
	// the largest request is a record with its key.
	maxRequest = protocol.MaxValue + 64<<10
)

// serve answers the requests of one stream, one after the other, until it ends,
// is idle for a minute, or breaks the rules.
func (d *DHT) serve(s network.Stream) {
	if !d.inbound.add(s) {
		d.stats.inboundRefused.Add(1)
		_ = s.ResetWithError(codeBusy)
		return
	}
	defer d.inbound.remove(s)
	if err := s.Scope().SetService(serviceName); err != nil {
		_ = s.ResetWithError(network.StreamResourceLimitExceeded)
		return
	}
	r := bufio.NewReader(s)
	var buf []byte // of the answers, reused
	for {
		again, err := d.serveOne(s, r, &buf)
		if err != nil {
			code := codeOf(err)
			log.Debugw("stream reset", "peer", s.Conn().RemotePeer(), "error", err, "code", code)
			d.stats.inboundRefused.Add(1)
			_ = s.ResetWithError(code)
			return
		}
		if !again {
			_ = s.Close()
			return
		}
	}
}

// serveOne reads one request and writes its answer. It returns false when the
// other side has no more.
func (d *DHT) serveOne(s network.Stream, r *bufio.Reader, buf *[]byte) (again bool, err error) {
	_ = s.SetReadDeadline(time.Now().Add(idleTimeout))
	msg, err := protocol.ReadFrame(r, maxRequest)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	req, err := protocol.ParseRequest(msg)
	if err != nil {
		return false, err
	}
	d.inbound.active(s)
	ctx, cancel := context.WithTimeout(d.tasks.ctx, answerTimeout)
	defer cancel()
	a, err := d.answer(ctx, asker{s.Conn().RemotePeer(), scopeTo(s.Conn())}, req)
	d.stats.countInbound(req, err)
	if err != nil {
		return false, err
	}
	d.noticed(s.Conn())
	if _, ok := req.(protocol.AddProvider); ok {
		return true, nil // it has no answer; others would take one for that of their next request
	}
	_ = s.SetWriteDeadline(time.Now().Add(answerTimeout))
	*buf = protocol.AppendEncodedResponseFrame((*buf)[:0], req, a.records, a.closer, a.providers)
	if _, err := s.Write(*buf); err != nil {
		return false, err
	}
	return true, nil
}
