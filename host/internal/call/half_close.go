package call

// Workaround of js-libp2p (kad-dht 16 and before), which no version of go-libp2p needs.
//
// What is wrong: some js-libp2p peers answer only when they see the end of the request;
// others reset the stream if that end comes just after their answer, which loses the
// answer. So the end is sent only if the answer has not come after 200 ms. If the stream is
// reset after that, without a reason, the end may have met an answer that was late, as on a
// busy machine: the request is sent once more. Of the requests that are not the first of
// their stream, js-libp2p peers leave a fifth unanswered until they see the end. A lookup
// takes such a peer for a slow one, and ends without it. So the streams of a peer that says
// that it is js-libp2p are not kept, and if another peer answers in the same way, its streams
// are not kept any more.
//
// It can go when no js-libp2p peer waits for the end of a request.

import (
	"errors"
	"strings"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// halfCloseAfter is how long a stream stays open for writing while there is no answer.
	halfCloseAfter = 200 * time.Millisecond

	// giveUpAfter is how long after that a stream that was kept is given up, for a new one.
	giveUpAfter = 800 * time.Millisecond
)

// halfClose ends the writing side of a stream after 200 ms, unless its timer is stopped
// before.
func (s *stream) halfClose() {
	if s.timer == nil {
		s.timer = time.AfterFunc(time.Hour, s.late) // late needs s.timer, so the time is set below
	}
	s.runLate(halfCloseAfter)
}

// runLate has late run after some time, or later on a machine that is late itself.
func (s *stream) runLate(after time.Duration) {
	after = s.pulse.Stretched(after)
	s.waits.Store(int64(after))
	s.timer.Reset(after)
}

// late ends the writing side, and then gives up a stream that was kept.
func (s *stream) late() {
	after := halfCloseAfter
	if s.slow.Load() {
		after = giveUpAfter
	}
	if more := s.pulse.Stretched(after) - time.Duration(s.waits.Load()); more > 0 { // timers are later by now
		s.waits.Add(int64(more))
		s.timer.Reset(more)
		return
	}
	if s.slow.Swap(true) {
		s.mute.Store(true)
		_ = s.Reset()
		return
	}
	_ = s.CloseWrite()
	if s.used {
		s.runLate(giveUpAfter)
	}
}

// crossed reports whether an error can come from the end of the request, which met the answer.
func (s *stream) crossed(err error) bool {
	reset, ok := errors.AsType[*network.StreamError](err)
	return ok && reset.Remote && reset.ErrorCode == 0 && s.slow.Load()
}

// answersOnce reports whether a peer says that it is js-libp2p.
func answersOnce(h lhost.Host, id peer.ID) bool {
	agent, err := h.Peerstore().Get(id, "AgentVersion")
	if err != nil {
		return false // it says nothing
	}
	name, ok := agent.(string)
	return ok && strings.Contains(name, "js-libp2p")
}
