//go:build unix

package stress

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/routing"
)

// A write is a put, or an announcement, and what became of it.
type write struct {
	number     int    // of the value; 0 of an announcement
	by         string // the peer that made it
	begin, end time.Time
	holders    []string  // that acknowledged it
	wanted     int       // how many should
	withdrawn  time.Time // when it was to be taken back; zero: never
}

// A ledger has all that was written, and when each peer ran.
type ledger struct {
	k int

	// settling is how long a process must have run, without a pause, until it counts: the
	// time in which the network learns that it is there. Findable is how long until all
	// must be able to find it.
	settling, findable time.Duration

	mu     sync.Mutex
	peers  map[string]*history
	values map[string][]*write // by key
	claims map[string][]*write // announcements, by multihash
}

func newLedger(k int, settling time.Duration) *ledger {
	return &ledger{
		k: k, settling: settling, findable: 3 * settling,
		peers: make(map[string]*history), values: make(map[string][]*write), claims: make(map[string][]*write),
	}
}

// note changes what is known of peers, under the lock.
func (l *ledger) note(what func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	what()
}

// start enters a write that begins.
func (l *ledger) start(in map[string][]*write, key string, w *write) {
	l.mu.Lock()
	defer l.mu.Unlock()
	in[key] = append(in[key], w)
}

// finish enters the receipt of a write.
func (l *ledger) finish(w *write, end time.Time, a answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.end, w.holders, w.wanted = end, a.stored, a.wanted
}

// firm reports whether a write can be counted on by an operation that took from from to to.
func (l *ledger) firm(w *write, from, to time.Time) bool {
	if w.end.IsZero() || !w.end.Before(from) || !w.withdrawn.IsZero() || 2*len(w.holders) < w.wanted {
		return false
	}
	holding := l.holding(w, from, to)
	return holding > 0 && 2*holding >= len(w.holders)
}

// holding returns how many of the peers that acknowledged a write still hold it.
func (l *ledger) holding(w *write, from, to time.Time) int {
	n := 0
	for _, id := range w.holders {
		if h := l.peers[id]; h != nil && h.holds(w.begin, w.end, from, to, l.settling) {
			n++
		}
	}
	return n
}

// describe says where a write stands, for a report.
func (l *ledger) describe(w *write, from, to time.Time) string {
	return fmt.Sprintf("it was stored on %d of %d, %v before, and %d of these peers hold it",
		len(w.holders), w.wanted, from.Sub(w.end).Round(time.Millisecond), l.holding(w, from, to))
}

// checkGet returns what is false in the answer to a get of a key.
func (l *ledger) checkGet(key string, from, to time.Time, a answer) (wrong string, owed *write) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var best *write
	for _, w := range l.values[key] {
		if l.firm(w, from, to) && (best == nil || w.number > best.number) {
			best = w
		}
	}
	switch {
	case a.outcome == absent && best != nil:
		return fmt.Sprintf("not found, and number %d is there: %s", best.number, l.describe(best, from, to)), best
	case a.outcome != fine:
		return "", nil
	}
	number, ok := numberOf(a.value)
	if !ok || !slices.ContainsFunc(l.values[key], func(w *write) bool { return w.number == number && w.begin.Before(to) }) {
		return fmt.Sprintf("%.20q, %d bytes, was never put", a.value, len(a.value)), nil
	}
	if best != nil && number < best.number {
		return fmt.Sprintf("number %d, and number %d is there: %s", number, best.number, l.describe(best, from, to)), best
	}
	return "", nil
}

// checkProviders returns what is false in the answer to a search for providers, the firm
// announcement that it is false about, and whether the answer is short of any.
func (l *ledger) checkProviders(hash, asker string, from, to time.Time, a answer) (wrong string, owed *write, short bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.outcome != fine && a.outcome != absent {
		return "", nil, false
	}
	for _, p := range a.peers {
		if !slices.ContainsFunc(l.claims[hash], func(w *write) bool { return w.by == p.id && w.begin.Before(to) }) {
			return fmt.Sprintf("%s has never announced it", p.id), nil, false
		}
		if wrong := l.checkAddrs(p, from, to); wrong != "" {
			return wrong, nil, false
		}
	}
	for _, w := range l.claims[hash] {
		if w.by == asker || !l.firm(w, from, to) || slices.ContainsFunc(a.peers, func(p peerAt) bool { return p.id == w.by }) {
			continue
		}
		if len(a.peers) == 0 {
			return fmt.Sprintf("no provider, and %s is one: %s", w.by, l.describe(w, from, to)), w, false
		}
		short = true
	}
	return "", nil, short
}

// checkAddrs returns what is false in the addresses of a peer, if it names any.
func (l *ledger) checkAddrs(p peerAt, from, to time.Time) string {
	h := l.peers[p.id]
	if h == nil {
		return p.id + " was never there"
	}
	at := h.steady(from, to, l.findable)
	if at == nil || len(p.addrs) == 0 || slices.ContainsFunc(p.addrs, func(a string) bool { return slices.Contains(at.addrs, a) }) {
		return ""
	}
	return fmt.Sprintf("%s is at %v, and listens at %v", p.id, p.addrs, at.addrs)
}

// checkFind returns what is false in the answer to a search for a peer.
func (l *ledger) checkFind(id string, from, to time.Time, a answer) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.peers[id]
	switch {
	case a.outcome == absent && h != nil && h.steady(from, to, l.findable) != nil:
		return fmt.Sprintf("not found, and it runs since %v before", from.Sub(h.last().up).Round(time.Millisecond))
	case a.outcome == fine:
		return l.checkAddrs(peerAt{id, a.peers[0].addrs}, from, to)
	}
	return ""
}

