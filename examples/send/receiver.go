package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/examples/internal/app"
	"github.com/go-kad/kad/host/carry/resume"
)

// askPatience is how long an offer waits for the user, at most.
const askPatience = 2 * time.Minute

// A receiver takes files.
type receiver struct {
	ctx  context.Context
	opts options
	tell *teller
	done chan struct{} // closed when a file was received, with --once
	ask  *bufio.Reader // nil: nobody can be asked

	mu    sync.Mutex
	taken map[string]*taken // by the names that are being received
	asks  chan struct{}     // buffered, length 1: one question at a time
	once  sync.Once
}

// A taken is a name that is being received.
type taken struct {
	by   *resume.Stream
	left chan struct{} // closed when it is not any more
}

func newReceiver(ctx context.Context, o options, stdin io.Reader, out io.Writer) *receiver {
	r := &receiver{
		ctx: ctx, opts: o, tell: newTeller(out), done: make(chan struct{}),
		taken: make(map[string]*taken), asks: make(chan struct{}, 1),
	}
	if app.IsTerminal(stdin) {
		r.ask = bufio.NewReader(stdin)
	}
	return r
}

// invite says what a friend types to send a file here.
func (r *receiver) invite(host lhost.Host) {
	cmd := []string{"go run ./examples/send FILE", host.ID().String()}
	if r.opts.network != "/chat" {
		cmd = append(cmd, "--network", app.Quote(r.opts.network))
	}
	if addr, _ := app.BestAddr(host.Addrs()); addr != nil && len(r.opts.join) == 0 {
		cmd = append(cmd, "--join", fmt.Sprintf("%s/p2p/%s", addr, host.ID()))
	}
	for _, join := range r.opts.join {
		cmd = append(cmd, "--join", app.Quote(join))
	}
	r.tell.line("files go to %s; a friend sends one with:\n\n    %s\n", r.opts.receive, strings.Join(cmd, " "))
	if !r.opts.yes && len(r.opts.senders) == 0 && r.ask == nil {
		r.tell.line("no file is taken: name senders with --from, or take all with --yes")
	}
}

// accept receives one file.
func (r *receiver) accept(s *resume.Stream) {
	defer context.AfterFunc(r.ctx, func() { _ = s.Reset() })() // Ctrl-C
	name, err := r.receive(s)
	switch {
	case r.ctx.Err() != nil:
		return
	case err != nil:
		r.tell.line("%s from %s: %s", name, s.Peer(), app.OneLine(err))
		_ = say(s, result{Error: app.OneLine(err)})
		return
	}
	if err := say(s, result{}); err == nil {
		_ = s.CloseWrite()
		ctx, cancel := context.WithTimeout(r.ctx, r.opts.patience)
		defer cancel()
		_ = s.Flush(ctx) // so that the sender knows, before this program ends
	}
	if r.opts.once {
		r.once.Do(func() { close(r.done) })
	}
}

// receive receives the file of a stream. It returns the name that it is offered by.
func (r *receiver) receive(s *resume.Stream) (name string, err error) {
	in := bufio.NewReaderSize(s, maxLine)
	_ = s.SetReadDeadline(time.Now().Add(askPatience))
	var o offer
	if err := hear(in, &o); err != nil {
		return "a file", err
	}
	_ = s.SetReadDeadline(time.Time{})
	if err := o.check(); err != nil {
		return "a file", err
	}
	name = cleanName(o.Name)
	if err := r.agree(s.Peer(), name, o.Size); err != nil {
		return name, err
	}
	if !r.take(name, s) {
		return name, errors.New("a file of this name is being received")
	}
	defer r.leave(name)
	part, err := openPart(filepath.Join(r.opts.receive, name+".part"), o.Size)
	if err != nil {
		return name, err
	}
	defer part.close()
	if err := say(s, reply{Have: part.size, Sum: sum(part.whole)}); err != nil {
		return name, err
	}
	var b begin
	if err := hear(in, &b); err != nil {
		return name, err
	}
	if err := part.from(b.From); err != nil {
		return name, err
	}
	stop := r.tell.progress(o.Size, b.From, func() (int64, resume.Status) { return part.done(), s.Status() })
	err = part.fill(in, o.Size)
	stop()
	if err != nil {
		return name, err
	}
	at, err := part.finish(filepath.Join(r.opts.receive, name))
	if err != nil {
		return name, err
	}
	r.tell.line("received %s (%s) from %s, SHA-256 %s", at, bytesOf(o.Size), s.Peer(), sum(part.whole))
	return name, nil
}

