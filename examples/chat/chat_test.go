package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-kad/kad/examples/internal/app"
	"github.com/go-kad/kad/examples/internal/transcript"
	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/routing"
)

// Three chats, the second and the third of which know the address of an earlier one.
func TestChat(t *testing.T) {
	ann := open(t, "--nick", "ann")
	ann.err.Await(t, `you are the first`)
	ann.say(t, "is anybody there?")
	ann.err.Await(t, `nobody is here`)

	bob := open(t, "--nick", "bob", "--join", ann.addr(t))
	bob.out.Await(t, `(?m)^ann: is anybody there\?$`)
	ann.err.Await(t, `bob is here, directly: you and 1 other`)
	bob.say(t, "yes\x1b[31m, me")
	ann.out.Await(t, `(?m)^bob: yes\[31m, me$`)

	cat := open(t, "--nick", "cat", "--join", bob.addr(t)) // a late-comer
	cat.err.Await(t, `you and 2 others`)
	ann.err.Await(t, `cat is here`)
	bob.err.Await(t, `cat is here`)
	ann.say(t, "welcome")
	bob.out.Await(t, `(?m)^ann: welcome$`)
	cat.out.Await(t, `(?m)^ann: welcome$`)
	cat.say(t, "hi all")
	ann.out.Await(t, `(?m)^cat: hi all$`)
	bob.out.Await(t, `(?m)^cat: hi all$`)

	start := time.Now()
	cat.stop() // as Ctrl-C does
	if code := cat.exit(t); code != app.ExitOK {
		t.Errorf("interrupted: exit code %d", code)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("leaving took %v", took)
	}
	ann.err.Await(t, `cat has left: you and 1 other`)
	_ = bob.stdin.Close() // as Ctrl-D does
	if code := bob.exit(t); code != app.ExitOK {
		t.Errorf("end of input: exit code %d", code)
	}
	ann.err.Await(t, `bob has left: you are alone`)
	if out := ann.out.String(); strings.Contains(out, "welcome") || strings.Contains(out, "*") {
		t.Errorf("ann's own lines or her status are among the lines: %q", out)
	}
}

// echo hello | chat: what is piped in is delivered before the chat ends.
func TestPipe(t *testing.T) {
	ann := open(t, "--nick", "ann")
	ci := open(t, "--nick", "ci", "--join", ann.addr(t))
	ci.say(t, "the build")
	ci.say(t, "is done")
	_ = ci.stdin.Close()
	ann.out.Await(t, `(?m)^ci: the build\nci: is done$`)
	if code := ci.exit(t); code != app.ExitOK {
		t.Errorf("exit code %d: %s", code, ci.err.String())
	}
}

func TestPipeToNobody(t *testing.T) {
	o := options{
		room: "lobby", nick: "ci", network: "/chat", listen: []string{"/ip4/127.0.0.1/tcp/0"},
		patience: 100 * time.Millisecond,
	}
	var stdout, stderr bytes.Buffer
	err := runChat(t.Context(), o, strings.NewReader("hello\n"), &screen{out: &stdout, err: &stderr})
	if err == nil || err.Error() != "nobody came within 100ms: 1 line not delivered" {
		t.Errorf("runChat() = %v", err)
	}
	if !strings.Contains(stderr.String(), "waiting up to 100ms") {
		t.Errorf("status:\n%s", stderr.String())
	}
}

func TestNoInput(t *testing.T) {
	c := open(t)
	_ = c.stdin.Close()
	if code := c.exit(t); code != app.ExitOK || c.out.String() != "" {
		t.Errorf("exit code %d, stdout %q", code, c.out.String())
	}
	c.err.Await(t, `goodbye`)
}

func TestHealth(t *testing.T) {
	var first, second bytes.Buffer
	gone := fmt.Errorf("%w: the bootstrap peer is gone\nfor good", kad.ErrNoContacts)
	h := &health{out: &screen{err: &first}, start: time.Now(), first: true}
	for _, err := range []error{errors.New("nobody"), errors.New("nobody"), nil, nil, errors.New("timeout"), errors.New("timeout"), gone, gone, nil} {
		h.report(err)
	}
	want := "* you are the first: waiting for somebody to join\n" +
		"* somebody has joined the network; looking for others in the room\n" +
		"* trying on: timeout\n" +
		"* not connected to the network, trying on: routing table is empty: the bootstrap peer is gone; for good\n" +
		"* somebody has joined the network; looking for others in the room\n"
	if first.String() != want {
		t.Errorf("status:\n%swant:\n%s", first.String(), want)
	}
	h = &health{out: &screen{err: &second}, start: time.Now()}
	for _, err := range []error{errors.New("kad: no answer yet"), errors.New("kad: refused by port 4001"), errors.New("kad: refused by port 4002"), nil} {
		h.report(err)
	}
	if s := second.String(); !strings.HasPrefix(s, "* not connected to the network, trying on: no answer yet\n"+
		"* not connected to the network, trying on: refused by port 4001\n* joined the network (") {
		t.Errorf("status:\n%s", s)
	}
}

