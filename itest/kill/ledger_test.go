package kill_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

// valueOf returns the value with a number, of 10 bytes to 4 KiB. A higher number
// makes a better value, and one that is damaged shows.
func valueOf(number int) string {
	return fmt.Sprintf("%09d", number) + strings.Repeat(string(rune('a'+number%26)), 1<<(number%13))
}

// checkValue says whether got is the value with a number, or a better one.
func checkValue(got string, number int) error {
	n, err := strconv.Atoi(got[:min(9, len(got))])
	if err != nil || n < number || got != valueOf(n) {
		return fmt.Errorf("it is %.20q, %d bytes; want number %d or above", got, len(got), number)
	}
	return nil
}

// A claim is that a peer provides a multihash.
type claim struct {
	hash string
	id   peer.ID
}

// A ledger is what a node has acknowledged.
type ledger struct {
	mu           sync.Mutex
	values       map[string]int                  // by key: the number of the best value
	claims       map[claim][]multiaddr.Multiaddr // announcements, and the addresses in them if they matter
	withdrawn    map[claim]bool                  // announcements that were taken back
	publications map[publication]bool            // the node's own
	entries      int                             // how much was acknowledged
	failure      error                           // the latest of a write, to explain why nothing goes on
}

// A publication is what a node is to publish again.
type publication struct {
	kind store.Kind
	key  string
}

func newLedger() *ledger {
	return &ledger{
		values:       make(map[string]int),
		claims:       make(map[claim][]multiaddr.Multiaddr),
		withdrawn:    make(map[claim]bool),
		publications: make(map[publication]bool),
	}
}

// enter enters something that was acknowledged.
func (l *ledger) enter(what func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries++
	what()
}

// A question is a request, and what its answer must be.
type question struct {
	request protocol.Request
	check   func(protocol.Response) error
}

// questions returns what to ask a node that must hold all that is in the ledger.
func (l *ledger) questions() []question {
	var qs []question
	for key, number := range l.values {
		qs = append(qs, question{protocol.GetValue{Key: []byte(key)}, func(r protocol.Response) error {
			if r.Record == nil {
				return fmt.Errorf("value %s is lost", key)
			}
			if err := checkValue(string(r.Record.Value), number); err != nil {
				return fmt.Errorf("value %s: %w", key, err)
			}
			return nil
		}})
	}
	for c, addrs := range l.claims {
		qs = append(qs, question{protocol.GetProviders{Key: []byte(c.hash)}, func(r protocol.Response) error {
			i := slices.IndexFunc(r.Providers, func(p protocol.Peer) bool { return p.ID == c.id })
			if i < 0 {
				return fmt.Errorf("the announcement of %x by %s is lost; there are %v", c.hash, c.id, r.Providers)
			}
			for _, a := range addrs {
				if !slices.ContainsFunc(r.Providers[i].Addrs, a.Equal) {
					return fmt.Errorf("the announcement of %x by %s has lost %s; there are %v", c.hash, c.id, a, r.Providers[i].Addrs)
				}
			}
			return nil
		}})
	}
	for c := range l.withdrawn {
		qs = append(qs, question{protocol.GetProviders{Key: []byte(c.hash)}, func(r protocol.Response) error {
			if slices.ContainsFunc(r.Providers, func(p protocol.Peer) bool { return p.ID == c.id }) {
				return fmt.Errorf("the announcement of %x by %s is back, which was withdrawn", c.hash, c.id)
			}
			return nil
		}})
	}
	return qs
}

// summary says what is in the ledger.
func (l *ledger) summary() string {
	kinds := make(map[store.Kind]int)
	for p := range maps.Keys(l.publications) {
		kinds[p.kind]++
	}
	return fmt.Sprintf("%d acknowledged: %d values, %d announcements, %d withdrawn; to publish again: %d values, %d announcements",
		l.entries, len(l.values), len(l.claims), len(l.withdrawn), kinds[store.KindValue], kinds[store.KindProvider])
}
