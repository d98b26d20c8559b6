package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	kad "github.com/go-kad/kad/host"
)

// A manyLine is a line of the answer to POST /v1/provide with a body: what became of a content, or
// the end, which alone has Done.
type manyLine struct {
	CID, Error string
	Progress   kad.Progress
	Done       *bool
}

// A manyEnd is the last line.
type manyEnd struct {
	Done                     bool
	Error                    string
	Stored, Failed, Requests int
	Elapsed                  float64 `json:"elapsed_ms"`
}

// provideMany announces the contents of stdin, whose CIDs are one a line, and shows the ones that
// failed.
func provideMany(ctx context.Context, s *session) error {
	total, err := countLines(s.stdin)
	if err != nil {
		return fmt.Errorf("stdin cannot be read: %w", err)
	}
	ctx, p := s.newProgress(ctx, "announcing contents")
	defer p.end()
	resp, err := s.request(ctx, http.MethodPost, "/v1/provide", nil, s.stdin)
	if err != nil {
		return s.failed(err)
	}
	defer func() { _ = resp.Body.Close() }()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20) // a receipt names up to k peers, and why each has failed
	for lines.Scan() {
		var line manyLine
		var end manyEnd
		err := json.Unmarshal(lines.Bytes(), &line)
		if err == nil && line.Done != nil {
			err = json.Unmarshal(lines.Bytes(), &end)
		}
		if err != nil {
			return fmt.Errorf("the answer of %s cannot be read: %w", s.url, err)
		}
		if s.out.json {
			s.out.raw(lines.Bytes())
		}
		if line.Done == nil {
			p.set(tallyOf(line.Progress, time.Since(p.started), total))
			if line.Error != "" && !s.out.json {
				s.out.say("%s: %s", line.CID, bad(line.Error))
			}
			continue
		}
		p.end()
		if err = end.show(&s.out); end.Done && s.own != nil {
			return nil // the node goes on, and tries again what failed
		}
		return err
	}
	return errors.Join(fmt.Errorf("the answer of %s was cut off", s.url), lines.Err())
}

// show shows the end. It is an error if some contents failed.
func (e manyEnd) show(o *output) error {
	if !o.json {
		o.say("%s", good(plural(e.Stored, "content")+" stored"))
		o.say("%s", dim(fmt.Sprintf("%s, in %s", plural(e.Requests, "request"), milliseconds(e.Elapsed))))
	}
	if !e.Done {
		return errors.New(e.Error)
	}
	if e.Failed > 0 {
		return fmt.Errorf("%s failed", plural(e.Failed, "content"))
	}
	return nil
}

// tallyOf returns in words how far it is after a time. A total of 0 is unknown.
func tallyOf(p kad.Progress, took time.Duration, total int) string {
	done, left := fmt.Sprint(p.Done), ""
	if total > 0 {
		done = fmt.Sprintf("%d of %d", p.Done, total)
		left = fmt.Sprintf(", %s left", p.Left(took, total).Round(time.Second))
	}
	return fmt.Sprintf("%s done, %d failed, %.0f a second%s; %.0f %% of the key space for those that are read", done, p.Failed, float64(p.Done)/took.Seconds(), left, 100*p.Part)
}

// countLines returns how many lines with text a file has, from where it stands, and goes back there; 0
// if r is no regular file.
func countLines(r io.Reader) (count int, err error) {
	f, ok := r.(*os.File)
	if !ok {
		return 0, nil
	}
	if info, err := f.Stat(); err != nil || !info.Mode().IsRegular() {
		return 0, err
	}
	begin, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if len(bytes.TrimSpace(lines.Bytes())) > 0 {
			count++
		}
	}
	if _, err := f.Seek(begin, io.SeekStart); err != nil {
		return 0, err
	}
	if errors.Is(lines.Err(), bufio.ErrTooLong) {
		return 0, nil // the API says so
	}
	return count, lines.Err()
}
