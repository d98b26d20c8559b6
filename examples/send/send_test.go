package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/go-kad/kad/examples/internal/app"
	"github.com/go-kad/kad/examples/internal/transcript"
	"github.com/go-kad/kad/host/carry/resume"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	patience = time.Minute
	stranger = "12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x"
)

// A program is a send that runs in this process, on loopback.
type program struct {
	transcript.Transcript

	stop context.CancelFunc
	code chan int
}

func launch(t *testing.T, args ...string) *program {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	p := &program{stop: stop, code: make(chan int, 1)}
	ended := make(chan struct{})
	go func() { // ends with the test
		defer close(ended)
		p.code <- run(ctx, append(args, "--listen", "/ip4/127.0.0.1/tcp/0"), strings.NewReader(""), p)
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		if t.Failed() {
			t.Logf("%q:\n%s", args, p)
		}
	})
	return p
}

// ends waits for the end of the program, with an exit code.
func (p *program) ends(t *testing.T, code int) {
	t.Helper()
	select {
	case got := <-p.code:
		if got != code {
			t.Fatalf("exit code %d, want %d; it told:\n%s", got, code, p)
		}
	case <-time.After(patience):
		t.Fatalf("it does not end; it told:\n%s", p)
	}
}

// receiving starts a receiver, and returns what a sender types behind the file.
func receiving(t *testing.T, dir string, args ...string) (p *program, to []string) {
	t.Helper()
	p = launch(t, append([]string{"--receive", dir}, args...)...)
	m := p.Await(t, `send FILE (\S+) --join (\S+)`)
	return p, []string{m[1], "--join", m[2]}
}

// file makes a file of bytes by which an order shows.
func file(t *testing.T, name string, size int) (path string, data []byte) {
	t.Helper()
	data = make([]byte, size)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data)
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, data
}

func checkFile(t *testing.T, path string, want []byte) {
	t.Helper()
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s has %d bytes, %v; want the %d that were sent", path, len(got), err, len(want))
	}
}

// Files of all sizes arrive, and none is overwritten.
func TestSend(t *testing.T) {
	dir := t.TempDir()
	r, to := receiving(t, dir, "--yes")
	for i, size := range []int{0, 1, 3 << 20} {
		path, data := file(t, "a photo.jpg", size)
		s := launch(t, append([]string{path}, to...)...)
		s.ends(t, app.ExitOK)
		s.Await(t, `sent a photo.jpg`)
		name := "a photo.jpg"
		if i > 0 {
			name = fmt.Sprintf("a photo (%d).jpg", i+1)
		}
		r.Await(t, `received \S*`+regexp.QuoteMeta(name))
		checkFile(t, filepath.Join(dir, name), data)
	}
	r.stop()
	r.ends(t, app.ExitOK)
}

// A sender that is stopped in the middle goes on where it was, and so does one whose receiver
// was started again.
func TestGoesOn(t *testing.T) {
	dir := t.TempDir()
	path, data := file(t, "film", 4<<20)
	if err := os.WriteFile(filepath.Join(dir, "film.part"), data[:3<<20], 0o600); err != nil { // as it is left behind
		t.Fatal(err)
	}
	r, to := receiving(t, dir, "--yes", "--once")
	s := launch(t, append([]string{path}, to...)...)
	s.Await(t, `has 3.1 MB of it already`)
	s.ends(t, app.ExitOK)
	r.ends(t, app.ExitOK)
	checkFile(t, filepath.Join(dir, "film"), data)
	if _, err := os.Stat(filepath.Join(dir, "film.part")); err == nil {
		t.Error("the part is still there")
	}
}

// What is there of another file of the same name is not used.
func TestOtherPart(t *testing.T) {
	for _, there := range [][]byte{[]byte("something else"), make([]byte, 5<<20)} {
		dir := t.TempDir()
		path, data := file(t, "film", 4<<20)
		if err := os.WriteFile(filepath.Join(dir, "film.part"), there, 0o600); err != nil {
			t.Fatal(err)
		}
		_, to := receiving(t, dir, "--yes")
		launch(t, append([]string{path}, to...)...).ends(t, app.ExitOK)
		checkFile(t, filepath.Join(dir, "film"), data)
	}
}

