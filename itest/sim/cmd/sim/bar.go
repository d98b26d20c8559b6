package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
)

// A bar shows how far the program is, if somebody is there to see it.
type bar struct {
	out   io.Writer // nil if nobody is
	name  string
	total int
	since time.Time
	shown time.Time
}

// newBar returns a bar on out, if that is a terminal.
func newBar(out io.Writer) *bar {
	if f, ok := out.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		return &bar{out: out}
	}
	return &bar{}
}

// begin starts a part of the work, of so many steps.
func (b *bar) begin(name string, total int) {
	b.name, b.total, b.since, b.shown = name, total, time.Now(), time.Time{}
	b.at(0)
}

const (
	barWidth = 30
	barAfter = 100 * time.Millisecond // between two pictures
)

// at shows that so many steps are done.
func (b *bar) at(done int) {
	if now := time.Now(); b.out != nil && now.Sub(b.shown) >= barAfter {
		b.shown = now
		_, _ = fmt.Fprintf(b.out, "\r\x1b[K%s", b.line(done, now.Sub(b.since)))
	}
}

// line returns the picture after so many steps, which took so long.
func (b *bar) line(done int, took time.Duration) string {
	full := barWidth * done / max(1, b.total)
	left := ""
	if done > 0 {
		rest := took / time.Duration(done) * time.Duration(b.total-done)
		left = rest.Round(time.Second).String() + " left"
	}
	return fmt.Sprintf("%-14s [%s%s] %d/%d %s", b.name,
		strings.Repeat("#", full), strings.Repeat(".", barWidth-full), done, b.total, left)
}

// end removes the bar.
func (b *bar) end() {
	if b.out != nil {
		_, _ = fmt.Fprint(b.out, "\r\x1b[K")
	}
}
