package routing

// A ChangeKind says what became of a contact.
type ChangeKind uint8

// The kinds of a [Change].
const (
	Entered   ChangeKind = iota // it is in the table now
	Left                        // it is no longer in the table
	Suspected                   // it did not answer, and is not handed to others
	Cleared                     // it is no suspect any more
)

// String returns the name of k in lower case.
func (k ChangeKind) String() string {
	switch k {
	case Entered:
		return "entered"
	case Left:
		return "left"
	case Suspected:
		return "suspected"
	case Cleared:
		return "cleared"
	}
	return "invalid"
}

// A Change is of a contact that entered a [Table] or left it, or became a suspect or
// was cleared. A contact that leaves is no suspect any more.
type Change struct {
	Kind    ChangeKind
	Contact Contact // as it was when it entered, or is when it leaves
}

// Changes returns how the last call changed which contacts are in the table, in the
// order in which it happened. The call is one of Seen, Failed, Remove, Checked, Update,
// Due, Doubt, Postponed or Refreshed. A newcomer that replaces a contact is two
// changes, Left and Entered. Pending contacts are not in the table, and contacts
// that only change their addresses or their bucket stay in it. A caller that applies
// the changes after each call has the keys that [Table.All] returns.
//
// The slice is valid until the next such call, which uses it again, so that changes
// do not pile up if no caller reads them.
func (t *Table) Changes() []Change { return t.changes }

// begin forgets the changes of the last call. Each method that changes the table
// calls it first.
func (t *Table) begin() {
	clear(t.changes) // or it would hold on to contacts that have left
	t.changes = t.changes[:0]
}

// changed records a change.
func (t *Table) changed(kind ChangeKind, c Contact) {
	t.changes = append(t.changes, Change{kind, c})
}
