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

// A chance is a situation whose outcome is not the same in each run.
type chance struct {
	name, what string                           // the situation, and what is waited for
	goal       time.Duration                    // the longest that it is to take, in each run
	run        func(t *testing.T) time.Duration // until it has come; 0 if it did not
}

// directWait is how long a measurement waits for a direct connection.
const directWait = 40 * time.Second

// chances are those that are tried again and again.
func chances() []chance {
	const start, change = "directly, after the start of both", "after the change"
	var all []chance
	for _, p := range []pair{{NoUDP, NoUDP}, {AddressFiltered, Symmetric}} {
		all = append(all, chance{fmt.Sprintf("%s × %s", p.a, p.b), start, directWait, func(t *testing.T) time.Duration {
			return meet(t, newWorld(t, 1, p.a, p.b), directWait).direct
		}})
	}
	for _, p := range []pair{{NoUDP, NoUDP}, {NoUDP, Cone}, {Cone, NoUDP}} {
		all = append(all, chance{fmt.Sprintf("two chats, %s × %s", p.a, p.b), start, directWait, func(t *testing.T) time.Duration {
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
		all = append(all, chance{p.name, start, directWait, func(t *testing.T) time.Duration { return p.meet(t).direct }})
	}
	all = append(all, chance{"a port-forwarded friend is all that is public", "connected, after the start of both", goal, func(t *testing.T) time.Duration {
		_, took, _ := meetByFriend(t)
		return took
	}})
	for _, h := range homes() {
		all = append(all, chance{"two chats in one home, " + h.name, "directly, after they have met", goalHome, func(t *testing.T) time.Duration {
			at := h.meet(t)
			return max(at.direct-at.met, time.Millisecond)
		}})
	}
	all = append(all, chance{"two nodes and two chats, IPv6 alone", "directly, after Connect is called, or they have met", goalIPv6, func(t *testing.T) time.Duration {
		got := meetOverIPv6(t)
		if !got.nodesDirect() {
			return 0
		}
		return max(got.took, got.direct-got.met)
	}})
	for _, m := range moves() {
		all = append(all, chance{"two chats: " + m.name, "each line is heard once, by both again " + change, m.goal, func(t *testing.T) time.Duration {
			s := m.survive(t)
			if s.toAnn == 0 || s.toBob == 0 || s.lost > 0 || s.twice > 0 {
				t.Logf("%+v", s)
				return 0
			}
			return max(s.toAnn, s.toBob)
		}})
	}
	for _, s := range sendings() {
		if s.happen == nil {
			continue
		}
		all = append(all, chance{"a file: " + s.name, "whole, directly again " + change, goal, func(t *testing.T) time.Duration { return s.send(t).direct }})
	}
	return all
}

// What chance decides comes right in nine of ten runs. It takes minutes, and runs with
// KAD_NAT_RUNS alone, which is how often each is tried.
func TestAgain(t *testing.T) {
	runs, err := strconv.Atoi(os.Getenv("KAD_NAT_RUNS"))
	if err != nil {
		t.Skip("nat: KAD_NAT_RUNS is no number of runs")
	}
	requireTraversal(t, "chat")
	text := fmt.Sprintf("%d runs of each, two laboratories at a time. Times are the least, the median and the greatest; **bold** is what misses the goal.\n\n"+
		"| situation | what is waited for | in | within | took |\n|---|---|---|---|---|\n", runs)
	for _, c := range chances() {
		var mu sync.Mutex
		var took []time.Duration
		ran := 0
		t.Run(c.name, func(t *testing.T) {
			for i := range runs {
				t.Run(strconv.Itoa(i), func(t *testing.T) {
					t.Parallel()
					d := c.run(t)
					t.Logf("%s: %v", c.what, d)
					mu.Lock()
					defer mu.Unlock()
					ran++
					if d > 0 && !t.Failed() {
						took = append(took, d)
					}
				})
			}
		})
		if ran == 0 { // -run names others
			continue
		}
		if len(took) < (9*runs+9)/10 {
			t.Errorf("%s: right in %d of %d runs", c.name, len(took), runs)
		}
		times := "–"
		if len(took) > 0 {
			slices.Sort(took)
			greatest := took[len(took)-1]
			times = seconds(took[0]) + ", " + seconds(took[len(took)/2]) + ", "
			if greatest > c.goal {
				times += "**" + seconds(greatest) + "**"
			} else {
				times += seconds(greatest)
			}
		}
		text += fmt.Sprintf("| %s | %s | %d of %d | %v | %s |\n", c.name, c.what, len(took), runs, c.goal, times)
		t.Logf("%s: right in %d of %d, took %s", c.name, len(took), runs, times)
	}
	record(14, "Again and again", strings.TrimSpace(text))
}
