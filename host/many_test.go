package host

import (
	"testing"
	"time"
)

// A progress counts what is read, done and failed, and the part that is done of what was read last.
func TestProgress(t *testing.T) {
	var p progress
	for range 4 {
		p.read()
	}
	if got, want := p.done(nil), (Progress{Read: 4, Done: 1, Part: 0.25}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for range 3 {
		p.done(errNoCID)
	}
	if got, want := p.Progress, (Progress{Read: 4, Done: 4, Failed: 3, Part: 1}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for range 2 {
		p.read()
	}
	if got, want := p.done(nil), (Progress{Read: 6, Done: 5, Failed: 3, Part: 0.5}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	for total, want := range map[int]time.Duration{0: 0, 5: 0, 10: time.Minute} {
		if got := p.Left(time.Minute, total); got != want {
			t.Errorf("%v left of %d, want %v", got, total, want)
		}
	}
	if got := new(progress).Left(time.Minute, 10); got != 0 {
		t.Errorf("%v left before the first is done, want 0", got)
	}
}
