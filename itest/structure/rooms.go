package structure

import (
	"fmt"
	"slices"
	"strings"
)

// A Room is a package below host/internal.
type Room struct {
	Name    string
	Group   Group
	About   string   // what it is for, in a few words
	Imports []string // rooms that it may import, besides those that every room may
}

// A Group is what rooms have in common.
type Group int

// The groups, from the left to the right of the picture, and the ground below them.
const (
	Reached Group = iota // being reached
	Does                 // what we do
	Holds                // what we hold
	Knows                // the peers that we know
	Running              // ground, with goroutines
	Pure                 // ground without goroutine, lock, clock
)

// Rooms are the rooms that package host may have. A room may import those of its
// Imports, which all stand before it, and scope, kaderr, routing, protocol, host/store,
// host/events and, unless it is pure, tasks and observe; tasks imports neither. Scope and kaderr import no room. A room of this table
// that does not exist is no fault. The file .golangci.yml says the same.
var Rooms = []Room{ //nolint:gochecknoglobals // a constant
	{"scope", Pure, "how far an address reaches", nil},
	{"kaderr", Pure, "errors and refusal codes", nil},
	{"validate", Pure, "which value is valid, and better", nil},
	{"announce", Pure, "announcements, proofs", nil},
	{"tasks", Running, "goroutines, the loop, fan-out", nil},
	{"observe", Running, "events, and the log", nil},
	{"table", Knows, "contacts, paces, readiness", []string{"announce"}},
	{"call", Knows, "asks one peer", []string{"table", "announce"}},
	{"reach", Reached, "can others dial us?", []string{"table"}},
	{"holder", Holds, "values and announcements held", []string{"table", "announce", "validate"}},
	{"serve", Holds, "answers requests of others", []string{"holder", "table", "announce"}},
	{"lookup", Knows, "runs one lookup", []string{"call", "table", "announce"}},
	{"join", Knows, "enters the network, stays in it", []string{"lookup", "call", "table", "announce"}},
	{"deliver", Does, "sends a record to the k closest", []string{"lookup", "call", "table"}},
	{"find", Does, "values, providers, peers", []string{"deliver", "lookup", "call", "table", "holder", "announce", "validate"}},
	{"presence", Reached, "our addresses at the k closest", []string{"deliver", "lookup", "table", "holder", "announce", "reach"}},
	{"publish", Does, "our records, again and again", []string{"find", "deliver", "lookup", "holder", "validate", "reach"}},
	{"replicate", Does, "passes on what we hold", []string{"publish", "find", "deliver", "lookup", "holder", "table"}},
	{"relay", Reached, "relays to be reached through", []string{"publish", "find", "lookup", "call", "table", "reach"}},
	{"connect", Reached, "direct, relayed, punched", []string{"find", "call", "table", "reach"}},
	{"rendezvous", Does, "a member of a namespace", nil},
}

// room returns the room of a name, and its place in the table.
func room(name string) (Room, bool) {
	i := slices.IndexFunc(Rooms, func(r Room) bool { return r.Name == name })
	if i < 0 {
		return Room{}, false
	}
	return Rooms[i], true
}

// MayImport reports whether the room may import a package, whose path is relative to
// the module.
func (r Room) MayImport(path string) bool {
	name, ok := strings.CutPrefix(path, rooms)
	switch {
	case !ok:
		return path == "routing" || path == "protocol" || path == "host/store" || path == "host/events"
	case name == r.Name, r.Name == "scope", r.Name == "kaderr":
		return false
	case name == "scope" || name == "kaderr":
		return true
	case name == "tasks":
		return r.Group != Pure
	case name == "observe":
		return r.Group != Pure && r.Name != "tasks"
	}
	return slices.Contains(r.Imports, name)
}

// Imports returns what the packages of the module import of each other, without those
// that tests alone import.
func (m *Module) Imports() Graph {
	g := make(Graph)
	for _, p := range m.Packages {
		if drawn(p.Path) {
			g[p.Path] = slices.DeleteFunc(slices.Clone(p.Imports), func(path string) bool { return !drawn(path) })
		}
	}
	return g
}

// drawn reports whether a package is in the graph of imports.
func drawn(path string) bool { return !slices.Contains(testHelpers, path) }

// testHelpers are the packages that tests alone import. They are no rooms, and not shipped.
var testHelpers = []string{ //nolint:gochecknoglobals // a constant
	"host/store/storetest", rooms + "call/calltest", rooms + "roomtest", "host/carry/internal/pathtest",
}

// A Graph says which packages a package imports.
type Graph map[string][]string

// Violations returns the imports of rooms that [Rooms] does not allow, and the rooms
// that are not in it.
func (g Graph) Violations() []string {
	var found []string
	for path, imports := range g {
		name, ok := strings.CutPrefix(path, rooms)
		if !ok {
			continue
		}
		r, ok := room(name)
		if !ok {
			found = append(found, path+" is not in the table of rooms")
			continue
		}
		for _, to := range imports {
			if !r.MayImport(to) {
				found = append(found, fmt.Sprintf("%s imports %s", path, to))
			}
		}
	}
	slices.Sort(found)
	return found
}

// reaches reports whether a package imports another, itself or through others.
func (g Graph) reaches(from, to string) bool {
	return slices.ContainsFunc(g[from], func(next string) bool { return next == to || g.reaches(next, to) })
}

// reduced returns the graph without the imports that follow from others: if a
// imports b, and b imports c, that a imports c is left out.
func (g Graph) reduced() Graph {
	r := make(Graph)
	for from, imports := range g {
		r[from] = slices.DeleteFunc(slices.Clone(imports), func(to string) bool {
			return slices.ContainsFunc(imports, func(other string) bool { return other != to && g.reaches(other, to) })
		})
		slices.Sort(r[from])
	}
	return r
}

// shorten returns the path of a package without host/internal.
func shorten(path string) string { return strings.TrimPrefix(path, rooms) }
