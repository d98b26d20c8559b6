//go:build linux

package nat

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// A send is a process of examples/send on a host of a lab.
type send struct {
	chat // what it writes

	ended func() error
}

// sendOn starts a send on a host. It ends with the test.
func (w *world) sendOn(t *testing.T, host int, args ...string) *send {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(dir, "send"), append(append(w.join(t), "--network", network), args...)...)
	s := &send{chat: chat{more: make(chan struct{}), began: time.Now()}}
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Hosts[host].Start(cmd); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(func() { s.read(out) })
	s.ended = sync.OnceValue(func() error {
		reading.Wait()
		return cmd.Wait()
	})
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = s.ended()
		if t.Failed() {
			t.Logf("%q:\n%s", args, s.transcript())
		}
	})
	return s
}

// A sending is what happens to a file on its way.
type sending struct {
	name   string
	behind []Flavour
	happen func(*testing.T, *world)
}

func sendings() []sending {
	return []sending{
		{"nothing", []Flavour{Cone, Cone}, nil},
		{"the receiver's machine moves to another NAT", []Flavour{Cone, Cone, Cone}, func(t *testing.T, w *world) {
			t.Helper()
			if err := w.Move(1, 2); err != nil {
				t.Fatal(err)
			}
		}},
		{"the sender's machine gets another address", []Flavour{Cone, Cone}, func(t *testing.T, w *world) {
			t.Helper()
			if err := w.Renumber(0); err != nil {
				t.Fatal(err)
			}
		}},
		{"the receiver's NAT gets another public address", []Flavour{Cone, Cone}, func(t *testing.T, w *world) {
			t.Helper()
			if _, err := w.Rewan(1); err != nil {
				t.Fatal(err)
			}
		}},
	}
}

// sentSize is the size of the file that is sent: much more than a relay carries, and enough
// that something can happen on its way.
const sentSize = 40 << 20

// A sent is what became of a file: when it had arrived, and how long after what has happened it
// went over a direct connection again; 0 if it did not, or nothing has happened.
type sent struct{ after, direct time.Duration }

// A file between two peers behind NATs arrives whole, whatever happens to the network
// meanwhile. Their relay ends connections after 128 KiB.
func TestSend(t *testing.T) {
	var mu sync.Mutex
	all := make(map[string]sent)
	t.Cleanup(func() { record(12, "A file", describeSendings(all)) })
	for _, s := range sendings() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			got := s.send(t)
			mu.Lock()
			defer mu.Unlock()
			all[s.name] = got
		})
	}
}

// send has Ann send a file to Bob, something happen on its way, and looks at what has arrived.
func (s sending) send(t *testing.T) (got sent) {
	t.Helper()
	l := up(t, Plan{Public: 1 + plainNodes + 1, Behind: s.behind, Latency: oneWay})
	requireTraversal(t, "node")
	w := settle(t, l, 1, "--relay-bytes", "131072")
	dir, data := t.TempDir(), make([]byte, sentSize)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	path := filepath.Join(dir, "film")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	there := filepath.Join(dir, "received")
	to := w.sendOn(t, 1, "--receive", there, "--yes", "--once")
	id := regexp.MustCompile(`send FILE (\S+)`).FindStringSubmatch(to.line(t, "send FILE"))[1]
	from := w.sendOn(t, 0, path, id)
	var happened time.Duration
	if s.happen != nil {
		w.awaitPart(t, filepath.Join(there, "film.part"))
		happened = time.Since(from.began)
		s.happen(t, w)
	}
	if err := from.ended(); err != nil {
		t.Fatalf("the sender ended with %v", err)
	}
	got.after = time.Since(from.began)
	if s.happen != nil {
		got.direct = from.directAgain(happened)
	}
	if err := to.ended(); err != nil {
		t.Errorf("the receiver ended with %v", err)
	}
	if arrived, err := os.ReadFile(filepath.Join(there, "film")); err != nil || !bytes.Equal(arrived, data) {
		t.Errorf("%d bytes arrived, %v; want the %d that were sent", len(arrived), err, len(data))
	}
	t.Logf("after %v, direct again after %v:\n%s", got.after, got.direct, from.transcript())
	return got
}

// line waits for a line that contains text, and returns it.
func (c *chat) line(t *testing.T, text string) string {
	t.Helper()
	c.hears(t, text)
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.lines {
		if strings.Contains(l.text, text) {
			return l.text
		}
	}
	return ""
}

// directAgain returns how long after a moment, which is counted from the start, a send has said
// that its file goes over a direct connection, after it had said otherwise; 0 if it did not.
func (c *chat) directAgain(since time.Duration) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	lost := false
	for _, l := range c.lines {
		switch direct := strings.HasSuffix(l.text, "direct"); {
		case l.at < since:
		case !direct:
			lost = true
		case lost:
			return l.at - since
		}
	}
	return 0
}

// awaitPart waits until a part of the file is there that no relay has carried.
func (w *world) awaitPart(t *testing.T, path string) {
	t.Helper()
	for deadline := time.Now().Add(worst); ; time.Sleep(5 * time.Millisecond) { // no event tells of a file
		if info, err := os.Stat(path); err == nil && info.Size() > 1<<20 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no part of the file arrives within %v", worst)
		}
	}
}

// describeSendings returns the table of results.
func describeSendings(all map[string]sent) string {
	var b strings.Builder
	_, _ = fmt.Fprintf(&b, `Ann sends Bob a file of %d MiB, behind a NAT (%s) each. The relay by which they meet ends connections after 128 KiB. The
file has arrived, with the right checksum, this long after the sender's start, and goes over a direct connection again this long
after what happens. The goal is %v for that; **bold** is what misses it.

| what happens on its way | sent after | direct again after |
|---|---|---|
`, sentSize>>20, Cone, goal)
	for _, s := range sendings() {
		got, ok := all[s.name]
		if !ok {
			continue
		}
		direct := ""
		if got.direct > 0 {
			direct = seconds(got.direct)
		}
		if got.direct > goal {
			direct = "**" + direct + "**"
		}
		_, _ = fmt.Fprintf(&b, "| %s | %s | %s |\n", s.name, seconds(got.after), direct)
	}
	return b.String()
}
