package structure

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// small is the module of testdata/small, which has a case of all that is counted.
var small = sync.OnceValues(func() (*Module, error) { return Load("testdata/small") })

func loadSmall(t *testing.T) *Module {
	t.Helper()
	m, err := small()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestMeasures(t *testing.T) {
	m := loadSmall(t)
	goroutines := m.Goroutines()
	for _, c := range []struct {
		name      string
		got, want []string
	}{
		{"methods", m.Methods(), []string{"circle", "run", "wait"}},
		{"fields", m.Fields(), []string{"Table", "a", "b", "locks", "mu"}},
		{"mutexes", m.Mutexes(), []string{"host/dht.go:17", "host/dht.go:18", "host/group.go:10", "host/group.go:15"}},
		{"clock", m.ClockReads(), []string{
			"host/dht.go:31", "host/dht.go:34", "host/dht.go:34", "host/dht.go:34", "host/internal/table/table.go:12",
		}},
		{"started", goroutines.Started, []string{"host/dht.go:29", "host/dht.go:30", "host/group.go:19"}},
		{"handed", goroutines.Handed, []string{"host/dht.go:24", "host/group.go:22"}},
		{"delayed", goroutines.Delayed, []string{"host/dht.go:31"}},
		{"circle", m.Circle(), []string{"host/circle.go", "host/group.go"}},
		{"long functions", m.LongFunctions(), []string{"protocol/long.go:75"}},
		{"long files", m.LongFiles(), []string{"protocol/over.go"}},
		{"violations", m.Imports().Violations(), []string{"host/internal/cellar is not in the table of rooms"}},
	} {
		slices.Sort(c.got)
		if !slices.Equal(c.got, c.want) {
			t.Errorf("%s: %q, want %q", c.name, c.got, c.want)
		}
	}
	if got, want := m.Lines(), 34+31+9+4+12+4; got != want {
		t.Errorf("%d lines, want %d", got, want)
	}
}

func TestProse(t *testing.T) {
	m := loadSmall(t)
	if got, want := m.Prose(m.Package("routing")), (Prose{Words: 19, Pronouns: 5}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if got := (Prose{Words: 400, Pronouns: 5}).Rate(); got != 12.5 {
		t.Errorf("a rate of %v, want 12.5", got)
	}
	if got := m.Prose(m.Package("missing")).Rate(); got != 0 {
		t.Errorf("a rate of %v of no words, want 0", got)
	}
}

// A walk goes through interfaces, and fails where nothing calls the next function.
func TestFollow(t *testing.T) {
	m := loadSmall(t)
	files, err := m.Follow([]string{"host.DHT.circle", "host.group2.all", "host.group.ask", "host.group.Go"})
	if want := []string{"host/circle.go", "host/group.go"}; err != nil || !slices.Equal(files, want) {
		t.Errorf("files %q, %v, want %q", files, err, want)
	}
	for _, c := range []struct{ walk, want string }{
		{"host.DHT.circle host.leaf", "no function before host.leaf calls it"},
		{"host.DHT.circle host.missing", "there is no function host.missing"},
	} {
		if _, err := m.Follow(strings.Fields(c.walk)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.walk, err, c.want)
		}
	}
}

func TestImports(t *testing.T) {
	got := loadSmall(t).Imports()
	want := Graph{
		"host":                 {"host/internal/table", "routing"},
		"host/internal/table":  {},
		"host/internal/cellar": {"host"},
		"routing":              {},
		"protocol":             {},
	}
	for path := range want {
		if !slices.Equal(got[path], want[path]) {
			t.Errorf("%s imports %q, want %q", path, got[path], want[path])
		}
	}
	if len(got) != len(want) {
		t.Errorf("packages %v, want %v", got, want)
	}
}

func TestViolations(t *testing.T) {
	g := Graph{
		"host":                   {"host/internal/lookup", "host/store"},
		"host/internal/lookup":   {"host/internal/call", "host/internal/deliver", "host/internal/tasks", "routing"},
		"host/internal/scope":    {"host/internal/kaderr"},
		"host/internal/validate": {"host/internal/kaderr", "host/internal/tasks", "pb"},
		"host/internal/call":     {"host"},
	}
	want := []string{
		"host/internal/call imports host",
		"host/internal/lookup imports host/internal/deliver",
		"host/internal/scope imports host/internal/kaderr",
		"host/internal/validate imports host/internal/tasks",
		"host/internal/validate imports pb",
	}
	if got := g.Violations(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// The table of rooms allows no circle.
func TestRooms(t *testing.T) {
	for i, r := range Rooms {
		for _, to := range r.Imports {
			if !slices.ContainsFunc(Rooms[:i], func(before Room) bool { return before.Name == to }) {
				t.Errorf("%s may import %s, which does not stand before it", r.Name, to)
			}
		}
	}
}

func TestComponents(t *testing.T) {
	got := components(map[string][]string{"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": {"d"}, "f": {"a", "f"}})
	for _, c := range got {
		slices.Sort(c)
	}
	if want := [][]string{{"d", "e"}, {"a", "b", "c"}, {"f"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
