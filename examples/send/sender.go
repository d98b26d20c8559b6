package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-kad/kad/examples/internal/app"
	"github.com/go-kad/kad/host/carry/resume"
)

// openFile opens the file that is sent.
func openFile(path string) (*os.File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no file: send one file, for example an archive of a directory", path)
	}
	return os.Open(path) //nolint:gosec // the file that the user named
}

// send sends a file to a peer. It closes the endpoint.
func send(ctx context.Context, o options, file *os.File, e *resume.Endpoint, out io.Writer) error {
	defer e.Close() //nolint:errcheck // it returns none, and ends after ctx
	info, err := file.Stat()
	if err != nil {
		return err
	}
	tell := newTeller(out)
	tell.line("looking for %s", o.peer)
	looking, cancel := context.WithTimeout(ctx, o.patience)
	defer cancel()
	s, err := e.Open(looking, o.peer)
	if err != nil {
		return explain(ctx, err)
	}
	defer s.Close()                                          //nolint:errcheck // it returns none
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })() // Ctrl-C
	t := &transfer{stream: s, file: file, size: info.Size(), in: bufio.NewReaderSize(s, maxLine), tell: tell}
	return explain(ctx, t.send())
}

// explain says what the user needs to know about an error.
func explain(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return errors.New("stopped; the same command goes on where it was")
	case errors.Is(err, resume.ErrGone), errors.Is(err, resume.ErrReset):
		return fmt.Errorf("the other program has ended; the same command goes on where it was (%w)", err)
	case errors.Is(err, resume.ErrFull):
		return errors.New("the other peer is busy with other files: try again later")
	}
	return errors.New(strings.NewReplacer("resume: ", "", "kad: ", "").Replace(app.OneLine(err)))
}

// A transfer is one file on its way.
type transfer struct {
	stream *resume.Stream
	file   *os.File
	size   int64
	in     *bufio.Reader // of the stream
	tell   *teller
}

// send agrees with the receiver on where to begin, and sends the rest.
func (t *transfer) send() error {
	name := filepath.Base(t.file.Name())
	if err := say(t.stream, offer{name, t.size}); err != nil {
		return err
	}
	t.tell.line("connected (%s); waiting until %s (%s) is taken", t.stream.Status().Path, name, bytesOf(t.size))
	var r reply
	if err := hear(t.in, &r); err != nil {
		return err
	}
	if r.Error != "" {
		return fmt.Errorf("not taken: %s", printable(r.Error))
	}
	whole := sha256.New()
	from, err := t.agree(r, whole)
	if err != nil {
		return err
	}
	if err := say(t.stream, begin{from}); err != nil {
		return err
	}
	base := t.stream.Status().Written - from // what is written besides the file
	stop := t.tell.progress(t.size, from, func() (int64, resume.Status) {
		status := t.stream.Status()
		return min(t.size, max(from, status.Read-base)), status
	})
	err = t.rest(whole, from)
	var got result
	if heard := hear(t.in, &got); heard != nil || got.Error != "" {
		stop()
		if got.Error != "" {
			return fmt.Errorf("the other side could not keep it: %s", printable(got.Error))
		}
		return errors.Join(err, heard)
	}
	stop()
	if err != nil {
		return err
	}
	t.tell.line("sent %s (%s), SHA-256 %s", name, bytesOf(t.size), sum(whole))
	return nil
}

// agree returns from where on the file is sent, which has been added to whole up to there.
func (t *transfer) agree(r reply, whole hash.Hash) (from int64, err error) {
	if r.Have <= 0 || r.Have > t.size {
		return 0, nil
	}
	t.tell.line("the other side has %s of it already: comparing", bytesOf(r.Have))
	if _, err := io.CopyN(whole, t.file, r.Have); err != nil {
		return 0, err
	}
	if sum(whole) == r.Sum {
		return r.Have, nil
	}
	t.tell.line("that is of another file: sending all of it")
	whole.Reset()
	_, err = t.file.Seek(0, io.SeekStart)
	return 0, err
}

// rest sends the file from where it stands, and the sum of all of it.
func (t *transfer) rest(whole hash.Hash, from int64) error {
	n, err := io.CopyBuffer(t.stream, struct{ io.Reader }{io.TeeReader(io.LimitReader(t.file, t.size-from), whole)}, make([]byte, 256<<10))
	if err != nil {
		return err
	}
	if n < t.size-from {
		_ = t.stream.Reset()
		return fmt.Errorf("%s has become shorter meanwhile", t.file.Name())
	}
	if _, err := t.stream.Write(whole.Sum(nil)); err != nil {
		return err
	}
	return t.stream.CloseWrite()
}
