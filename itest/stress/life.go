//go:build unix

package stress

import (
	"slices"
	"time"
)

// A life is one process, from its start to its end. Where an end of an interval cannot be
// known to the moment, both bounds are kept.
type life struct {
	addrs []string // at which it listens

	began, up     time.Time // before its start; when it said that it is up, zero until then
	ending, ended time.Time // before the signal; after it has ended. Zero: it runs
	pauses        []pause
}

// A pause is a time in which a process was stopped.
type pause struct {
	stopping, stopped   time.Time // before and after the signal
	continuing, resumed time.Time // likewise; zero: it is stopped
}

// A history is what is known of one peer.
type history struct {
	id     string
	server bool
	keeps  bool // has a directory: a later life has what an earlier one acknowledged
	narrow bool // lacks streams or descriptors, so that others may not reach it
	lives  []*life
}

// last returns the latest life.
func (h *history) last() *life { return h.lives[len(h.lives)-1] }

// steady returns the life that has run, without a pause, from so long before from to to;
// nil if there is none.
func (h *history) steady(from, to time.Time, before time.Duration) *life {
	begin := from.Add(-before)
	for _, l := range h.lives {
		if l.up.IsZero() || l.up.After(begin) || !l.ending.IsZero() && l.ending.Before(to) {
			continue
		}
		if !slices.ContainsFunc(l.pauses, func(p pause) bool {
			return p.stopping.Before(to) && (p.resumed.IsZero() || p.resumed.After(begin))
		}) {
			return l
		}
	}
	return nil
}

// holds reports whether the peer, which acknowledged something between since and until, still
// holds it from from to to: it is steady, and remembers.
func (h *history) holds(since, until, from, to time.Time, settling time.Duration) bool {
	l := h.steady(from, to, settling)
	return l != nil && (h.keeps || !l.up.After(since)) && !until.After(from)
}

// silent reports whether the peer could do nothing at any moment from from to to: no process
// of it ran, or it was stopped.
func (h *history) silent(from, to time.Time) bool {
	for _, l := range h.lives {
		if l.began.After(to) || !l.ended.IsZero() && l.ended.Before(from) {
			continue
		}
		if !slices.ContainsFunc(l.pauses, func(p pause) bool {
			return p.stopped.Before(from) && (p.continuing.IsZero() || p.continuing.After(to))
		}) {
			return false
		}
	}
	return true
}
