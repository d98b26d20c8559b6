package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	kad "github.com/go-kad/kad/host"

	"github.com/go-kad/kad/examples/internal/app"
	"github.com/go-kad/kad/examples/internal/need"
	"github.com/go-kad/kad/examples/internal/transcript"
)

// viewOf returns the view of ann's window, of a size.
func viewOf(width, height int) *view {
	v := newView(newWindow(options{nick: "ann", room: "lobby", network: "/chat"}, &screen{out: io.Discard, err: io.Discard}))
	v.invite = func() string { return "come" }
	v.Init()
	v.Update(tea.WindowSizeMsg{Width: width, Height: height})
	return v
}

// rows returns what the view shows, without colours and spaces at the ends of rows.
func (v *view) rows() []string {
	rows := strings.Split(ansi.Strip(v.content()), "\n")
	for i := range rows {
		rows[i] = strings.TrimRight(rows[i], " ")
	}
	return rows
}

// press presses keys: a text, or the name of a key.
func press(v *view, keys ...string) (last tea.Cmd) {
	names := map[string]tea.KeyPressMsg{
		"enter": {Code: tea.KeyEnter}, "pgup": {Code: tea.KeyPgUp}, "pgdown": {Code: tea.KeyPgDown},
		"ctrl+c": {Code: 'c', Mod: tea.ModCtrl}, "ctrl+d": {Code: 'd', Mod: tea.ModCtrl}, "ctrl+y": {Code: 'y', Mod: tea.ModCtrl},
	}
	for _, k := range keys {
		if msg, ok := names[k]; ok {
			_, last = v.Update(msg)
			continue
		}
		for _, r := range k {
			_, last = v.Update(tea.KeyPressMsg{Code: r, Text: string(r)})
		}
	}
	return last
}

// scene is what the views of the tests show.
func scene(v *view) {
	v.Update(batch{
		statusLine("* a friend in your local network joins with:\n\n    go run ./examples/chat --room lobby --join /ip4/192.168.1.5/tcp/4001/p2p/12D3KooWHGqaPPYWmsRgdTRUbqWfXdsEakpajGKub2QaAZzLYYDY\n"),
		networkState("3 contacts, looking: asked 5, answered 4"),
		event{kind: eventJoined, nick: "bob", n: 1, via: kad.ViaRelayed},
		event{kind: eventLine, nick: "bob", text: "hello, is anybody there? I have been waiting for quite some time"},
		event{kind: eventVia, nick: "bob", via: kad.ViaPunched},
		event{kind: eventJoined, nick: "cat", n: 2, via: kad.ViaDirect},
	})
	press(v, "I am here", "enter", "and typ")
}

func TestViewWide(t *testing.T) {
	v := viewOf(80, 20)
	scene(v)
	want := strings.TrimPrefix(`
lobby · /chat · 3 contacts, looking: asked 5, answered 4
────────────────────────────────────────────────────────────────────────────────
* a friend in your local network joins with:          │ 3 here
                                                      │ ann             you
    go run ./examples/chat --room lobby --join        │ bob             punched
/ip4/192.168.1.5/tcp/4001/p2p/12D3KooWHGqaPPYWmsRgdTR │ cat             direct
UbqWfXdsEakpajGKub2QaAZzLYYDY                         │
* bob is here, through a relay: you and 1 other       │
bob: hello, is anybody there? I have been waiting for │
quite some time                                       │
* bob is connected directly (punched) now             │
* cat is here, directly: you and 2 others             │
ann: I am here                                        │
                                                      │
                                                      │
                                                      │
                                                      │
                                                      │
────────────────────────────────────────────────────────────────────────────────
ann> and typ`, "\n")
	if got := strings.Join(v.rows(), "\n"); got != want {
		t.Errorf("it shows:\n%s\nwant:\n%s", got, want)
	}
}

func TestViewNarrow(t *testing.T) {
	v := viewOf(40, 12)
	scene(v)
	want := strings.TrimPrefix(`
lobby · /chat · 3 contacts, looking: ask
3 here: bob punched, cat direct
────────────────────────────────────────
bob: hello, is anybody there? I have
been waiting for quite some time
* bob is connected directly (punched)
now
* cat is here, directly: you and 2
others
ann: I am here
────────────────────────────────────────
ann> and typ`, "\n")
	if got := strings.Join(v.rows(), "\n"); got != want {
		t.Errorf("it shows:\n%s\nwant:\n%s", got, want)
	}
}

