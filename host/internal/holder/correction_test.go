package holder

import (
	"testing"
	"time"

	"github.com/go-kad/kad/host/internal/tasks"
)

// Times of an entry are corrected if the clock was ahead by more than clocks of peers may differ,
// and if it would be held for longer than any.
func TestCorrections(t *testing.T) {
	const age, skew, never = 48 * time.Hour, 9 * time.Minute, time.Duration(1 << 62)
	now := time.Unix(0, 0).Add(1000 * time.Hour)
	jump := shiftedBy(tasks.Jump{From: now.Add(-time.Hour), To: now, By: 5 * time.Hour})
	for _, tt := range []struct {
		name                      string
		correct                   correction
		age                       time.Duration
		received, expires         time.Duration // from now on
		wantReceived, wantExpires time.Duration
	}{
		{"good", correctedAt(now), age, -time.Hour, 47 * time.Hour, -time.Hour, 47 * time.Hour},
		{"of a clock that is ahead a little", correctedAt(now), age, skew, age + skew, skew, age + skew},
		{"ahead", correctedAt(now), age, 10 * time.Hour, 30 * time.Hour, 0, 20 * time.Hour},
		{"ahead, for ever", correctedAt(now), -1, 10 * time.Hour, never, 0, never},
		{"ahead, and over by then", correctedAt(now), age, 10 * time.Hour, 5 * time.Hour, 0, 0},
		{"held for longer than any", correctedAt(now), age, -time.Hour, 100 * time.Hour, -time.Hour, age},
		{"held for long where that is not bounded", correctedAt(now), -1, -time.Hour, 100 * time.Hour, -time.Hour, 100 * time.Hour},
		{"before the jump", jump, age, -time.Minute, time.Hour, 5*time.Hour - time.Minute, 6 * time.Hour},
		{"before the jump, for ever", jump, age, -time.Minute, never, 5*time.Hour - time.Minute, never},
		{"long before", jump, age, -2 * time.Hour, time.Hour, -2 * time.Hour, time.Hour},
		{"after the jump", jump, age, time.Minute, time.Hour, time.Minute, time.Hour},
	} {
		at := func(d time.Duration) time.Time {
			if d == never {
				return time.Time{}
			}
			return now.Add(d)
		}
		received, expires := at(tt.received), at(tt.expires)
		changed := tt.correct(tt.age, &received, &expires)
		if !received.Equal(at(tt.wantReceived)) || !expires.Equal(at(tt.wantExpires)) {
			t.Errorf("%s: received %v, expires %v; want %v, %v", tt.name, received, expires, at(tt.wantReceived), at(tt.wantExpires))
		}
		if changed != (tt.received != tt.wantReceived || tt.expires != tt.wantExpires) {
			t.Errorf("%s: changed %v", tt.name, changed)
		}
	}
}

// An announcement of this node may last for longer than those of others, and stays so.
func TestCorrectionOfOwn(t *testing.T) {
	h := newHolder(t, Config{})
	now := time.Now()
	if err := h.Provide(t.Context(), []byte("key"), 100*time.Hour, now); err != nil {
		t.Fatal(err)
	}
	if err := h.correctTimes(t.Context(), correctedAt(now)); err != nil {
		t.Fatal(err)
	}
	if p, err := h.cfg.Store.Provider(t.Context(), []byte("key"), string(h.self), now); err != nil || p.Expires.Sub(now).Round(time.Second) != 100*time.Hour {
		t.Errorf("it expires in %v, %v", p.Expires.Sub(now), err)
	}
}
