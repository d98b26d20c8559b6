package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-kad/kad/examples/internal/transcript"
)

// A terminal is a process that a test types into.
type terminal struct {
	cmd      *exec.Cmd
	stdin    io.WriteCloser
	out, err transcript.Transcript
	started  time.Time
}

// launch starts a program.
func launch(t *testing.T, program string, args ...string) *terminal {
	t.Helper()
	p := &terminal{cmd: exec.CommandContext(t.Context(), program, args...), started: time.Now()}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.err
	var err error
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
			_ = p.cmd.Wait()
		}
	})
	return p
}

func (p *terminal) say(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(p.stdin, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

// hears waits until a line was written, at most 5s after since, and returns how
// long after.
func (p *terminal) hears(t *testing.T, line string, since time.Time) time.Duration {
	t.Helper()
	ctx, cancel := context.WithDeadline(t.Context(), since.Add(5*time.Second))
	defer cancel()
	if _, err := p.out.Find(ctx, "(?m)^"+line+"$"); err != nil {
		t.Fatalf("%v\nstatus:\n%s", err, p.err.String())
	}
	return time.Since(since)
}

// build compiles the examples and returns the programs.
func build(t *testing.T) (chat, node string) {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", dir+string(filepath.Separator), ".", "../node")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("go build: %v", err)
	}
	return filepath.Join(dir, "chat"), filepath.Join(dir, "node")
}

// Three terminals: a node, and two chats that know nothing but its address.
func TestThreeTerminals(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles and starts three processes")
	}
	chat, node := build(t)
	const listen = "/ip4/127.0.0.1/tcp/0"
	n := launch(t, node, "--network", "/chat", "--listen", listen)
	var hello struct {
		ID    string
		Addrs []string
	}
	first := n.out.Await(t, `(?m)^\{.*\}$`)[0]
	if err := json.Unmarshal([]byte(first), &hello); err != nil || len(hello.Addrs) == 0 {
		t.Fatalf("the first line of the node is %q: %v", first, err)
	}
	join := hello.Addrs[0]
	if !strings.Contains(join, "/p2p/") {
		join += "/p2p/" + hello.ID
	}

	ann := launch(t, chat, "--nick", "ann", "--join", join, "--listen", listen)
	ann.err.Await(t, `joined the network`)
	bob := launch(t, chat, "--nick", "bob", "--join", join, "--listen", listen)
	ann.say(t, "hi, this is ann")
	bob.say(t, "hi, this is bob")
	t.Logf("bob heard ann %v after his start", bob.hears(t, "ann: hi, this is ann", bob.started).Round(time.Millisecond))
	t.Logf("ann heard bob %v after his start", ann.hears(t, "bob: hi, this is bob", bob.started).Round(time.Millisecond))

	// Leaving takes no longer than that either.
	_ = bob.stdin.Close()
	if err := bob.cmd.Wait(); err != nil {
		t.Errorf("bob ended with %v", err)
	}
	ann.err.Await(t, `bob has left`)
	leaving := time.Now()
	_ = ann.cmd.Process.Signal(os.Interrupt)
	if err := ann.cmd.Wait(); err != nil {
		t.Errorf("ann ended with %v", err)
	}
	if took := time.Since(leaving); took > 2*time.Second {
		t.Errorf("leaving took %v", took)
	}
	for _, p := range []*terminal{ann, bob} {
		if stray := bytes.ReplaceAll([]byte(p.err.String()), []byte("\n    go run"), nil); strings.Contains(string(stray), "WARN") {
			t.Errorf("a library wrote to the terminal:\n%s", stray)
		}
	}
}

func TestDemoProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles")
	}
	chat, _ := build(t)
	start := time.Now()
	out, err := exec.CommandContext(t.Context(), chat, "--demo").CombinedOutput()
	if took := time.Since(start); err != nil || took > demoTimeout {
		t.Errorf("chat --demo: %v after %v:\n%s", err, took, out)
	} else {
		t.Logf("chat --demo took %v", took.Round(time.Millisecond))
	}
}