// Whatever the size and whatever is shown, the view has as many rows as the terminal, and none
// is too wide.
func TestViewFits(t *testing.T) {
	var crowd batch
	for i := range 40 {
		crowd = append(crowd, event{kind: eventJoined, nick: fmt.Sprintf("世界-%d-%s", i, strings.Repeat("x", i)), n: i, via: kad.ViaDirect})
	}
	for _, width := range []int{0, 1, 2, 3, 5, 8, 20, 39, 40, 59, 60, 61, 80, 100} {
		for _, height := range []int{0, 1, 2, 5, 6, 7, 8, 12, 24} {
			v := viewOf(width, height)
			scene(v)
			v.Update(crowd)
			if width == 0 || height == 0 {
				if v.content() != "" {
					t.Errorf("%d x %d: it shows %q", width, height, v.content())
				}
				continue
			}
			rows := strings.Split(v.content(), "\n")
			if len(rows) > max(2, height) {
				t.Errorf("%d x %d: %d rows", width, height, len(rows))
			}
			for _, row := range rows {
				if ansi.StringWidth(row) > max(width, 8) { // what is typed has a prompt
					t.Errorf("%d x %d: a row has the width %d: %q", width, height, ansi.StringWidth(row), ansi.Strip(row))
				}
			}
		}
	}
}

// A peer leaves, and one changes its nick.
func TestViewMembers(t *testing.T) {
	v := viewOf(40, 12)
	scene(v)
	v.Update(batch{event{kind: eventRenamed, nick: "bob", text: "ben"}, event{kind: eventLeft, nick: "cat", n: 1}})
	if got := v.rows()[1]; got != "2 here: ben punched" {
		t.Errorf("the members are %q", got)
	}
	v.Update(batch{event{kind: eventLeft, nick: "ben"}})
	if got := v.rows()[1]; got != "you are alone" {
		t.Errorf("the members are %q", got)
	}
}

// What is said before remains to be seen, and new lines do not move it away.
func TestViewScrolls(t *testing.T) {
	v := viewOf(80, 10) // 6 lines
	var lines batch
	for i := range maxShown + 10 {
		lines = append(lines, event{kind: eventLine, nick: "bob", text: fmt.Sprint("line ", i)})
	}
	v.Update(lines)
	if len(v.lines) != maxShown {
		t.Errorf("%d lines are kept, want %d", len(v.lines), maxShown)
	}
	if got := v.rows(); !strings.HasPrefix(got[7], fmt.Sprintf("bob: line %d", maxShown+9)) {
		t.Errorf("the newest line is not the last:\n%s", strings.Join(got, "\n"))
	}
	press(v, "pgup")
	before := v.rows()
	if !strings.Contains(before[8], "PgDn") {
		t.Errorf("nothing says that there are newer lines:\n%s", strings.Join(before, "\n"))
	}
	press(v, "pgdown")
	if got := v.rows(); strings.Contains(got[8], "PgDn") {
		t.Errorf("it is not at the end:\n%s", strings.Join(got, "\n"))
	}
	press(v, "pgup", "hello", "enter")
	if got := v.rows(); !strings.HasPrefix(got[7], "ann: hello") {
		t.Errorf("what was said is not seen:\n%s", strings.Join(got, "\n"))
	}
}

// What is typed is said: cleaned, in pieces if it is long, and not lost if it comes too fast.
func TestViewSays(t *testing.T) {
	v := viewOf(80, 24)
	press(v, "  ", "enter", " hi\x1b ", "enter")
	if got := <-v.said; got != "hi" || len(v.said) != 0 {
		t.Errorf("said %q, and %d more", got, len(v.said))
	}
	v.input.SetValue(strings.Repeat("x", 2*maxText+1))
	press(v, "enter")
	for _, want := range []int{maxText, maxText, 1} {
		if got := <-v.said; len(got) != want {
			t.Errorf("a piece has %d bytes, want %d", len(got), want)
		}
	}
	for i := range cap(v.said) + 1 {
		press(v, fmt.Sprint("line ", i), "enter")
	}
	if got := v.input.Value(); got != fmt.Sprint("line ", cap(v.said)) {
		t.Errorf("what could not be said is %q", got)
	}
}

