//go:build linux

package nat

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// goalUnseen is how soon a chat goes on after a change that neither machine can see.
const goalUnseen = 10 * time.Second

// A move is a change of a network that a chat is to survive: what happens to Bob, and how soon
// both are to hear each other again.
type move struct {
	name string
	goal time.Duration
	move func(*world) error
}

func moves() []move {
	return []move{
		{"Bob's machine gets another address", goal, func(w *world) error { return w.Renumber(1) }},
		{"Bob's machine moves to another NAT", goal, func(w *world) error { return w.Move(1, 2) }},
		{"Bob's NAT gets another public address", goalUnseen, func(w *world) error {
			_, err := w.Rewan(1)
			return err
		}},
		{"Bob's machine is without a network for 3s, and comes back", goal, func(w *world) error {
			if err := w.Unplug(1); err != nil {
				return err
			}
			time.Sleep(3 * time.Second)
			return w.Plug(1)
		}},
	}
}

// A survival is what a change of Bob's network has done to a chat.
type survival struct {
	toAnn, toBob time.Duration // from the change until a line that was said after it is heard
	lost, twice  int           // lines
	said         int
}

// sayEvery is the pause between two lines of a chat.
const sayEvery = 200 * time.Millisecond

// A chat goes on after the network has changed under one of two: each line is heard
// once, and soon.
func TestChatAfterMove(t *testing.T) {
	var mu sync.Mutex
	survived := make(map[string]survival)
	t.Cleanup(func() {
		if len(survived) > 0 {
			record(6, "A network changes under a chat", describeMoves(survived))
		}
	})
	for _, m := range moves() {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			s := m.survive(t)
			t.Logf("Ann hears Bob after %v, Bob hears Ann after %v; of %d lines, %d are lost and %d come twice",
				s.toAnn, s.toBob, s.said, s.lost, s.twice)
			if worst := max(s.toAnn, s.toBob); worst > m.goal {
				t.Errorf("both hear each other again after %v, want at most %v", worst, m.goal)
			}
			if s.lost > 0 || s.twice > 0 {
				t.Errorf("of %d lines, %d are lost and %d come twice", s.said, s.lost, s.twice)
			}
			mu.Lock()
			defer mu.Unlock()
			survived[m.name] = s
		})
	}
}

// survive has Ann and Bob chat directly, and the move happen to Bob.
func (m move) survive(t *testing.T) survival {
	t.Helper()
	w := newWorld(t, 1, Cone, Cone, Cone)
	requireTraversal(t, "chat")
	ann, bob := w.chatOn(t, 0, "ann"), w.chatOn(t, 1, "bob")
	ann.hears(t, "directly")
	bob.hears(t, "directly")
	time.Sleep(2 * time.Second) // their streams have moved from the relay
	return survive(t, ann, bob, func() error { return m.move(w) })
}

// survive has both say a line again and again, changes something after the tenth, and
// goes on until both have heard one that was said after that, and a second longer.
func survive(t *testing.T, ann, bob *chat, change func() error) (s survival) {
	t.Helper()
	var changed time.Time
	first := 0 // the first line that was said after the change
	for end := (time.Time{}); end.IsZero() || time.Now().Before(end); s.said++ {
		if s.said == 10 {
			if err := change(); err != nil {
				t.Fatal(err)
			}
			changed, first = time.Now(), s.said
		}
		ann.say(t, fmt.Sprintf("ann-%d.", s.said))
		bob.say(t, fmt.Sprintf("bob-%d.", s.said))
		time.Sleep(sayEvery)
		if changed.IsZero() {
			continue
		}
		s.toAnn, s.toBob = ann.hearsFrom("bob", first, s.said, changed), bob.hearsFrom("ann", first, s.said, changed)
		if end.IsZero() && s.toAnn > 0 && s.toBob > 0 || time.Since(changed) > worst {
			end = time.Now().Add(time.Second)
		}
	}
	deadline := time.Now().Add(patience) // for the last ones
	for {
		s.lost, s.twice = 0, 0
		for i := range s.said {
			for _, n := range []int{ann.count(fmt.Sprintf("bob: bob-%d.", i)), bob.count(fmt.Sprintf("ann: ann-%d.", i))} {
				s.lost += max(0, 1-n)
				s.twice += max(0, n-1)
			}
		}
		if s.lost == 0 || time.Now().After(deadline) {
			return s
		}
		time.Sleep(sayEvery)
	}
}

// hearsFrom returns how long after some time a chat has heard one of the lines from first
// to last of another chat; 0 if it has not.
func (c *chat) hearsFrom(nick string, first, last int, since time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.lines {
		for i := first; i <= last; i++ {
			if strings.Contains(l.text, fmt.Sprintf("%s: %s-%d.", nick, nick, i)) {
				return c.began.Add(l.at).Sub(since)
			}
		}
	}
	return 0
}

// count returns how many lines of a chat contain a text.
func (c *chat) count(text string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.lines {
		if strings.Contains(l.text, text) {
			n++
		}
	}
	return n
}

// describeMoves returns the table of results.
func describeMoves(survived map[string]survival) string {
	var b strings.Builder
	fmt.Fprintf(&b, `Ann and Bob chat over a direct connection, and each says a line every %v. Then Bob's network changes.
The goal is %v, or %v after a change that neither machine can see; **bold** is what misses it.

| what happens | Ann hears Bob again after | Bob hears Ann again after | lines said | lost | twice |
|---|---|---|---|---|---|
`, sayEvery, goal, goalUnseen)
	for _, m := range moves() {
		s, ok := survived[m.name]
		if !ok {
			continue
		}
		in := func(d time.Duration) string {
			if d > m.goal {
				return "**" + seconds(d) + "**"
			}
			return seconds(d)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %d | %d | %d |\n", m.name, in(s.toAnn), in(s.toBob), 2*s.said, s.lost, s.twice)
	}
	return b.String()
}