// take reserves a name for a stream. A stream that has lost its sender gives the name up: mostly,
// that program has ended, and this is the same file again. It reports whether the name is free.
func (r *receiver) take(name string, s *resume.Stream) bool {
	for {
		r.mu.Lock()
		before := r.taken[name]
		if before == nil {
			r.taken[name] = &taken{s, make(chan struct{})}
		}
		r.mu.Unlock()
		if before == nil {
			return true
		}
		if before.by.Status().Path != resume.PathNone {
			return false
		}
		_ = before.by.Reset()
		select {
		case <-before.left:
		case <-r.ctx.Done():
			return false
		}
	}
}

func (r *receiver) leave(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.taken[name].left)
	delete(r.taken, name)
}

// agree asks the user whether a file is taken, unless that is clear.
func (r *receiver) agree(from peer.ID, name string, size int64) error {
	refused := errors.New("the receiver does not want it")
	switch {
	case r.opts.yes, slices.Contains(r.opts.senders, from):
		return nil
	case r.ask == nil:
		return refused
	}
	select {
	case r.asks <- struct{}{}:
		defer func() { <-r.asks }()
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
	r.tell.line("%s wants to send %s (%s). Take it? [y/N]", from, name, bytesOf(size))
	answered := make(chan string, 1)
	go func() { // ends with a line: there is no other way to interrupt a read
		line, _ := r.ask.ReadString('\n')
		answered <- line
	}()
	select {
	case line := <-answered:
		if a := strings.ToLower(strings.TrimSpace(line)); a == "y" || a == "yes" {
			return nil
		}
		return refused
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// A part is a file that is being received.
type part struct {
	file  *os.File
	whole hash.Hash // of what is in the file

	mu   sync.Mutex
	size int64
}

// openPart opens what there is of a file, or makes it. What is longer than the file is of
// another one.
func openPart(path string, size int64) (*part, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // in the directory that the user named
	if err != nil {
		return nil, err
	}
	p := &part{file: file, whole: sha256.New()}
	if p.size, err = io.Copy(p.whole, file); err == nil && p.size > size {
		err = p.from(0)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *part) close() { _ = p.file.Close() }

func (p *part) done() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.size
}

// from makes the sender begin where the part ends, or at 0.
func (p *part) from(offset int64) error {
	switch offset {
	case p.size:
		return nil
	case 0:
		p.size = 0
		p.whole.Reset()
		_, err := p.file.Seek(0, io.SeekStart)
		return errors.Join(err, p.file.Truncate(0))
	}
	return fmt.Errorf("the sender begins at byte %d of a file of which %d are here", offset, p.size)
}

// Write adds to the file.
func (p *part) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	p.whole.Write(b[:n])
	p.mu.Lock()
	defer p.mu.Unlock()
	p.size += int64(n)
	return n, err
}

// fill receives the rest of a file, and compares the sum.
func (p *part) fill(in *bufio.Reader, size int64) error {
	if _, err := io.CopyBuffer(struct{ io.Writer }{p}, io.LimitReader(unbuffered(in), size-p.size), make([]byte, 256<<10)); err != nil {
		return err
	}
	want := make([]byte, sha256.Size)
	if _, err := io.ReadFull(in, want); err != nil {
		return err
	}
	if !bytes.Equal(want, p.whole.Sum(nil)) {
		return errors.Join(errors.New("the checksums differ: it is to be sent again, all of it"), p.from(0))
	}
	return nil
}

// unbuffered hides the methods of a reader that copy with buffers of their own.
func unbuffered(r io.Reader) io.Reader { return struct{ io.Reader }{r} }

// finish gives the file its name, or another one if there is one of that name.
func (p *part) finish(path string) (at string, err error) {
	if err := errors.Join(p.file.Sync(), p.file.Close()); err != nil {
		return "", err
	}
	ending := filepath.Ext(path)
	for n := 1; ; n++ {
		at = path
		if n > 1 {
			at = fmt.Sprintf("%s (%d)%s", strings.TrimSuffix(path, ending), n, ending)
		}
		if _, err := os.Lstat(at); errors.Is(err, os.ErrNotExist) {
			return at, os.Rename(p.file.Name(), at)
		} else if err != nil {
			return "", err
		}
	}
}
