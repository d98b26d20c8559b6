package holder

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/kaderr"
)

// maxQuotaPeers bounds the peers with a use of the store that is remembered. Beyond it,
// the half that uses least is forgotten: a sender with a million IDs is held up by the
// limits of the store itself.
const maxQuotaPeers = 16_384

// A quota bounds how many bytes of the store each peer takes up, by what it has added
// lately. That leaks away over the age of a record, after which it has expired. A peer
// that stores again what is held adds nothing, so peers that keep records alive are not
// held up.
type quota struct {
	self  peer.ID       // for which there is no bound
	limit int           // bytes; negative: none
	age   time.Duration // in which they leak away; negative: records never expire

	mu   sync.Mutex
	used map[peer.ID]usage
}

// A usage is how many bytes a peer took up at a time.
type usage struct {
	bytes float64
	at    time.Time
}

// charge counts bytes that a peer is about to add, or returns [kaderr.ErrOverQuota].
// If the peer does not add them, refund takes them off.
func (q *quota) charge(now time.Time, id peer.ID, bytes int) error {
	if q.limit < 0 || bytes <= 0 || id == q.self {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	level := q.level(now, id) + float64(bytes)
	if level > float64(q.limit) {
		return fmt.Errorf("%w: %d bytes", kaderr.ErrOverQuota, q.limit)
	}
	if q.used == nil {
		q.used = make(map[peer.ID]usage)
	}
	if _, known := q.used[id]; !known && len(q.used) >= maxQuotaPeers {
		q.forget(now)
	}
	q.used[id] = usage{level, now}
	return nil
}

// refund takes off what charge has counted.
func (q *quota) refund(now time.Time, id peer.ID, bytes int) {
	if q.limit < 0 || bytes <= 0 || id == q.self {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if _, known := q.used[id]; known {
		q.used[id] = usage{max(0, q.level(now, id)-float64(bytes)), now}
	}
}

// level returns how many bytes count against a peer.
func (q *quota) level(now time.Time, id peer.ID) float64 {
	u := q.used[id]
	if q.age <= 0 {
		return u.bytes
	}
	leaked := float64(q.limit) * float64(now.Sub(u.at)) / float64(q.age)
	return max(0, u.bytes-leaked)
}

// forget drops the half of the peers that use least.
func (q *quota) forget(now time.Time) {
	ids := slices.SortedFunc(maps.Keys(q.used), func(a, b peer.ID) int {
		return cmp.Compare(q.level(now, a), q.level(now, b))
	})
	for _, id := range ids[:len(ids)/2] {
		delete(q.used, id)
	}
}