// Ctrl-C on either side says how to go on, and what was received is kept.
func TestStopped(t *testing.T) {
	for _, side := range []string{"sender", "receiver"} {
		t.Run(side, func(t *testing.T) {
			dir := t.TempDir()
			path, data := file(t, "film", 4<<20)
			if err := os.Truncate(path, endless); err != nil {
				t.Fatal(err)
			}
			r, to := receiving(t, dir, "--yes")
			s := launch(t, append([]string{path}, to...)...)
			r.Await(t, `\[#*\.*\]`)
			if side == "sender" {
				s.stop()
				s.Await(t, `send: stopped; the same command goes on`)
			} else {
				r.stop()
				s.Await(t, `send: the other program has ended; the same command goes on`)
			}
			s.ends(t, app.ExitFailed)
			if side == "sender" {
				r.Await(t, `film from .*reset`)
			} else {
				r.ends(t, app.ExitOK)
			}
			checkPart(t, filepath.Join(dir, "film.part"), data)
		})
	}
}

// A sender whose program has ended without a word sends its file again at once: the stream that
// it has left does not keep the name. A stream that has a path does.
func TestSenderGone(t *testing.T) {
	dir := t.TempDir()
	node := func(cfg resume.Config) (lhost.Host, *resume.Endpoint) {
		h, err := app.Host([]string{"/ip4/127.0.0.1/tcp/0"})
		if err != nil {
			t.Fatal(err)
		}
		e := resume.New(h, protocol, cfg)
		t.Cleanup(func() { e.Close(); h.Close() })
		return h, e
	}
	r := newReceiver(t.Context(), options{receive: dir, yes: true, patience: patience}, strings.NewReader(""), io.Discard)
	to, _ := node(resume.Config{Accept: r.accept})
	offers := func() (lhost.Host, *resume.Stream, reply) {
		h, e := node(resume.Config{})
		if err := h.Connect(t.Context(), peer.AddrInfo{ID: to.ID(), Addrs: to.Addrs()}); err != nil {
			t.Fatal(err)
		}
		s, err := e.Open(t.Context(), to.ID())
		if err != nil {
			t.Fatal(err)
		}
		var got reply
		if err := errors.Join(say(s, offer{"film", 100}), hear(bufio.NewReader(s), &got)); err != nil {
			t.Fatal(err)
		}
		return h, s, got
	}
	h, s, first := offers()
	if first.Error != "" {
		t.Fatalf("the first: %+v", first)
	}
	if _, err := s.Write([]byte(`{"from":0}` + "\n" + "beginning")); err != nil || s.Flush(t.Context()) != nil {
		t.Fatalf("the beginning is not read: %v", err)
	}
	if _, _, second := offers(); second.Error == "" {
		t.Errorf("the second while the first is there: %+v", second)
	}
	h.Close()
	for deadline := time.Now().Add(patience); ; { // until the receiver has seen the end of the connection
		if _, _, third := offers(); third.Error == "" {
			if third.Have != int64(len("beginning")) {
				t.Errorf("the third: %+v; want what the first has left", third)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the name is kept for a sender that has gone")
		}
	}
}

// endless is the size of a file that is still on its way when a test stops it, however busy the
// machine is. Behind its beginning, it has no blocks on the disk.
const endless = 64 << 30

// checkPart fails unless a file has the beginning of data, followed by zeros.
func checkPart(t *testing.T, path string, data []byte) {
	t.Helper()
	part, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer part.Close()
	block, zeros, want := make([]byte, len(data)), make([]byte, len(data)), data
	for at := 0; ; {
		n, err := io.ReadFull(part, block)
		if !bytes.Equal(block[:n], want[:n]) {
			t.Fatalf("what is kept differs from what was sent, after %d bytes", at)
		}
		at, want = at+n, zeros
		if err != nil {
			t.Logf("%d bytes are kept", at)
			return
		}
	}
}

// A receiver takes files of the named senders alone, and says so.
func TestNotWanted(t *testing.T) {
	r, to := receiving(t, t.TempDir(), "--from", stranger)
	path, _ := file(t, "film", 10)
	s := launch(t, append([]string{path}, to...)...)
	s.Await(t, `send: not taken: the receiver does not want it|could not keep it: the receiver does not want it`)
	s.ends(t, app.ExitFailed)
	r.Await(t, `film from \S+: the receiver does not want it`)

	key := filepath.Join(t.TempDir(), "key")
	first := launch(t, "--receive", t.TempDir(), "--identity", key)
	id := first.Await(t, `send FILE (\S+)`)[1]
	first.Await(t, `no file is taken`)
	first.stop()
	first.ends(t, app.ExitOK)
	_, to = receiving(t, t.TempDir(), "--from", id)
	launch(t, append([]string{path, "--identity", key}, to...)...).ends(t, app.ExitOK)
}

// A peer that is not there is an error within the patience.
func TestNotThere(t *testing.T) {
	_, to := receiving(t, t.TempDir(), "--yes")
	path, _ := file(t, "film", 10)
	s := launch(t, append([]string{path, stranger, "--patience", "1s"}, to[1:]...)...)
	s.ends(t, app.ExitFailed)
	s.Await(t, `send: `+stranger+` was not reached`)
	s = launch(t, path, stranger, "--patience", "1s")
	s.ends(t, app.ExitFailed)
	s.Await(t, `send: `+stranger+` was not reached`)
	if strings.Contains(s.String(), "the other program") {
		t.Error("it speaks of a program that was never there")
	}
}

// A mistake on the command line is said in one line.
func TestUsage(t *testing.T) {
	path, _ := file(t, "film", 10)
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{nil, app.ExitUsage, "what is to be sent"},
		{[]string{path}, app.ExitUsage, "to which peer"},
		{[]string{path, "bob"}, app.ExitUsage, `"bob" is no ID`},
		{[]string{path, stranger, "--yes"}, app.ExitUsage, "go with --receive"},
		{[]string{"--receive", ".", path}, app.ExitUsage, "one argument too many"},
		{[]string{"--receive", ".", "--from", "bob"}, app.ExitUsage, `--from "bob"`},
		{[]string{"--receive", ".", "--join", "bob"}, app.ExitUsage, "--join"},
		{[]string{"--receive", ".", "--patience", "0s"}, app.ExitUsage, "--patience"},
		{[]string{path + "x", stranger}, app.ExitFailed, "no such file"},
		{[]string{t.TempDir(), stranger}, app.ExitFailed, "is no file"},
	} {
		var out transcript.Transcript
		if code := run(t.Context(), tt.args, strings.NewReader(""), &out); code != tt.code {
			t.Errorf("%q: exit code %d, want %d", tt.args, code, tt.code)
		}
		if got := out.String(); !strings.HasPrefix(got, "send: ") || !strings.Contains(got, tt.want) || strings.Count(got, "\n") != 1 {
			t.Errorf("%q: %q, want %q", tt.args, got, tt.want)
		}
	}
}

