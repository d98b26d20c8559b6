package sim

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Events happen in the order of their times, those of one instant in the order
// in which they were planned, and those that were called off do not.
func TestTimelineOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type planned struct {
			at time.Duration
			n  int
		}
		var line timeline
		var want, got []planned
		var events []*event
		plan := func(p planned) {
			events = append(events, line.after(p.at-line.now, func() {
				if line.now != p.at {
					t.Errorf("%v happens at %v", p, line.now)
				}
				got = append(got, p)
			}))
		}
		for n, at := range rapid.SliceOf(rapid.IntRange(0, 5)).Draw(t, "times") {
			p := planned{time.Duration(at), n}
			want = append(want, p)
			plan(p)
		}
		for i, off := range rapid.SliceOfN(rapid.Bool(), len(want), len(want)).Draw(t, "called off") {
			if off {
				line.callOff(events[i])
				line.callOff(events[i]) // twice is once
				want[i].n = -1
			}
		}
		want = slices.DeleteFunc(want, func(p planned) bool { return p.n < 0 })
		slices.SortStableFunc(want, func(a, b planned) int { return int(a.at - b.at) })
		for line.step() {
		}
		if !slices.Equal(got, want) {
			t.Errorf("happened: %v, want %v", got, want)
		}
	})
}

// What an event plans happens after it, also at the same instant; until stops at
// its end, and includes it.
func TestTimelineUntil(t *testing.T) {
	var line timeline
	var got []string
	line.after(time.Second, func() {
		got = append(got, "first")
		line.after(0, func() { got = append(got, "by the first") })
		line.after(-time.Hour, func() { got = append(got, "in the past") })
		line.after(time.Nanosecond, func() { got = append(got, "too late") })
	})
	line.after(time.Second, func() { got = append(got, "second") })
	line.until(time.Second)
	if want := []string{"first", "second", "by the first", "in the past"}; !slices.Equal(got, want) {
		t.Errorf("happened: %q, want %q", got, want)
	}
	line.until(time.Minute)
	if line.now != time.Minute || got[len(got)-1] != "too late" {
		t.Errorf("now %v, happened: %q", line.now, got)
	}
	line.callOff(nil)
}
