package table

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/routing"
)

// While the table is empty, Ready waits as long as its context, at most 10s if that has no
// deadline. ReadyWithin waits for 10s in any case. On a machine that is late itself, 10s are up
// to a minute. Then they say why.
func TestReadyWaits(t *testing.T) {
	for _, tt := range []struct {
		within               bool
		deadline, late, want time.Duration
	}{
		{deadline: 3 * time.Second, want: 3 * time.Second},
		{want: readyTimeout},
		{deadline: time.Minute, want: time.Minute},
		{within: true, deadline: 3 * time.Second, want: 3 * time.Second},
		{within: true, want: readyTimeout},
		{within: true, deadline: time.Minute, want: readyTimeout},
		{late: 100 * time.Millisecond, want: readyTimeout + 3200*time.Millisecond},
		{late: time.Second, deadline: 3 * time.Second, want: 3 * time.Second},
		{within: true, late: time.Second, want: readyTimeout + 32*time.Second},
		{within: true, late: 5 * time.Second, want: readyTimeout + maxLate},
	} {
		t.Run(fmt.Sprint(tt.within, tt.deadline, tt.late), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newTable(t, Config{Pulse: roomtest.NewPulse(t, tt.late)})
				ctx, ready := t.Context(), f.Ready
				if tt.within {
					ready = f.ReadyWithin
				}
				if tt.deadline > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.deadline)
					defer cancel()
				}
				start := time.Now()
				err := ready(ctx)
				var notReady *NotReadyError
				if !errors.As(err, &notReady) || !errors.Is(err, kaderr.ErrNoContacts) || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error %v, want a NotReadyError", err)
				}
				if spent := time.Since(start); spent != tt.want {
					t.Errorf("it waited for %v, want %v", spent, tt.want)
				}
			})
		})
	}
}

// While the node joins for the first time, ReadyWithin waits for the end of that though there are
// contacts. When its time is over before, it succeeds: lookups work.
func TestReadyAwaitsJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		joined := f.Joining()
		f.answer(calltest.ID(1))
		time.AfterFunc(4*time.Second, joined)
		start := time.Now()
		if err := f.ReadyWithin(t.Context()); err != nil || time.Since(start) != 4*time.Second {
			t.Errorf("ReadyWithin() = %v after %v, want nil after 4s", err, time.Since(start))
		}
		start = time.Now()
		f.Joining()
		if err := f.ReadyWithin(t.Context()); err != nil || time.Since(start) != readyTimeout {
			t.Errorf("ReadyWithin() = %v after %v, want nil after %v", err, time.Since(start), readyTimeout)
		}
		time.AfterFunc(time.Second, f.group.Cancel)
		if err := f.ReadyWithin(t.Context()); !errors.Is(err, kaderr.ErrClosed) {
			t.Errorf("ReadyWithin() = %v when the node is closed", err)
		}
	})
}

// A node with fewer than k contacts is unsettled for 12s after its first join.
func TestUnsettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{K: 3})
		check := func(when string, want bool) {
			t.Helper()
			if _, is := f.Unsettled(time.Now()); is != want {
				t.Errorf("%s: unsettled is %v, want %v", when, is, want)
			}
		}
		check("before the join", false)
		joined := f.Joining()
		f.answer(calltest.ID(1))
		joined()
		if until, _ := f.Unsettled(time.Now()); time.Until(until) != 12*time.Second {
			t.Errorf("unsettled for %v, want 12s", time.Until(until))
		}
		check("with one contact", true)
		f.answer(calltest.ID(2))
		f.answer(calltest.ID(3))
		check("with k contacts", false)
		f.miss(calltest.ID(3))
		check("with one that does not answer", true)
		time.Sleep(12 * time.Second)
		check("12s later", false)
	})
}

// Ready ends when the first contact comes, and when the node is closed; with contacts it
// succeeds also if its context has ended.
func TestReadyEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		time.AfterFunc(2*time.Second, func() { f.answer(calltest.ID(1)) })
		start := time.Now()
		if err := f.Ready(t.Context()); err != nil || time.Since(start) != 2*time.Second {
			t.Errorf("Ready() = %v after %v, want nil after 2s", err, time.Since(start))
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if err := f.Ready(ended); err != nil {
			t.Errorf("Ready() = %v with contacts", err)
		}
		f.group.Cancel()
		if err := f.Ready(t.Context()); !errors.Is(err, kaderr.ErrClosed) {
			t.Errorf("Ready() = %v of a closed node", err)
		}
		f = newTable(t, Config{})
		time.AfterFunc(time.Second, f.group.Cancel)
		if err := f.Ready(t.Context()); !errors.Is(err, kaderr.ErrClosed) {
			t.Errorf("Ready() = %v when the node is closed", err)
		}
	})
}

