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
	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/table"
)

// maxQuotaPeers bounds the peers, and networks, with a use of the store that is remembered.
// Beyond it, the half that uses least is forgotten: a sender with a million IDs is held up by
// the limits of the store itself.
const maxQuotaPeers = 16_384

// groupShares is how many shares of a peer the peers of one network of addresses have
// together (IPv4 /24, IPv6 /48), since identities cost nothing, and wideShares is that of a wider
// network (/16, /32): addresses of one owner cost little.
const (
	groupShares = 2
	wideShares  = 4
)

// roomyUntil is how full the store may be of announcements, while a peer that has used up its share
// may still add some: a client that announces 100 000 contents takes a sixth of a store in memory.
const roomyUntil = 0.5

// valueCost is what a value counts besides its bytes: about what an entry of a store in
// memory may take, if it is full by number and by bytes. Else one peer could put all others
// out with the smallest values.
const valueCost = 1 << 10

// A quota bounds how many bytes of the store each peer takes up, and each network of
// addresses, by what it has added lately. That leaks away over the age of a record, after
// which it has expired. A peer that stores again what is held adds nothing, so peers that
// keep records alive are not held up.
type quota struct {
	self    peer.ID                  // for which there is no bound
	limit   int                      // bytes of a peer; negative: none
	age     time.Duration            // in which they leak away; negative: records never expire
	network func(id peer.ID) network // of a sender; nil: not bounded

	mu   sync.Mutex
	used map[string]usage // by the bytes of a peer ID, or by network

	refused uint64 // charges that were too much
}

// A network is where a sender is. Its fields are empty if that is not known, or private: then it
// is not bounded.
type network struct {
	group, wide string // see scope.Group, scope.Wide
}

// A usage is how many bytes a peer, or a network, took up at a time.
type usage struct {
	bytes float64
	at    time.Time
}

// A sharer is a peer, or its network, and how many bytes it may take up.
type sharer struct {
	name  string
	limit float64
}

// A charge is what a write counts, against which sharers. The zero charge is nothing.
type charge struct {
	of    [3]sharer
	n     int // how many there are
	bytes float64
	added [3]float64 // what was counted against each: no sharer has more than its limit
}

// chargeOf returns what bytes of a peer count against: nothing if there is no bound.
func (q *quota) chargeOf(id peer.ID, bytes int) (c charge) {
	if q.limit < 0 || bytes <= 0 || id == q.self {
		return c
	}
	c.bytes, c.n = float64(bytes), 1
	c.of[0] = sharer{string(id), float64(q.limit)}
	if in := q.networkOf(id); in.group != "" {
		c.of[1] = sharer{in.group, groupShares * float64(q.limit)}
		c.of[2] = sharer{"wide " + in.wide, wideShares * float64(q.limit)} // it begins with a group
		c.n = len(c.of)
	}
	return c
}

// networkOf returns where a sender is.
func (q *quota) networkOf(id peer.ID) network {
	if q.network == nil {
		return network{}
	}
	return q.network(id)
}

// networkOf returns what says in which network of addresses a connected peer is: by the
// address of a connection, which is a fact.
func networkOf(t *table.Table) func(id peer.ID) network {
	return func(id peer.ID) network {
		for _, addr := range t.Proved(id) {
			if group := scope.Group(addr); group != "" {
				return network{group, scope.Wide(addr)}
			}
		}
		return network{}
	}
}

// charge counts bytes that a peer is about to add, or returns [kaderr.ErrOverQuota] if it has
// used up its share and there is no room beside the shares.
// If the peer does not add them, refund takes off what charge returns.
func (q *quota) charge(now time.Time, id peer.ID, bytes int, room bool) (charge, error) {
	c := q.chargeOf(id, bytes)
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, s := range c.of[:c.n] {
		c.added[i] = min(c.bytes, s.limit-q.level(now, s))
		if c.added[i] < c.bytes && !room {
			q.refused++
			return charge{}, fmt.Errorf("%w: %.0f bytes", kaderr.ErrOverQuota, s.limit)
		}
	}
	for i, s := range c.of[:c.n] {
		q.set(now, s.name, q.level(now, s)+c.added[i])
	}
	return c, nil
}

// refusals returns how many charges were too much.
func (q *quota) refusals() uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.refused
}

// set notes what a peer, or a network, takes up.
func (q *quota) set(now time.Time, name string, bytes float64) {
	if q.used == nil {
		q.used = make(map[string]usage)
	}
	if _, known := q.used[name]; !known && len(q.used) >= maxQuotaPeers {
		q.forget(now)
	}
	q.used[name] = usage{bytes, now}
}

// refund takes off what charge has counted, of the same sharers, wherever the peer is now.
func (q *quota) refund(now time.Time, c charge) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for i, s := range c.of[:c.n] {
		if _, known := q.used[s.name]; known {
			// Some of it has leaked since, or all was forgotten.
			q.used[s.name] = usage{max(0, q.level(now, s)-c.added[i]), now}
		}
	}
}

// level returns how many bytes count against a peer, or a network.
func (q *quota) level(now time.Time, s sharer) float64 {
	u := q.used[s.name]
	if q.age <= 0 {
		return u.bytes
	}
	leaked := s.limit * float64(now.Sub(u.at)) / float64(q.age)
	return max(0, u.bytes-leaked)
}

// forget drops the half of the peers and networks that use least.
func (q *quota) forget(now time.Time) {
	names := slices.SortedFunc(maps.Keys(q.used), func(a, b string) int {
		return cmp.Compare(q.level(now, sharer{a, float64(q.limit)}), q.level(now, sharer{b, float64(q.limit)}))
	})
	for _, name := range names[:len(names)/2] {
		delete(q.used, name)
	}
}
