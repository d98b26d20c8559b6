package routing

import (
	"testing"
	"time"
)

// Departed contacts are bounded in number and age, and are only contacts that have
// not come back.
func TestDeparted(t *testing.T) {
	rng := seeded(t, 1)
	var d Departed
	c := func(i int) Contact {
		c := contact(i)
		c.Wire = []byte("somewhere")
		return c
	}
	for i := range MaxDeparted + 10 {
		d.Add(epoch.Add(time.Duration(i)*time.Second), c(i))
	}
	d.Add(epoch, c(20))
	d.Add(epoch, contact(1000)) // at an unknown address
	d.Remove(c(21).ID)
	if d.Len() != MaxDeparted-1 {
		t.Errorf("%d are remembered, want %d", d.Len(), MaxDeparted-1)
	}
	if drawn := d.Draw(epoch, 1000, rng); len(drawn) != d.Len() || drawn[0].ID != c(20).ID {
		t.Errorf("%d are drawn, first %q", len(drawn), drawn[0].ID)
	}
	if drawn := d.Draw(epoch, 3, rng); len(drawn) != 3 || drawn[0].ID == drawn[1].ID {
		t.Errorf("drawn are %v", drawn)
	}
	if drawn := d.Draw(epoch.Add(departedAge+time.Minute), 1000, rng); len(drawn) == 0 || len(drawn) > MaxDeparted-40 {
		t.Errorf("%d are younger than departedAge", len(drawn))
	}
}
