package host

import (
	"maps"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// doubtAge is for how long lookups expect little of a peer that failed or was
	// late. Others name it until they have noticed too.
	doubtAge = time.Minute

	// maxDoubts bounds the memory of that.
	maxDoubts = 4096
)

// doubts are the peers that lately did not answer, so that a lookup does not
// wait for them as long once more. An answer clears a peer of it.
type doubts map[peer.ID]time.Time // until when

// add makes id doubtful.
func (d doubts) add(now time.Time, id peer.ID) {
	if len(d) >= maxDoubts {
		maps.DeleteFunc(d, func(_ peer.ID, until time.Time) bool { return !now.Before(until) })
	}
	if len(d) < maxDoubts {
		d[id] = now.Add(doubtAge)
	}
}

// has reports whether id is doubtful.
func (d doubts) has(now time.Time, id peer.ID) bool {
	until, ok := d[id]
	return ok && now.Before(until)
}
