package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/go-kad/kad/examples/internal/app"
	"github.com/go-kad/kad/host/carry/resume"
)

const (
	barPause  = 200 * time.Millisecond // between two bars on a terminal
	linePause = 5 * time.Second        // between two lines elsewhere
	barWidth  = 24
)

// A teller tells the user what happens: on a terminal with a bar that is drawn again and again,
// elsewhere in lines.
type teller struct {
	out  io.Writer
	live bool

	mu   sync.Mutex
	last string // the bar that is shown
}

func newTeller(out io.Writer) *teller {
	return &teller{out: out, live: app.IsTerminal(out) && os.Getenv("TERM") != "dumb"}
}

// line writes a line.
func (t *teller) line(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.last != "" {
		_, _ = fmt.Fprint(t.out, "\r\x1b[K")
	}
	_, _ = fmt.Fprintf(t.out, format+"\n", args...)
	_, _ = fmt.Fprint(t.out, t.last)
}

// bar shows a bar in the place of the one before.
func (t *teller) bar(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = text
	_, _ = fmt.Fprint(t.out, "\r\x1b[K"+text)
}

// progress shows how far a file of size bytes is, which began at from, until stop is called.
func (t *teller) progress(size, from int64, state func() (done int64, s resume.Status)) (stop func()) {
	began, ended := time.Now(), make(chan struct{})
	var running sync.WaitGroup
	show := func() { // one call at a time
		done, s := state()
		text := describe(size, from, done, s, time.Since(began))
		if t.live {
			t.bar(text)
		} else {
			t.line("%s", text)
		}
	}
	running.Go(func() {
		pause := linePause
		if t.live {
			pause = barPause
		}
		next, path := time.Now(), resume.Path(0)
		tick := time.NewTicker(barPause)
		defer tick.Stop()
		for {
			if _, s := state(); s.Path != path || !time.Now().Before(next) {
				path, next = s.Path, time.Now().Add(pause)
				show()
			}
			select {
			case <-tick.C:
			case <-ended:
				return
			}
		}
	})
	return func() {
		close(ended)
		running.Wait()
		show()
		if t.live {
			t.bar("")
		}
	}
}

// describe returns a bar.
func describe(size, from, done int64, s resume.Status, took time.Duration) string {
	share := 1.0
	if size > 0 {
		share = float64(done) / float64(size)
	}
	full := int(share * barWidth)
	text := fmt.Sprintf("[%s%s] %3.0f %%  %s of %s", strings.Repeat("#", full), strings.Repeat(".", barWidth-full), share*100, bytesOf(done), bytesOf(size))
	if rate := float64(done-from) / max(took.Seconds(), 0.001); rate >= 1 {
		text += fmt.Sprintf("  %s/s", bytesOf(int64(rate)))
		if left := time.Duration(float64(size-done) / rate * float64(time.Second)); left >= time.Second {
			text += fmt.Sprintf("  %v left", left.Round(time.Second))
		}
	}
	switch s.Path {
	case resume.PathNone:
		text += "  looking for the other peer"
	case resume.PathRelayed:
		text += "  through a relay"
	case resume.PathDirect:
		text += "  direct"
	}
	return text
}

// bytesOf writes a number of bytes.
func bytesOf(n int64) string {
	units := []string{"bytes", "kB", "MB", "GB", "TB", "PB", "EB"}
	value, unit := float64(n), 0
	for value >= 1000 {
		value /= 1000
		unit++
	}
	if unit == 0 {
		return fmt.Sprintf("%d %s", n, units[0])
	}
	return fmt.Sprintf("%.1f %s", value, units[unit])
}

// printable returns what another peer says without signs that a terminal obeys.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return -1
	}, text)
}
