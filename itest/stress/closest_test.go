//go:build unix

package stress

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/go-kad/kad/routing"
)

func TestClosest(t *testing.T) {
	const k = 4
	l := newLedger(k, 10*time.Second)
	rng := rand.New(rand.NewPCG(1, 2))
	ids := make([]string, 8)
	for i := range ids {
		ids[i] = strangerID(rng)
		l.peers[ids[i]] = &history{id: ids[i], server: true, keeps: true, lives: []*life{{began: second(-101), up: second(-100)}}}
	}
	target := routing.KeyOf([]byte("key"))
	slices.SortFunc(ids, func(a, b string) int { return target.Compare(keyOfPeer(a), keyOfPeer(b)) })
	asker, far := ids[6], ids[7]
	for _, c := range []struct {
		name  string
		list  []string
		wrong string
		short bool
	}{
		{"right", ids[:k], "", false},
		{"one missing", slices.Concat(ids[:3], ids[4:5]), "", true},
		{"most missing", []string{ids[3], ids[4], ids[5], far}, "1 of 4 servers", false},
		{"few", ids[:3], "", true},
		{"one", ids[:1], "1 of 4 servers", false},
		{"none", nil, "0 of 4 servers", false},
		{"itself", []string{ids[0], ids[1], asker}, "the node itself", false},
		{"too many", ids[:5], "k is 4", false},
		{"order", []string{ids[1], ids[0], ids[2], ids[3]}, "not in order", false},
		{"twice", []string{ids[0], ids[1], ids[1], ids[3]}, "not in order", false},
		{"a stranger", []string{ids[0], ids[1], strangerID(rng)}, "was not there", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			var a answer
			for _, id := range c.list {
				a.peers = append(a.peers, peerAt{id: id})
			}
			got, short := l.checkClosest("key", asker, second(0), second(1), a)
			check(t, got, c.wrong)
			if short != c.short {
				t.Errorf("short is %v, want %v", short, c.short)
			}
		})
	}
}
