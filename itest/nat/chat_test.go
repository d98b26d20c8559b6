//go:build linux

package nat

import (
	"bufio"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A chat is a process of examples/chat on a host of a lab.
type chat struct {
	began time.Time
	stdin io.WriteCloser

	mu    sync.Mutex
	lines []line
	more  chan struct{} // closed when there is another line
}

// A line is what a chat has written, and how long after its start.
type line struct {
	at   time.Duration
	text string
}

// chatOn starts a chat on a host. It ends with the test.
func (w *world) chatOn(t *testing.T, host int, nick string) *chat {
	t.Helper()
	return chatAt(t, w.Hosts[host], nick, w.join(t)...)
}

// chatAt starts a chat on a machine, which joins with some arguments. It ends with the test.
func chatAt(t *testing.T, m *Machine, nick string, join ...string) *chat {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(dir, "chat"), append(join, "--network", network, "--nick", nick)...)
	c := &chat{more: make(chan struct{}), began: time.Now()}
	if c.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(cmd); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() { c.read(stdout) })
	reading.Go(func() { c.read(stderr) })
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		reading.Wait()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", nick, c.transcript())
		}
	})
	return c
}

// read keeps what the chat writes.
func (c *chat) read(r io.Reader) {
	for lines := bufio.NewScanner(r); lines.Scan(); {
		c.mu.Lock()
		c.lines = append(c.lines, line{time.Since(c.began), lines.Text()})
		close(c.more)
		c.more = make(chan struct{})
		c.mu.Unlock()
	}
}

func (c *chat) say(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(c.stdin, text+"\n"); err != nil {
		t.Fatal(err)
	}
}

// hears waits until the chat writes a line that contains text, and returns when,
// since its start.
func (c *chat) hears(t *testing.T, text string) time.Duration {
	t.Helper()
	return c.hearsWithin(t, text, worst)
}

// hearsWithin is hears with another limit of the wait.
func (c *chat) hearsWithin(t *testing.T, text string, limit time.Duration) time.Duration {
	t.Helper()
	at, ok := c.heard(text, limit)
	if !ok {
		t.Fatalf("%q was not heard after %v", text, limit)
	}
	return at
}

// heard is hearsWithin, and reports whether there was such a line.
func (c *chat) heard(text string, limit time.Duration) (at time.Duration, ok bool) {
	timeout := time.After(limit)
	for {
		c.mu.Lock()
		lines, more := c.lines, c.more
		c.mu.Unlock()
		for _, l := range lines {
			if strings.Contains(l.text, text) {
				return l.at, true
			}
		}
		select {
		case <-more:
		case <-timeout:
			return 0, false
		}
	}
}

// transcript returns all that the chat has written, for a table.
func (c *chat) transcript() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for _, l := range c.lines {
		if l.text = strings.TrimSpace(l.text); l.text != "" {
			fmt.Fprintf(&b, "%8s  %s\n", seconds(l.at), l.text)
		}
	}
	return b.String()
}

// Two who start a chat at the same time, behind a NAT each, hear each other, and
// go on when the relay dies by which they have met.
func TestChat(t *testing.T) {
	w := newWorld(t, 1, Cone, Cone)
	requireTraversal(t, "chat")
	ann, bob := w.chatOn(t, 0, "ann"), w.chatOn(t, 1, "bob")
	ann.say(t, "can you hear me")
	bob.say(t, "loud and clear")
	first := max(bob.hears(t, "ann: can you hear me"), ann.hears(t, "bob: loud and clear"))
	eventuallyDirect := ann.hears(t, "direct")

	w.public[0].kill()
	ann.say(t, "and now")
	bob.hears(t, "ann: and now")
	bob.say(t, "still here")
	ann.hears(t, "bob: still here")
	record(3, "From a cold start to the first chat line", fmt.Sprintf(
		"Ann and Bob start a chat at the same time, behind a NAT (%s) each, and both have said something. Both have heard the other\n"+
			"after %s, Ann is told of a direct connection after %s, and the chat goes on when the relay is killed. What Ann sees:\n\n```\n%s```\n",
		Cone, seconds(first), seconds(eventuallyDirect), ann.transcript()))
}
