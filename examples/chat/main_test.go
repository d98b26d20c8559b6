package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/go-kad/kad/examples/internal/app"
	"github.com/go-kad/kad/examples/internal/transcript"
)

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
	}
	app.Quieten()
	goleak.VerifyTestMain(m)
}

// asProgram is the variable that makes the program of the tests that of the chat.
const asProgram = "KAD_TEST_RUN_CHAT"

// program runs the chat as a process of its own, without input.
func program(t *testing.T, args ...string) (code int, stderr string) {
	t.Helper()
	var err bytes.Buffer
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	cmd.Stderr = &err
	if failed := cmd.Run(); failed != nil && cmd.ProcessState == nil {
		t.Fatal(failed)
	}
	return cmd.ProcessState.ExitCode(), err.String()
}

// patience is how long a test waits for something that should happen at once.
const patience = time.Minute

// A console is a chat that a test types into.
type console struct {
	stdin    *io.PipeWriter
	out, err transcript.Transcript
	code     chan int
	stop     context.CancelFunc
}

// open starts a chat in this process, on loopback.
func open(t *testing.T, args ...string) *console {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	c := &console{stdin: w, code: make(chan int, 1), stop: cancel}
	args = append(args, "--listen", "/ip4/127.0.0.1/tcp/0")
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.code <- run(ctx, args, r, &c.out, &c.err)
	}()
	t.Cleanup(func() {
		cancel()
		_ = w.Close()
		<-ended
	})
	return c
}

func (c *console) say(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(c.stdin, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

// addr is the address to join through.
func (c *console) addr(t *testing.T) string {
	t.Helper()
	return c.err.Await(t, `--join (\S+)`)[1]
}

// exit waits for the end of the chat, and returns its exit code.
func (c *console) exit(t *testing.T) int {
	t.Helper()
	select {
	case code := <-c.code:
		return code
	case <-time.After(patience):
		t.Fatalf("the chat does not end; it has written:\n%s", c.err.String())
		return 0
	}
}

func TestBadFlags(t *testing.T) {
	const id = "/p2p/12D3KooWHGqaPPYWmsRgdTRUbqWfXdsEakpajGKub2QaAZzLYYDY"
	tests := []struct {
		name string
		args []string
		want string // in the line
	}{
		{"unknown flag", []string{"--rom", "x"}, "unknown flag: --rom"},
		{"argument", []string{"lobby"}, "--room lobby"},
		{"value missing", []string{"--nick"}, "needs an argument"},
		{"empty room", []string{"--room", ""}, "for example lobby"},
		{"room with a space", []string{"--room", "my room"}, "without spaces"},
		{"long room", []string{"--room", strings.Repeat("x", maxName+1)}, "1 to 32"},
		{"empty nick", []string{"--nick", ""}, "for example ann"},
		{"nick with a colon", []string{"--nick", "a:b"}, "':'"},
		{"nick with an escape", []string{"--nick", "a\x1b[31m"}, "for example ann"},
		{"empty network", []string{"--network", ""}, "for example /chat"},
		{"network without a slash", []string{"--network", "chat"}, "for example /chat"},
		{"network with a slash at the end", []string{"--network", "/chat/"}, "for example /chat"},
		{"listen", []string{"--listen", "0.0.0.0:4001"}, "/ip4/0.0.0.0/tcp/4001"},
		{"join without an ID", []string{"--join", "/ip4/192.0.2.1/tcp/4001"}, "/p2p/12D3Koo"},
		{"join without an address", []string{"--join", id}, "no address"},
		{"join with neither", []string{"--join", "192.0.2.1"}, "such as /ip4/192.0.2.1/tcp/4001/p2p/"},
		{"no swarm key", []string{"--swarm-key", "main_test.go"}, "64 hexadecimal digits"},
		{"demo with a swarm key", []string{"--demo", "--swarm-key", "swarm.key"}, "leave --swarm-key out"},
		{"demo that joins", []string{"--demo", "--join", "/ip4/192.0.2.1/tcp/4001" + id}, "leave --join out"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := run(t.Context(), tt.args, strings.NewReader(""), &stdout, &stderr)
			line := stderr.String()
			if code != app.ExitUsage || stdout.Len() > 0 {
				t.Errorf("exit code %d, stdout %q; want %d and nothing", code, stdout.String(), app.ExitUsage)
			}
			if strings.Count(line, "\n") != 1 || !strings.Contains(line, tt.want) || strings.Contains(line, "\x1b") {
				t.Errorf("stderr is %q, want one line with %q", line, tt.want)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"--help"}, strings.NewReader(""), &stdout, &stderr); code != app.ExitOK || stderr.Len() > 0 {
		t.Errorf("exit code %d, stderr %q", code, stderr.String())
	}
	for _, flag := range []string{"--room", "--nick", "--join", "--network", "--listen", "--announce", "--offer-relay", "--mdns", "--plain", "--demo"} {
		if !strings.Contains(stdout.String(), flag) {
			t.Errorf("--help does not name %s", flag)
		}
	}
}

func TestVersion(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"--version"}, strings.NewReader(""), &stdout, &stderr)
	if code != app.ExitOK || stderr.Len() > 0 || !regexp.MustCompile(`^chat \S+ go1\.\S+ \w+/\w+\n$`).MatchString(stdout.String()) {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, stdout.String(), stderr.String())
	}
}

// A host that cannot listen leaves goroutines behind, so this is a process of
// its own.
func TestListenFails(t *testing.T) {
	code, stderr := program(t, "--listen", "/ip4/203.0.113.1/tcp/4001")
	if code != app.ExitFailed || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, "cannot listen on /ip4/203.0.113.1/tcp/4001") {
		t.Errorf("exit code %d, stderr %q; want one line that names the address", code, stderr)
	}
}