// Names of other peers are names of files in the directory.
func TestCleanName(t *testing.T) {
	for give, want := range map[string]string{
		"film.mp4": "film.mp4", "../../etc/passwd": "passwd", `C:\x\film`: "film", ".bashrc": "bashrc", "..": "", "a/": "",
		"a\x1b[31m:b": "a_[31m_b", "bär": "bär", strings.Repeat("ä", 150) + ".jpg": strings.Repeat("ä", 98) + ".jpg",
	} {
		if got := cleanName(give); got != want {
			t.Errorf("cleanName(%q) = %q, want %q", give, got, want)
		}
	}
}

func TestDescribe(t *testing.T) {
	for _, tt := range []struct {
		size, from, done int64
		path             resume.Path
		want             string
	}{
		{0, 0, 0, resume.PathDirect, "[########################] 100 %  0 bytes of 0 bytes  direct"},
		{2e6, 0, 1e6, resume.PathRelayed, "[############............]  50 %  1.0 MB of 2.0 MB  100.0 kB/s  10s left  through a relay"},
		{4e6, 1e6, 2e6, resume.PathNone, "[############............]  50 %  2.0 MB of 4.0 MB  100.0 kB/s  20s left  looking for the other peer"},
	} {
		if got := describe(tt.size, tt.from, tt.done, resume.Status{Path: tt.path}, 10*time.Second); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
