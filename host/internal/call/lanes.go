package call

import (
	"context"
	"errors"
	"math"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/kaderr"
)

const (
	// laneMost is how many requests may be under way to one peer. Peers of this
	// implementation and others serve 32 streams of one peer, and count a stream for a
	// moment after its end.
	laneMost = 24

	// laneGrowth is how many times as many requests as may be under way are answered
	// before one more may be. A peer that has room for one refuses an eighth of the
	// requests then.
	laneGrowth = 8

	// retryFirst and retryMost are the pauses before a request is tried again.
	retryFirst = 20 * time.Millisecond
	retryMost  = time.Second
)

// Lanes bound the requests that are under way: to each peer, and in all once something
// was lacking here. Further ones wait.
type lanes struct {
	mu    sync.Mutex
	peers map[peer.ID]*lane // that are in use
	all   lane
}

func newLanes() *lanes {
	return &lanes{peers: make(map[peer.ID]*lane), all: lane{limit: math.MaxInt, most: math.MaxInt}}
}

// A lane bounds requests. It learns how many may be under way: a refusal says that it is
// fewer than there are, and one more may be when enough have been answered since.
type lane struct {
	limit    int // of most
	most     int // that may be under way
	underWay int
	answered int       // since most has changed
	granted  time.Time // when a request was last answered
	users    int       // requests that are under way, wait, or pause before they try again
	waiting  queue[chan struct{}]
}

// use returns the lane of a peer. Call drop when it is not used any more.
func (s *lanes) use(to peer.ID) *lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.peers[to]
	if l == nil {
		l = &lane{limit: laneMost, most: laneMost}
		s.peers[to] = l
	}
	l.users++
	return l
}

// drop ends one use of the lane of a peer. What a lane has learnt is forgotten with its
// last use.
func (s *lanes) drop(to peer.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l := s.peers[to]; l.users > 1 {
		l.users--
		return
	}
	delete(s.peers, to)
}

// enter waits until one more request may be under way in a lane: if that is not at once,
// the request reaches Queued before, and then another stage. The error is
// [kaderr.ErrNotSent] if ctx ends first, or the turn is left. If there is none, call leave.
func (s *lanes) enter(ctx context.Context, turn *Turn, l *lane, reaches func(Stage), then Stage) error {
	s.mu.Lock()
	if l.underWay < l.most {
		l.underWay++
		s.mu.Unlock()
		return nil
	}
	granted := make(chan struct{})
	place := l.waiting.push(turn, granted)
	s.mu.Unlock()
	reaches(Queued)
	select {
	case <-granted:
		reaches(then)
		return nil
	case <-turn.left():
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-granted: // just now
		l.underWay--
		s.admit(l)
	default:
		l.waiting.remove(place)
	}
	return kaderr.ErrNotSent
}

// leave ends a request in a lane, at a time. Its error is full if there was no room.
func (s *lanes) leave(l *lane, now time.Time, err, full error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err == nil:
		l.granted = now
		if l.answered++; l.most < l.limit && l.answered >= laneGrowth*l.most {
			l.most, l.answered = l.most+1, 0
		}
	case errors.Is(err, full):
		l.most, l.answered = max(1, min(l.most, l.underWay-1)), 0
	}
	l.underWay--
	s.admit(l)
}

// admit lets in the requests that wait, as far as there is room.
func (s *lanes) admit(l *lane) {
	for l.underWay < l.most {
		granted, ok := l.waiting.first()
		if !ok {
			return
		}
		l.waiting.pop()
		l.underWay++
		close(granted)
	}
}

// lastGranted returns when a request of a lane was last answered; the zero time if none
// was.
func (s *lanes) lastGranted(l *lane) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return l.granted
}
