package routing

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// showChanges writes changes as "entered ann, left bob".
func showChanges(tab *Table) string {
	var out []string
	for _, c := range tab.Changes() {
		out = append(out, fmt.Sprintf("%v %s", c.Kind, string(c.Contact.ID)))
	}
	return strings.Join(out, ", ")
}

// What each call says, one after the other on one table with buckets of one.
func TestChanges(t *testing.T) {
	self := KeyOf([]byte("self"))
	ann, bob, cat := at(self, 0, "ann"), at(self, 0, "bob"), at(self, 3, "cat")
	tab := NewTable(self, TableConfig{K: 1})
	late := epoch.Add(time.Hour)
	tests := []struct {
		name string
		call func()
		want string
	}{
		{"a new table", func() {}, ""},
		{"a newcomer", func() { tab.Seen(epoch, ann) }, "entered ann"},
		{"nobody asked before", func() {}, "entered ann"},
		{"the same again", func() { tab.Seen(epoch, ann) }, ""},
		{"a split", func() { tab.Seen(epoch, cat) }, "entered cat"},
		{"a pending newcomer", func() { tab.Seen(epoch, bob) }, ""},
		{"a probe", func() { tab.Due(epoch, 1) }, ""},
		{"a probe that is late", func() { tab.Due(late, 0) }, "suspected ann"},
		{"a replacement", func() { proveOnline(tab, late); tab.Failed(late, ann); proveOnline(tab, late) }, "left ann, entered bob"},
		{"doubt", func() { tab.Doubt(late, bob) }, ""},
		{"we know nobody of that name", func() { tab.Failed(late, ann) }, ""},
		{"a miss", func() { tab.Failed(late, cat) }, "suspected cat"},
		{"another one", func() { tab.Failed(late, cat) }, ""},
		{"an answer after it", func() { tab.Seen(late, cat) }, "cleared cat"},
		{"a collapse", func() { tab.Remove(cat) }, "left cat"},
		{"a refresh", func() { tab.Refreshed(late, 0) }, ""},
		{"a probe that fails", func() { tab.Due(late, 1); tab.Checked(late, bob, false) }, "suspected bob"},
		{"the end", func() { tab.Remove(bob) }, "left bob"},
	}
	for _, tt := range tests {
		tt.call()
		if got := showChanges(tab); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// Each call that can change the table forgets what the last one did, also when it
// does nothing itself.
func TestChangesAreOfTheLastCall(t *testing.T) {
	self := KeyOf([]byte("self"))
	stranger := at(self, 5, "stranger")
	calls := map[string]func(*Table){
		"Seen":      func(tab *Table) { tab.Seen(epoch, Contact{Key: self}) },
		"Failed":    func(tab *Table) { tab.Failed(epoch, stranger) },
		"Remove":    func(tab *Table) { tab.Remove(stranger) },
		"Checked":   func(tab *Table) { tab.Checked(epoch, stranger, true) },
		"Update":    func(tab *Table) { tab.Update(epoch, stranger) },
		"Due":       func(tab *Table) { tab.Due(epoch, 1) },
		"Doubt":     func(tab *Table) { tab.Doubt(epoch, stranger) },
		"Postponed": func(tab *Table) { tab.Postponed(epoch, stranger) },
		"Refreshed": func(tab *Table) { tab.Refreshed(epoch, 200) },
	}
	for name, call := range calls {
		tab := NewTable(self, TableConfig{})
		tab.Seen(epoch, contact(1))
		before := tab.Changes()
		if call(tab); len(tab.Changes()) != 0 {
			t.Errorf("%s leaves %s", name, showChanges(tab))
		}
		if before[0].Contact.ID != "" {
			t.Errorf("%s holds on to %s", name, before[0].Contact.ID)
		}
	}
}

func TestChangeKindHasAName(t *testing.T) {
	for kind, want := range map[ChangeKind]string{Entered: "entered", Left: "left", Suspected: "suspected", Cleared: "cleared", 4: "invalid"} {
		if got := kind.String(); got != want {
			t.Errorf("%d is %q, want %q", uint8(kind), got, want)
		}
	}
}

// Whoever applies the changes after each call knows who is in the table, and who
// is suspect: nobody enters who is there, or leaves who is not.
func TestChangesReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		self := KeyOf([]byte("self"))
		tab := NewTable(self, TableConfig{
			K:                rapid.IntRange(1, 4).Draw(t, "k"),
			MaxPerGroup:      rapid.SampledFrom([]int{-1, 0, 1}).Draw(t, "per group"),
			MaxPerGroupTotal: rapid.SampledFrom([]int{-1, 0, 3}).Draw(t, "in total"),
		})
		now := epoch
		draw := func() Contact { return drawContact(t, self) }
		known := make(map[Key]bool)
		// A replay applies the changes once; nothing is drawn between it and the call.
		replay := func(t *rapid.T) {
			for _, c := range tab.Changes() {
				suspect, held := known[c.Contact.Key]
				if held == (c.Kind == Entered) || suspect && c.Kind == Suspected || !suspect && c.Kind == Cleared {
					t.Errorf("%s %v, and was there: %v, suspect: %v", c.Contact.ID, c.Kind, held, suspect)
				}
				if c.Kind == Left {
					delete(known, c.Contact.Key)
				} else {
					known[c.Contact.Key] = c.Kind == Suspected
				}
			}
		}
		do := func(call func(c Contact)) func(*rapid.T) {
			return func(t *rapid.T) {
				call(draw())
				replay(t)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"seen":      do(func(c Contact) { tab.Seen(now, c) }),
			"seen more": do(func(c Contact) { tab.Seen(now, c) }),
			"failed":    do(func(c Contact) { tab.Failed(now, c) }),
			"remove":    do(func(c Contact) { tab.Remove(c) }),
			"update":    do(func(c Contact) { tab.Update(now, c) }),
			"doubt":     do(func(c Contact) { tab.Doubt(now, c) }),
			"due":       do(func(Contact) { tab.Due(now, 3) }),
			"alive":     do(func(c Contact) { tab.Checked(now, c, true) }),
			"dead":      do(func(c Contact) { tab.Checked(now, c, false) }),
			"postponed": do(func(c Contact) { tab.Postponed(now, c) }),
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 300).Draw(t, "seconds")) * time.Second)
			},
			"": func(t *rapid.T) {
				want := make(map[Key]bool)
				for _, b := range tab.Buckets() {
					for _, c := range b.Contacts {
						want[c.Key] = c.Suspect
					}
				}
				if !maps.Equal(known, want) {
					t.Errorf("the changes tell of %v, the table holds %v",
						slices.Collect(maps.Keys(known)), slices.Collect(maps.Keys(want)))
				}
			},
		})
	})
}
