package routing

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// closest20 returns the 20 contacts closest to a key, of 1000.
func closest20(key Key) []Contact {
	var all []Contact
	for i := range 1000 {
		all = append(all, contact(i))
	}
	SortByDistance(key, all)
	return slices.Clone(all[:20])
}

// A Recall returns what was found for keys near to one that was looked up, and for no
// other.
func TestRecallNear(t *testing.T) {
	r := Recall{Age: time.Hour}
	key := KeyOf([]byte("key"))
	r.remember(epoch, key, closest20(key))
	bits := key.CPL(closest20(key)[19].Key)
	for bit := range 256 {
		other := key.flip(bit)
		got, since := r.Near(epoch, other)
		if (got != nil) != (bit > bits) {
			t.Errorf("of a key with %d bits in common there are %d; the farthest has %d", bit, len(got), bits)
		}
		if got != nil && (got[0].ID != closest20(other)[0].ID || !since.Equal(epoch)) {
			t.Errorf("of a key with %d bits in common another one is closest, since %v", bit, since)
		}
	}
}

// A Recall holds the newest lookups, one for each key.
func TestRecallIsBounded(t *testing.T) {
	r := Recall{Age: time.Hour}
	key := KeyOf([]byte("key"))
	r.remember(epoch, key, closest20(key)[:5])
	r.remember(epoch, key, closest20(key))
	r.remember(epoch, key, nil)
	if got, _ := r.Near(epoch, key); len(got) != 20 || len(r.found) != 1 {
		t.Errorf("%d of %d lookups, want the 20 of one", len(got), len(r.found))
	}
	for i := range maxRecalled {
		other := KeyOf(fmt.Append(nil, "other", i))
		r.remember(epoch, other, closest20(other))
	}
	if len(r.found) != maxRecalled || r.found[0].key == key {
		t.Errorf("it remembers %d lookups, want the last %d", len(r.found), maxRecalled)
	}
}

// What was found is returned as long as it is young, and without what was expected of
// the contacts then.
func TestRecallAge(t *testing.T) {
	key := KeyOf([]byte("key"))
	found := closest20(key)
	found[0].Connected, found[0].Expect, found[0].Wire = true, time.Second, []byte("somewhere")
	for _, tt := range []struct {
		age, after time.Duration
		near, just bool
	}{
		{time.Hour, 0, true, true},
		{time.Hour, justNow - 1, true, true},
		{time.Hour, justNow, true, false},
		{time.Hour, time.Hour - 1, true, false},
		{time.Hour, time.Hour, false, false},
		{time.Second, time.Second, false, false},
		{0, recallAge - 1, true, false},
		{0, recallAge, false, false},
		{-1, 0, false, false},
	} {
		r := Recall{Age: tt.age}
		r.remember(epoch, key, found)
		just := r.JustFound(epoch.Add(tt.after), key)
		near, _ := r.Near(epoch.Add(tt.after), key)
		if (near != nil) != tt.near || (just != nil) != tt.just {
			t.Errorf("age %v, after %v: near %v and just found %v", tt.age, tt.after, near != nil, just != nil)
		}
		if tt.just && (just[0].ID != found[0].ID || just[0].Connected || just[0].Expect != 0 || string(just[0].Wire) != "somewhere") {
			t.Errorf("just found is %+v", just[0])
		}
		if r.JustFound(epoch, key.flip(255)) != nil {
			t.Error("another key was not looked up")
		}
	}
}

// What is remembered is complete, and as old as the oldest answer in it.
func TestRecallLearns(t *testing.T) {
	key := KeyOf([]byte("key"))
	found := closest20(key)
	before, now := epoch, epoch.Add(justNow)
	for _, tt := range []struct {
		name   string
		result Result
		since  time.Time // zero: it is not remembered
	}{
		{"all answered", Result{End: Converged, Closest: found, Answered: found}, now},
		{"all answered, and some are likely missed", Result{End: Converged, Closest: found, Answered: found, Confidence: certain - 0.01}, time.Time{}},
		{"all answered, and likely none is missed", Result{End: Converged, Closest: found, Answered: found, Confidence: certain}, now},
		{"some are confirmed", Result{End: Converged, Closest: found, Answered: found[:3]}, before},
		{"others answered", Result{End: Converged, Closest: found, Answered: append(found[:19:19], contact(2000))}, before},
		{"there are no more", Result{End: Exhausted, Closest: found[:5], Answered: found[:5], Confidence: 1}, now},
		{"one is late", Result{End: Exhausted, Closest: found[:5], Answered: found[:5], Late: 1, Confidence: 5.0 / 6}, time.Time{}},
		{"others are behind what failed", Result{End: Exhausted, Closest: found[:5], Answered: found[:5], Failed: 15}, time.Time{}},
		{"k in spite of one that is late", Result{End: Exhausted, Closest: found, Answered: found, Late: 1}, now},
		{"too few", Result{End: Converged, Closest: found[:5], Answered: found[:5]}, time.Time{}},
		{"stopped", Result{End: Overrun, Closest: found, Answered: found}, time.Time{}},
	} {
		var r Recall
		r.Learn(now, before, key, 20, tt.result)
		got, since := r.Near(now, key)
		if !since.Equal(tt.since) || len(got) > 0 && len(got) != len(tt.result.Closest) {
			t.Errorf("%s: %d since %v, want them since %v", tt.name, len(got), since, tt.since)
		}
	}
}

// Contacts that are connected and not in doubt can be confirmed, if they answered just now.
func TestMarkRecent(t *testing.T) {
	for _, age := range []time.Duration{0, justNow - 1, justNow} {
		contacts := []Contact{{}, {Connected: true}, {Connected: true, Doubtful: true}, {Doubtful: true, Recent: true}}
		MarkRecent(age, contacts)
		for i, c := range contacts {
			if c.Recent != (i == 1 && age < justNow) {
				t.Errorf("after %v, contact %d is recent: %v", age, i, c.Recent)
			}
		}
	}
}