func TestDemo(t *testing.T) {
	var stdout, stderr bytes.Buffer
	start := time.Now()
	code := run(t.Context(), []string{"--demo"}, strings.NewReader(""), &stdout, &stderr)
	t.Logf("the demo took %v", time.Since(start))
	if code != app.ExitOK || stderr.Len() > 0 {
		t.Fatalf("exit code %d, stderr %q; it told:\n%s", code, stderr.String(), stdout.String())
	}
	story := stdout.String()
	for _, part := range []string{
		"20 nodes up in ", "ann joined through node ", "bits, asked ", "ann announces: stored by ", "bob joined through node ",
		"bob finds ann in ", "connected: both are in the room", "  ann: hello!", "  bob: hi ann", "all of it",
	} {
		i := strings.Index(story, part)
		if i < 0 {
			t.Fatalf("%q is missing, or comes too early, in:\n%s", part, stdout.String())
		}
		story = story[i:]
	}
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(readme), "```console\nA room has a key")
	shown, _, ok := strings.Cut(shown, "```")
	told := transcript.Forms(stdout.String())
	for _, form := range transcript.Forms("A room has a key" + shown) {
		if !ok || !slices.Contains(told, form) {
			t.Errorf("the README has %q, which the demo does not tell:\n%s", form, stdout.String())
		}
	}
}

func TestDemoFails(t *testing.T) {
	code, stderr := program(t, "--demo", "--listen", "/ip4/203.0.113.1/tcp/0")
	if code != app.ExitFailed || !strings.HasPrefix(stderr, "chat: demo: starting 20 nodes failed: cannot listen on ") {
		t.Errorf("exit code %d, stderr %q", code, stderr)
	}
}

func TestDemoInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	var stdout, stderr bytes.Buffer
	if code := run(ctx, []string{"--demo"}, strings.NewReader(""), &stdout, &stderr); code != app.ExitFailed || !strings.Contains(stderr.String(), "enough") {
		t.Errorf("exit code %d, stderr %q", code, stderr.String())
	}
}

// sharedBits says in the words of the demo what the DHT measures.
func TestSharedBits(t *testing.T) {
	words := []string{"", "a", "b", "lobby", "ann", "bob"}
	for _, a := range words {
		for _, b := range words {
			want := routing.KeyOf([]byte(a)).CPL(routing.KeyOf([]byte(b)))
			if got := sharedBits([]byte(a), []byte(b)); got != want {
				t.Errorf("sharedBits(%q, %q) = %d, want %d", a, b, got, want)
			}
		}
	}
}

func TestProgressOnTerminal(t *testing.T) {
	var out bytes.Buffer
	p := &progress{out: &out, live: true, room: "lobby", goal: 6}
	p.draw(true)
	p.trail, p.asked, p.answered = []int{3}, 5, 2
	p.draw(false)
	p.trail, p.answered = []int{3, 6}, 5
	p.draw(true)
	want := "\r\x1b[K  room \"lobby\" [######......] 3 of 6 bits, asked 5, answered 2" +
		"\r\x1b[K  room \"lobby\" [############] 3 > 6 of 6 bits, asked 5, answered 5\n"
	if got := out.String(); got != want {
		t.Errorf("drawn: %q\nwant:  %q", got, want)
	}
}

func TestShort(t *testing.T) {
	got := []string{}
	for _, d := range []time.Duration{0, 73 * time.Microsecond, 1234567, 123456789, 2345678901} {
		got = append(got, short(d))
	}
	if want := []string{"0s", "73µs", "1.23ms", "123ms", "2.35s"}; !slices.Equal(got, want) {
		t.Errorf("short() = %v, want %v", got, want)
	}
}