// A NotReadyError says what is wrong, and what would help.
func TestNotReadyText(t *testing.T) {
	id, refused := calltest.ID(1), errors.New("connection refused")
	for name, tt := range map[string]struct {
		bootstrap int
		cause     error
		arrange   func(t *testing.T, f *fixture)
		want      []string // parts of the text
		not       string
		is        error
	}{
		"no bootstrap peers": {want: []string{"kad: routing table is empty", "no bootstrap peers configured", "Config.Bootstrap"}, is: kaderr.ErrNoContacts},
		"nothing yet":        {bootstrap: 1, want: []string{"the bootstrap peers have not answered yet"}, not: "no bootstrap peers"},
		"all dials failed": {
			bootstrap: 1, want: []string{"all bootstrap peers failed", id.String(), "connection refused"}, is: refused,
			arrange: func(_ *testing.T, f *fixture) { f.NoteDial(id, refused) },
		},
		"some dials failed": {
			bootstrap: 2, want: []string{"bootstrap peers failed", id.String()}, not: "all bootstrap",
			arrange: func(_ *testing.T, f *fixture) { f.NoteDial(id, refused) },
		},
		"a dial succeeded later": {
			bootstrap: 1, not: "failed",
			arrange: func(_ *testing.T, f *fixture) { f.NoteDial(id, refused); f.NoteDial(id, nil) },
		},
		"another protocol": {
			bootstrap: 1, want: []string{"connected to 1 other peer, but none speaks /test/kad/1.0.0", "/other/kad", id.String()},
			arrange: func(t *testing.T, f *fixture) { f.net.Connect(id); f.speak(t, id, "/other/kad") },
		},
		"filtered": {
			bootstrap: 1, want: []string{"filtered", id.String(), "by a test"},
			arrange: func(_ *testing.T, f *fixture) { f.noteFiltered(id, "by a test") },
		},
		"filtered before": {
			bootstrap: 1, not: "filtered",
			arrange: func(_ *testing.T, f *fixture) { f.noteFiltered(id, "by a test"); f.ForgetFiltered() },
		},
		"offline": {
			want: []string{"kad: offline: few or none of the contacts answer"}, not: "no bootstrap peers", is: kaderr.ErrNoContacts,
			arrange: func(_ *testing.T, f *fixture) {
				f.answer(id)
				f.miss(id)
				time.Sleep(3 * time.Second)
				f.Due(time.Now(), 0)
			},
		},
		"offline, by a failure here": {
			want: []string{"kad: offline", "requests fail here: no buffer space"},
			arrange: func(_ *testing.T, f *fixture) {
				f.answer(id)
				f.miss(id)
				time.Sleep(3 * time.Second)
				f.Hindered(routing.ContactOf(id), errors.New("no buffer space"))
				f.Due(time.Now(), 0)
			},
		},
		"offline, and a failure here is long ago": {
			want: []string{"kad: offline"}, not: "fail here",
			arrange: func(_ *testing.T, f *fixture) {
				f.answer(id)
				f.Hindered(routing.ContactOf(id), errors.New("no buffer space"))
				time.Sleep(hinderedAge)
				f.miss(id)
				time.Sleep(3 * time.Second)
				f.Due(time.Now(), 0)
			},
		},
		"cancelled": {bootstrap: 1, cause: context.Canceled, want: []string{"context canceled"}, is: context.Canceled},
		"timed out": {bootstrap: 1, cause: context.DeadlineExceeded, not: "deadline", is: context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newTable(t, Config{Bootstrap: tt.bootstrap})
				if tt.arrange != nil {
					tt.arrange(t, f)
				}
				err := f.NotReady(tt.cause)
				for _, part := range tt.want {
					if !strings.Contains(err.Error(), part) {
						t.Errorf("%q does not mention %q", err, part)
					}
				}
				if tt.not != "" && strings.Contains(err.Error(), tt.not) {
					t.Errorf("%q mentions %q", err, tt.not)
				}
				if tt.is != nil && !errors.Is(err, tt.is) {
					t.Errorf("%v is not %v", err, tt.is)
				}
			})
		})
	}
}

// The text names four peers, and how many more there are, and the notes are bounded.
func TestNotReadyIsBounded(t *testing.T) {
	dials := make(map[peer.ID]error)
	for _, id := range peers(60) {
		dials[id] = errors.New("failed")
	}
	text := (&NotReadyError{Bootstrap: 60, Dials: dials}).Error()
	if !strings.Contains(text, "and 56 more") || len(text) > 500 {
		t.Errorf("%d bytes, want a line of a log: %s", len(text), text)
	}
	synctest.Test(t, func(t *testing.T) {
		f := newTable(t, Config{})
		for _, id := range peers(2 * maxNoted) {
			f.noteFiltered(id, "by a test")
			f.net.Connect(id)
		}
		if e := f.NotReady(nil); len(e.Filtered) != maxNoted || len(e.Others) != maxNoted {
			t.Errorf("%d filtered peers and %d others are kept, want %d", len(e.Filtered), len(e.Others), maxNoted)
		}
	})
}
