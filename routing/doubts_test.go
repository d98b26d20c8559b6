package routing

import "testing"

// A peer is in doubt until it answers, or DoubtAge is over.
func TestDoubts(t *testing.T) {
	var d Doubts
	if d.Has(epoch, "ann") {
		t.Error("one is in doubt at first")
	}
	d.Remove("ann")
	d.Clear()
	d.Add(epoch, "ann")
	d.Add(epoch, "bob")
	d.Add(epoch, "cat")
	d.Remove("bob")
	end := epoch.Add(DoubtAge)
	if !d.Has(end.Add(-1), "ann") || d.Has(end, "ann") || d.Has(epoch, "bob") {
		t.Errorf("in doubt are %v", d.until)
	}
	if d.Clear(); d.Has(epoch, "ann") || d.Has(epoch, "cat") {
		t.Errorf("after Clear, in doubt are %v", d.until)
	}
}

// What is remembered of peers that others name is bounded.
func TestDoubtsAreBounded(t *testing.T) {
	var d Doubts
	for i := range MaxDoubts + 100 {
		d.Add(epoch, contact(i).ID)
	}
	if len(d.until) != MaxDoubts {
		t.Errorf("%d doubts, want %d", len(d.until), MaxDoubts)
	}
	last := contact(3 * MaxDoubts).ID
	if d.Add(epoch, last); !d.Has(epoch, last) || len(d.until) != MaxDoubts {
		t.Errorf("%d doubts, and the last one is none of them", len(d.until))
	}
	late, end := contact(2*MaxDoubts).ID, epoch.Add(DoubtAge)
	if d.Add(end, late); !d.Has(end, late) || len(d.until) != 1 {
		t.Errorf("%d doubts, want the new one alone: the others are over", len(d.until))
	}
}

// Contacts are doubtful that others doubt, that lately did not answer, or that are
// suspect; none is while we have no other.
func TestDoubtsMark(t *testing.T) {
	var d Doubts
	table := NewTable(target, TableConfig{})
	d.Add(epoch, contact(1).ID)
	for i := range 3 {
		table.Seen(epoch, contact(i))
	}
	table.Failed(epoch, contact(2))
	for _, live := range []bool{true, false} {
		contacts := []Contact{contact(0), contact(1), contact(2), contact(3)}
		contacts[3].Doubtful = true
		d.Mark(epoch, table, live, contacts)
		for i, c := range contacts {
			if c.Doubtful != (live && i > 0) {
				t.Errorf("live %v: contact %d is doubtful: %v", live, i, c.Doubtful)
			}
		}
	}
}
