package tasks_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/tasks"
)

const year = 365 * 24 * time.Hour

// The clock that the tests set is one that Go knows.
func TestSetClock(t *testing.T) {
	test := func(t *testing.T) {
		now := time.Now()
		set := roomtest.SetClock(now, 10*year)
		later := roomtest.SetClock(now.Add(time.Hour), -year)
		if !set.Round(0).Equal(now.Round(0).Add(10*year)) || later.Sub(set) != time.Hour {
			t.Errorf("%v is set to %v; an hour later is %v later", now, set, later.Sub(set))
		}
	}
	t.Run("real", test)
	t.Run("virtual", func(t *testing.T) { synctest.Test(t, test) })
}

// A time has come when one clock says so.
func TestPassed(t *testing.T) {
	start := time.Now()
	at := start.Add(22 * time.Hour)
	for _, tt := range []struct {
		name  string
		after time.Duration
		set   time.Duration
		want  bool
	}{
		{"before", 21 * time.Hour, 0, false},
		{"at", 22 * time.Hour, 0, true},
		{"the machine slept", 2 * time.Hour, 20 * time.Hour, true},
		{"it slept for less", 2 * time.Hour, 19 * time.Hour, false},
		{"the clock went back, before", 21 * time.Hour, -10 * year, false},
		{"the clock went back, at", 22 * time.Hour, -10 * year, true},
		{"the clock went ahead", time.Hour, 10 * year, true},
	} {
		if got := tasks.Passed(roomtest.SetClock(start.Add(tt.after), tt.set), at); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}

// A clock runs evenly from its last jump on, whatever its direction; a little drift is none.
func TestEvenness(t *testing.T) {
	start := time.Now()
	e := tasks.Evenness{Slept: func() (time.Duration, bool) { return 0, false }}
	for _, tt := range []struct{ after, set, since, jump, ran time.Duration }{
		{0, 0, 0, 0, 0},
		{time.Hour, 0, 0, 0, 0},
		{2 * time.Hour, 30 * time.Second, 0, 0, 0},
		{3 * time.Hour, 10 * year, 3 * time.Hour, 10*year - 30*time.Second, 3 * time.Hour},
		{4 * time.Hour, 10 * year, 3 * time.Hour, 0, 0},
		{5 * time.Hour, 0, 5 * time.Hour, -10 * year, 2 * time.Hour},
		{6 * time.Hour, -2 * time.Hour, 6 * time.Hour, -2 * time.Hour, time.Hour},
		{7 * time.Hour, -2 * time.Hour, 6 * time.Hour, 0, 0},
		{8 * time.Hour, -2*time.Hour + 61*time.Second, 8 * time.Hour, 61 * time.Second, 2 * time.Hour},
	} {
		now := roomtest.SetClock(start.Add(tt.after), tt.set)
		since, jump := e.Look(now)
		if since.Sub(start) != tt.since {
			t.Errorf("after %v, it is even since %v, want %v", tt.after, since.Sub(start), tt.since)
		}
		if jump.By != tt.jump || jump.After != tt.ran || jump.To.Sub(jump.From) != tt.ran && tt.set != 10*year {
			t.Errorf("after %v, the jump is %+v, want %v after %v", tt.after, jump, tt.jump, tt.ran)
		}
		if jump.By != 0 && !jump.To.Add(jump.By).Equal(now.Round(0)) {
			t.Errorf("after %v, it jumped from %v by %v to %v", tt.after, jump.To, jump.By, now)
		}
	}
}

// Sleep is no jump where the system tells of it. The times of a clock that was set are known
// since it was looked at first.
func TestEvennessKnowsSleep(t *testing.T) {
	start := time.Now()
	var slept time.Duration
	e := tasks.Evenness{Slept: func() (time.Duration, bool) { return time.Hour + slept, true }}
	for _, tt := range []struct{ after, slept, set, jump, from time.Duration }{
		{0, 0, 0, 0, 0},
		{time.Hour, 20 * time.Hour, 20 * time.Hour, 0, 0},
		{2 * time.Hour, 20 * time.Hour, 10 * year, 10*year - 20*time.Hour, 0},
		{3 * time.Hour, 22 * time.Hour, 10*year + 2*time.Hour, 0, 0},
		{4 * time.Hour, 23 * time.Hour, 0, -10*year - 3*time.Hour, 10*year - 20*time.Hour},
	} {
		slept = tt.slept
		_, jump := e.Look(roomtest.SetClock(start.Add(tt.after), tt.set))
		if jump.By != tt.jump || jump.Set != (tt.jump != 0) {
			t.Errorf("after %v, the jump is %+v, want %v", tt.after, jump, tt.jump)
		}
		if jump.By != 0 && jump.From.Sub(start.Round(0)) != tt.from {
			t.Errorf("after %v, it is known since %v", tt.after, jump.From.Sub(start.Round(0)))
		}
	}
}

// The machine has not slept meanwhile, and some systems do not tell.
func TestSlept(t *testing.T) {
	before, known := tasks.Slept()
	if !known {
		t.Skip("this system does not tell for how long it has slept")
	}
	if after, _ := tasks.Slept(); before < -time.Second || (after-before).Abs() > time.Second {
		t.Errorf("it has slept for %v, and a moment later for %v", before, after)
	}
	grew := 10 * time.Millisecond
	for range 20 { // both clocks are read one after the other: a busy machine may stop it between
		before, _ = tasks.Slept()
		time.Sleep(10 * time.Millisecond)
		after, _ := tasks.Slept()
		grew = min(grew, after-before)
	}
	if grew > 5*time.Millisecond {
		t.Errorf("it has slept for %v of 10 ms that it ran", grew)
	}
}