func TestViewKeys(t *testing.T) {
	v := viewOf(80, 24)
	quits := func(cmd tea.Cmd) bool {
		if cmd == nil {
			return false
		}
		_, ok := cmd().(tea.QuitMsg)
		return ok
	}
	if quits(press(v, "x", "ctrl+d")) || !quits(press(v, "enter", "ctrl+d")) || !quits(press(v, "ctrl+c")) {
		t.Error("Ctrl-D ends it with an empty line alone, and Ctrl-C does always")
	}
	if cmd := press(v, "ctrl+y"); cmd == nil || fmt.Sprint(cmd()) != "come" {
		t.Error("Ctrl-Y does not copy the invitation")
	}
}

// openWindow starts a chat in a window, without a terminal, that a test types into.
func openWindow(t *testing.T, nick, join string) *console {
	t.Helper()
	o := options{room: "lobby", nick: nick, network: "/chat", listen: []string{"/ip4/127.0.0.1/tcp/0"}}
	if join != "" {
		var err error
		if o.bootstrap, err = kad.ParseAddrs(join); err != nil {
			t.Fatal(err)
		}
	}
	r, stdin := io.Pipe()
	c := &console{stdin: stdin, code: make(chan int, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w := newWindow(o, &screen{out: &c.out, err: &c.err})
		w.program = []tea.ProgramOption{tea.WithWindowSize(300, 24), tea.WithEnvironment([]string{"TERM=xterm"})}
		err := w.chat(t.Context(), r)
		if err != nil {
			t.Error(err)
		}
		c.code <- app.ExitOK
	}()
	t.Cleanup(func() {
		_ = stdin.Close()
		<-ended
	})
	return c
}

// Two windows talk, and one leaves.
func TestWindows(t *testing.T) {
	ann := openWindow(t, "ann", "")
	addr := ann.out.Await(t, `--join (\S+/p2p/\w+)`)[1]
	bob := openWindow(t, "bob", addr)
	ann.out.Await(t, `bob is here`)
	bob.out.Await(t, `ann is here`)
	if _, err := io.WriteString(bob.stdin, "hi ann\r"); err != nil {
		t.Fatal(err)
	}
	ann.out.Await(t, `bob: hi ann`)
	if _, err := io.WriteString(bob.stdin, "\x03"); err != nil { // Ctrl-C
		t.Fatal(err)
	}
	bob.exit(t)
	bob.err.Await(t, `(?m)^\* goodbye$`)
	ann.out.Await(t, `bob has left`)
	if _, err := io.WriteString(ann.stdin, "\x03"); err != nil {
		t.Fatal(err)
	}
	ann.exit(t)
}

// On a terminal, the program is a window, and with --plain it is lines.
func TestTerminal(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("script has other flags here")
	}
	script, err := exec.LookPath("script")
	if err != nil {
		need.Missing(t, "terminal", err)
	}
	const altScreen = `\x1b\[\?1049h`
	for _, tt := range []struct{ flag, want, never string }{
		{"", altScreen + `(?s:.*)1 here`, `\r\n\* you are ann`},
		{"--plain", `\* you are the first`, altScreen},
	} {
		t.Run(tt.flag, func(t *testing.T) {
			command := fmt.Sprintf("stty rows 24 cols 80; exec '%s' --nick ann --network /terminal --listen /ip4/127.0.0.1/tcp/0 %s", os.Args[0], tt.flag)
			var out transcript.Transcript
			cmd := exec.CommandContext(t.Context(), script, "-qec", command, "/dev/null")
			cmd.Env = append(os.Environ(), asProgram+"=1", "TERM=xterm", "SHELL=/bin/sh")
			cmd.Stdout, cmd.Stderr = &out, &out
			stdin, err := cmd.StdinPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			out.Await(t, tt.want)
			if _, err := io.WriteString(stdin, "\x03"); err != nil { // Ctrl-C
				t.Fatal(err)
			}
			out.Await(t, `\* goodbye`)
			_ = stdin.Close()
			if err := cmd.Wait(); err != nil {
				t.Errorf("it ends with %v", err)
			}
			if regexp.MustCompile(tt.never).MatchString(out.String()) {
				t.Errorf("it wrote:\n%q", out.String())
			}
		})
	}
}
