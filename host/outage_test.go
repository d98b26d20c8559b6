package host

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/routing"
)

// A contact that misses is not handed to others, and is again when it answers.
func TestSuspectIsNotHandedOut(t *testing.T) { synctest.Test(t, testSuspectIsNotHandedOut) }

func testSuspectIsNotHandedOut(t *testing.T) {
	n := newTestNet(t)
	d, puppets := crowd(t, n, 3)
	c := routing.ContactOf(puppets[0].ID())
	d.table.Heard(c, table.Silent, 0)
	if knows(d, puppets[0]) || !d.table.Has(c.ID) || d.Stats().Suspects != 1 {
		t.Errorf("handed out: %v, %+v", knows(d, puppets[0]), d.table.Stats())
	}
	if seeds := d.table.Seeds(c.Key, 3); len(seeds) != 3 || seeds[2].ID != c.ID || !seeds[2].Doubtful {
		t.Errorf("a lookup starts from %v, want the suspect last", seeds)
	}
	time.Sleep(15 * time.Second)
	if !knows(d, puppets[0]) {
		t.Error("it was probed, and is still suspect")
	}
}
