package main

import (
	"context"
	"encoding/xml"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-kad/kad/examples/internal/need"
	kadnode "github.com/go-kad/kad/examples/internal/node"
)

// recordingFile is the recording of the README, which make recording writes.
var recordingFile = filepath.Join("..", "guides", "chat.svg")

const (
	paneWidth, paneHeight = 62, 17 // of a terminal, in characters
	cellWidth, cellHeight = 7.8, 17.0
	sampleEvery           = 120 * time.Millisecond
	longestPause          = 1200 * time.Millisecond // what lasts longer is shortened
	lastPause             = 4 * time.Second
)

// A pane is a terminal of tmux, with what it has shown.
type pane struct {
	title  string
	frames [][]string // its rows, at each sample
	ended  bool       // it shows what it showed last
}

// A recorder runs terminals side by side.
type recorder struct {
	t      *testing.T
	tmux   string
	socket string
	panes  []*pane
}

// run runs a command of tmux.
func (r *recorder) run(args ...string) string {
	r.t.Helper()
	cmd := exec.CommandContext(r.t.Context(), r.tmux, append([]string{"-S", r.socket, "-f", "/dev/null"}, args...)...)
	cmd.Env = append(os.Environ(), "LANG=C.UTF-8", "TERM=xterm-256color")
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.t.Fatalf("tmux %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// open starts a chat in a terminal.
func (r *recorder) open(title string, args ...string) {
	r.t.Helper()
	command := fmt.Sprintf("exec env %s=1 COLORTERM= '%s' --nick %s '%s'", asProgram, os.Args[0], title, strings.Join(args, "' '"))
	r.run("new-session", "-d", "-s", title, "-x", strconv.Itoa(paneWidth), "-y", strconv.Itoa(paneHeight), command, ";", "set-option", "-g", "status", "off")
	p := &pane{title: title}
	if len(r.panes) > 0 {
		p.frames = make([][]string, len(r.panes[0].frames)) // it was not there yet
	}
	r.panes = append(r.panes, p)
}

// sample takes in what the terminals show.
func (r *recorder) sample() {
	for _, p := range r.panes {
		if p.ended {
			p.frames = append(p.frames, p.frames[len(p.frames)-1])
			continue
		}
		p.frames = append(p.frames, strings.Split(strings.TrimSuffix(r.run("capture-pane", "-p", "-e", "-t", p.title), "\n"), "\n"))
	}
}

// until samples until a terminal shows a text, and then for a while.
func (r *recorder) until(p int, want string, then time.Duration) {
	r.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		r.sample()
		if shown := r.panes[p].frames[len(r.panes[p].frames)-1]; strings.Contains(strings.Join(shown, "\n"), want) {
			break
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%s does not show %q:\n%s", r.panes[p].title, want, strings.Join(r.panes[p].frames[len(r.panes[p].frames)-1], "\n"))
		}
		time.Sleep(sampleEvery)
	}
	for end := time.Now().Add(then); time.Now().Before(end); time.Sleep(sampleEvery) {
		r.sample()
	}
}

// types types a line, some characters at a time.
func (r *recorder) types(p int, line string) {
	for i := 0; i < len(line); i += 3 {
		r.run("send-keys", "-t", r.panes[p].title, "-l", line[i:min(len(line), i+3)])
		time.Sleep(sampleEvery)
		r.sample()
	}
	r.run("send-keys", "-t", r.panes[p].title, "Enter")
}

// With KAD_RECORDING, two people chat in two terminals, and what they see is the recording of
// the README.
func TestRecording(t *testing.T) {
	if os.Getenv("KAD_RECORDING") == "" {
		t.Skip("make recording does this")
	}
	tmux, err := exec.LookPath("tmux")
	if err != nil {
		need.Missing(t, "tmux", err)
	}
	n, err := kadnode.Start(t.Context(), []string{"--network", "/recording", "--listen", "/ip4/127.0.0.1/tcp/0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(n.Close)
	r := &recorder{t: t, tmux: tmux, socket: filepath.Join(t.TempDir(), "tmux")}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = exec.CommandContext(ctx, tmux, "-S", r.socket, "kill-server").Run()
	})
	flags := []string{"--network", "/recording", "--join", n.Addrs()[0], "--listen", "/ip4/127.0.0.1/tcp/0", "--mdns=false"}
	r.open("ann", flags...)
	r.until(0, "1 here", 2*time.Second)
	r.open("bob", flags...)
	r.until(1, "2 here", 2*time.Second)
	for _, said := range []struct {
		by   int
		line string
	}{
		{0, "hi bob, how did you find me?"},
		{1, "by the name of the room. I know one address of the network, and not yours"},
		{0, "and which server do our lines go through?"},
		{1, "none: look at the members, we are connected directly"},
		{0, "what if I close my laptop now?"},
		{1, "I keep what I say for you until you are back"},
	} {
		r.types(said.by, said.line)
		r.until(1-said.by, said.line[:20], time.Second)
	}
	r.run("send-keys", "-t", "bob", "C-c")
	r.panes[1].ended = true
	r.until(0, "bob has left", 2*time.Second)
	svg := film(r.panes[:2])
	if err := os.WriteFile(recordingFile, []byte(svg), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The recording is a picture that is not too large, and shows what was said.
func TestRecordingFile(t *testing.T) {
	text, err := os.ReadFile(recordingFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(text, new(struct{ XMLName xml.Name })); err != nil {
		t.Error(err)
	}
	for _, want := range []string{"how did you find me", "directly", "bob has left"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("it does not show %q", want)
		}
	}
	if len(text) > 300_000 {
		t.Errorf("it has %d bytes", len(text))
	}
}

// What a terminal shows is drawn with its colours, each row as long as it is the same.
func TestFilm(t *testing.T) {
	p := &pane{title: "a", frames: [][]string{nil, {"\x1b[1mx\x1b[0m<y"}, {"\x1b[1mx\x1b[0m<y"}, {"z"}}}
	svg := film([]*pane{p})
	if err := xml.Unmarshal([]byte(svg), new(struct{ XMLName xml.Name })); err != nil {
		t.Error(err)
	}
	for _, want := range []string{`<tspan class="b">x</tspan>`, `>&lt;y</`, `begin="c.begin+0.12s" end="c.begin+0.36s"`, `begin="c.begin+0.36s" end="c.end"`} {
		if !strings.Contains(svg, want) {
			t.Errorf("%s\nhas no %s", svg, want)
		}
	}
}