// checkPing returns what is false in the answer to a ping.
func (l *ledger) checkPing(id string, from, to time.Time, a answer) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.peers[id]; a.outcome == fine && (h == nil || h.silent(from, to)) {
		return "it has answered, and was not there"
	}
	return ""
}

// checkReceipt returns what is false in the receipt of a write by a peer.
func (l *ledger) checkReceipt(asker string, from, to time.Time, a answer) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.outcome != fine {
		return ""
	}
	if len(a.stored) == 0 {
		return "it is stored, and no peer has stored it"
	}
	for _, id := range a.stored {
		if h := l.peers[id]; h == nil || h.silent(from, to) {
			return fmt.Sprintf("%s has stored it, and was not there", id)
		}
	}
	if servers := min(l.k, len(l.servers(asker, from, to, l.findable))); 2*a.wanted < servers {
		return fmt.Sprintf("it is for %d peers, and there are %d at least", a.wanted, servers)
	}
	return ""
}

// checkRefusal returns whether the refusal of a value as old is false.
func (l *ledger) checkRefusal(key string, number int, to time.Time, a answer) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	newer := func(w *write) bool { return w.number > number && w.begin.Before(to) }
	if a.outcome == refused && !slices.ContainsFunc(l.values[key], newer) {
		return "refused, and there is no newer value: " + a.why
	}
	return ""
}

// checkClosest returns what is false in a list of the peers closest to a key, and whether it
// is short of any.
func (l *ledger) checkClosest(key, asker string, from, to time.Time, a answer) (wrong string, short bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.outcome != fine {
		return "", false
	}
	const remembered = 5 * time.Minute // that a lookup has asked a peer
	target := routing.KeyOf([]byte(key))
	listed := make([]routing.Key, len(a.peers))
	for i, p := range a.peers {
		listed[i] = keyOfPeer(p.id)
		switch h := l.peers[p.id]; {
		case h == nil || h.silent(from.Add(-remembered), to):
			return fmt.Sprintf("%s was not there", p.id), false
		case p.id == asker:
			return "the node itself is in the list", false
		case i > 0 && target.Compare(listed[i-1], listed[i]) >= 0:
			return "the list is not in order", false
		}
	}
	if len(listed) > l.k {
		return fmt.Sprintf("%d peers, and k is %d", len(listed), l.k), false
	}
	servers := l.servers(asker, from, to, l.findable)
	if len(listed) < l.k {
		least := min(l.k, len(servers))
		if 2*len(listed) < least {
			return fmt.Sprintf("%d of %d servers", len(listed), least), false
		}
		return "", len(listed) < least
	}
	slices.SortFunc(servers, target.Compare)
	belong, there := 0, 0
	for _, key := range servers[:min(l.k, len(servers))] {
		if target.Compare(key, listed[len(listed)-1]) <= 0 {
			belong++
			if slices.Contains(listed, key) {
				there++
			}
		}
	}
	if 2*there < belong {
		return fmt.Sprintf("%d of %d servers that belong in the list are in it", there, belong), false
	}
	return "", there < belong
}

// servers returns the keys of the servers, besides the asker, that were steady, and that
// others can reach.
func (l *ledger) servers(asker string, from, to time.Time, before time.Duration) []routing.Key {
	var keys []routing.Key
	for id, h := range l.peers {
		if id != asker && h.server && !h.narrow && h.steady(from, to, before) != nil {
			keys = append(keys, keyOfPeer(id))
		}
	}
	return keys
}

// checkHeld returns what is false in the answer of a peer that has acknowledged a value, from
// from on, and is asked for it until to.
func (l *ledger) checkHeld(key string, w *write, holder string, to time.Time, value string, found bool) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.peers[holder]
	if h == nil || !h.holds(w.begin, w.end, w.end, to, l.settling) {
		return ""
	}
	if number, ok := numberOf(value); !found || !ok || number < w.number {
		return fmt.Sprintf("%s has acknowledged number %d of %s, and has %.20q", holder, w.number, key, value)
	}
	return ""
}

// checkClaimHeld is checkHeld for an announcement.
func (l *ledger) checkClaimHeld(hash string, w *write, holder string, to time.Time, found bool) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if h := l.peers[holder]; !found && h != nil && h.holds(w.begin, w.end, w.end, to, l.settling) {
		return fmt.Sprintf("%s has acknowledged that %s provides %x, and knows nothing of it", holder, w.by, hash)
	}
	return ""
}

// valueOf returns the value with a number, of 10 bytes to 4 KiB. The greater number is the
// better value, and damage shows.
func valueOf(number int) string {
	return fmt.Sprintf("%09d", number) + strings.Repeat(string(rune('a'+number%26)), 1<<(number%13))
}

// numberOf returns the number of a value, if it is whole.
func numberOf(value string) (number int, ok bool) {
	number, err := strconv.Atoi(value[:min(9, len(value))])
	return number, err == nil && number > 0 && value == valueOf(number)
}

// keyOfPeer returns the key of a peer, given its ID as text.
func keyOfPeer(id string) routing.Key {
	raw, err := peer.Decode(id)
	if err != nil {
		return routing.Key{} // of a peer that no ledger has
	}
	return routing.KeyOf([]byte(raw))
}
