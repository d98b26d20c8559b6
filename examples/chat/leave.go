package main

import (
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

const (
	drainTimeout  = time.Second
	readerTimeout = 500 * time.Millisecond
)

// close leaves the room: it waits until what was said has been written, closes
// the streams, and waits until the others have read them to the end. It takes
// no longer than drainTimeout and readerTimeout together.
func (r *room) close() {
	r.leave()
}

// drain waits until what was said has been written.
func (r *room) drain() {
	select {
	case <-r.links.drained():
	case <-time.After(drainTimeout):
	}
}

// awaitReaders waits until the others have closed their side of the streams on
// which we sent. Closing the connection before could destroy what they have not
// read yet.
func (r *room) awaitReaders() {
	timeout := time.After(readerTimeout)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for r.sendingStreams() > 0 {
		select {
		case <-tick.C:
		case <-timeout:
			return
		}
	}
}

// sendingStreams counts the streams on which PubSub sends.
func (r *room) sendingStreams() int {
	n := 0
	for _, conn := range r.host.Network().Conns() {
		for _, s := range conn.GetStreams() {
			ours := s.Protocol() == moveProtocol || strings.HasPrefix(string(s.Protocol()), "/meshsub/")
			if ours && s.Stat().Direction == network.DirOutbound {
				n++
			}
		}
	}
	return n
}
