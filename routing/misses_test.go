package routing

import (
	"testing"
	"time"
)

// A cut is a table of 20 contacts, of which one is a neighbour that always answers.
type cut struct {
	*Table
	now       time.Time
	neighbour Contact
	others    []Contact
}

func newCut() *cut {
	self := KeyOf([]byte("self"))
	c := &cut{Table: NewTable(self, TableConfig{K: 20, ProbeAfter: time.Hour}), now: epoch}
	all := withCPL(self, 0, 20)
	c.neighbour, c.others = all[0], all[1:]
	for range maxScore {
		c.answer(all...)
	}
	return c
}

func (c *cut) answer(contacts ...Contact) {
	for _, other := range contacts {
		c.Seen(c.now, other)
	}
}

// pass lets time pass in which the others are asked twice a second, in vain, and the
// neighbour answers each time. It reports whether the table was offline.
func (c *cut) pass(d time.Duration, ask func(now time.Time, other Contact)) (offline bool) {
	for end := c.now.Add(d); c.now.Before(end); c.now = c.now.Add(500 * time.Millisecond) {
		for _, other := range c.others {
			ask(c.now, other)
		}
		offline = offline || c.Offline(c.now)
		c.answer(c.neighbour)
	}
	return offline
}

// A neighbour that answers does not speak for the connection when all other contacts fail:
// the node is offline, and loses none of them. It is back when enough of them answer.
func TestOneAnswerIsNoProof(t *testing.T) {
	c := newCut()
	fail := func(now time.Time, other Contact) { c.Failed(now, other) }
	if offline := c.pass(30*time.Second, fail); !offline || !c.Offline(c.now) || c.Len() != 20 {
		t.Fatalf("cut off for 30s: offline %v, %+v", offline, c.Stats(c.now))
	}
	for i := range c.others {
		c.answer(c.others[i])
		if !c.Offline(c.now) {
			if i < 2 || i > 4 {
				t.Errorf("back after %d answers", i+1)
			}
			break
		}
	}
	if s := c.Stats(c.now); s.Offline || s.Suspects > 0 || s.Contacts != 20 {
		t.Errorf("when some have answered: %+v", s)
	}
	if due := dueIDs(c.Table, c.now); len(due) < 15 {
		t.Errorf("%d contacts are due for a probe", len(due))
	}
}

// A machine that becomes late while it is offline does not come back by that. One that is late
// already has more time until it is offline.
func TestLateWhileOffline(t *testing.T) {
	c := newCut()
	fail := func(now time.Time, other Contact) { c.Failed(now, other) }
	c.Late(c.now, 10*time.Second)
	if c.pass(12*time.Second, fail) || !c.pass(5*time.Second, fail) {
		t.Fatal("a late machine is to be offline after 13 s, and no sooner")
	}
	c.Late(c.now, time.Minute)
	if !c.Offline(c.now) {
		t.Error("no contact has answered, and the table is back")
	}
}

// A network of which one neighbour is left is believed to be that small after some minutes.
func TestFewAnswersAreBelievedInTime(t *testing.T) {
	c := newCut()
	c.pass(8*time.Minute, func(now time.Time, other Contact) { c.Failed(now, other) })
	if s := c.Stats(c.now); s.Contacts != 1 || s.Offline {
		t.Errorf("after 8m: %+v", s)
	}
}

// Requests that fail here cost no contact anything, for however long. They show an outage.
func TestHindered(t *testing.T) {
	c := newCut()
	offline := c.pass(time.Hour, c.Hindered)
	if s := c.Stats(c.now); !offline || s.Contacts != 20 || s.Suspects > 0 {
		t.Errorf("offline %v, %+v", offline, s)
	}
	c.answer(c.others...)
	if c.Offline(c.now) {
		t.Error("offline after all have answered")
	}
	c.Hindered(c.now, withCPL(c.self, 1, 1)[0]) // no contact
	for _, other := range c.others[:7] {
		c.Hindered(c.now, other)
	}
	c.now = c.now.Add(time.Minute)
	if c.Offline(c.now) {
		t.Error("offline because of 7 requests that failed here")
	}
	c.check(t)
}

// When a fifth of the contacts die at once, and the others answer, the node is not offline,
// and the dead lose their places.
func TestFifthDeadIsNoOutage(t *testing.T) {
	c := newCut()
	for range 100 {
		for i, other := range c.others {
			if i%5 == 0 {
				c.Failed(c.now, other)
			} else {
				c.answer(other)
			}
			if c.now = c.now.Add(100 * time.Millisecond); c.Offline(c.now) {
				t.Fatal("offline")
			}
		}
	}
	if c.Len() != 16 {
		t.Errorf("%d contacts, want 16", c.Len())
	}
}
