//go:build linux

package nat

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A chance is a pair that libp2p connects directly in some runs only, as far as it depends on it.
type chance struct {
	name string
	run  func(t *testing.T) (direct time.Duration) // since the start of both; 0 if there was none
}

// directWait is how long a measurement waits for a direct connection.
const directWait = 40 * time.Second

// chances are those that are tried again and again.
func chances() (all []chance) {
	for _, p := range []pair{{NoUDP, NoUDP}, {AddressFiltered, Symmetric}} {
		all = append(all, chance{fmt.Sprintf("%s × %s", p.a, p.b), func(t *testing.T) time.Duration {
			return meet(t, newWorld(t, 1, p.a, p.b), directWait).direct
		}})
	}
	for _, p := range []pair{{NoUDP, NoUDP}, {NoUDP, Cone}, {Cone, NoUDP}} {
		all = append(all, chance{fmt.Sprintf("two chats, %s × %s", p.a, p.b), func(t *testing.T) time.Duration {
			w := newWorld(t, 1, p.a, p.b)
			ann, bob := w.chatOn(t, 0, "ann"), w.chatOn(t, 1, "bob")
			a, annIs := ann.heard("directly", directWait)
			b, bobIs := bob.heard("directly", directWait)
			if !annIs || !bobIs {
				return 0
			}
			return max(a, b)
		}})
	}
	for _, p := range poorPaths() {
		all = append(all, chance{p.name, func(t *testing.T) time.Duration { return p.meet(t).direct }})
	}
	return all
}

// Pairs that met directly in some runs only do so in nine of ten. It takes minutes, and runs with
// KAD_NAT_RUNS alone, which is how often each is tried.
func TestAgain(t *testing.T) {
	runs, err := strconv.Atoi(os.Getenv("KAD_NAT_RUNS"))
	if err != nil {
		t.Skip("nat: KAD_NAT_RUNS is no number of runs")
	}
	requireTraversal(t, "chat")
	text := fmt.Sprintf("%d runs of each, two laboratories at a time. Times are from the start of both, the least and the greatest.\n\n"+
		"| A × B | direct in | after |\n|---|---|---|\n", runs)
	for _, c := range chances() {
		var mu sync.Mutex
		var direct []time.Duration
		t.Run(c.name, func(t *testing.T) {
			for i := range runs {
				t.Run(strconv.Itoa(i), func(t *testing.T) {
					t.Parallel()
					took := c.run(t)
					t.Logf("direct after %v", took)
					mu.Lock()
					defer mu.Unlock()
					if took > 0 {
						direct = append(direct, took)
					}
				})
			}
		})
		if len(direct) < (9*runs+9)/10 {
			t.Errorf("%s: direct in %d of %d runs", c.name, len(direct), runs)
		}
		after := "–"
		if len(direct) > 0 {
			after = seconds(slices.Min(direct)) + " to " + seconds(slices.Max(direct))
		}
		text += fmt.Sprintf("| %s | %d of %d | %s |\n", c.name, len(direct), runs, after)
		t.Logf("%s: direct in %d of %d, after %s", c.name, len(direct), runs, after)
	}
	record(14, "Again and again", strings.TrimSpace(text))
}
