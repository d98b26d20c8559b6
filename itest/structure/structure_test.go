package structure

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// root is the folder of the module.
const root = "../.."

// whole is the module.
var whole = sync.OnceValues(func() (*Module, error) { return Load(root) })

func loadWhole(t *testing.T) *Module {
	t.Helper()
	m, err := whole()
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// bounds are the most that each figure may be. A figure without a bound is printed
// alone: HostLines grows with what the DHT does.
var bounds = map[string]float64{
	DHTMethods:      45,
	DHTFields:       15,
	LargestCircle:   6,
	GoroutineStarts: 5,
	ClockUses:       40,
	FindNodePath:    8,
	HostPronouns:    2,
	RoutingPronouns: 2,
	WirePronouns:    2,
	FunctionsOver:   0,
	FilesOver:       0,
	WrongImports:    0,
}

func TestBounds(t *testing.T) {
	seen := make(map[string]bool)
	for _, f := range loadWhole(t).Figures() {
		seen[f.Name] = true
		bound, ok := bounds[f.Name]
		switch {
		case f.Err != nil:
			t.Errorf("%s: %v", f.Name, f.Err)
		case ok && f.Value > bound:
			t.Errorf("%s: %s, want at most %.0f; make structure PLACES=1 says where\n  %s", f.Name, f.Text(), bound, strings.Join(f.Places[:min(10, len(f.Places))], "\n  "))
		}
	}
	for name := range bounds {
		if !seen[name] {
			t.Errorf("%s is not measured", name)
		}
	}
}

// The committed picture is what make structure writes.
func TestPictureIsCurrent(t *testing.T) {
	committed, err := os.ReadFile(filepath.Join(root, "architecture.svg"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(committed, loadWhole(t).Imports().Picture()) {
		t.Error("architecture.svg is not current: run make structure")
	}
}

// The linter is told the same as the table of rooms.
func TestLinter(t *testing.T) {
	config, err := os.ReadFile(filepath.Join(root, ".golangci.yml"))
	if err != nil {
		t.Fatal(err)
	}
	rule := regexp.MustCompile(`files: \["\*\*/host/internal/(\w+)/\*\.go", "!\$test"\]\n\s+allow: \[([^\]]*)\]\n`)
	allowed := make(map[string]string)
	for _, found := range rule.FindAllSubmatch(config, -1) {
		allowed[string(found[1])] = strings.Join(strings.Fields(string(found[2])), " ")
	}
	for _, r := range Rooms {
		paths := []string{"routing", "protocol", "host/store", "host/events"}
		for _, other := range Rooms {
			if r.MayImport(rooms + other.Name) {
				paths = append(paths, rooms+other.Name)
			}
		}
		for i, path := range paths {
			paths[i] = "github.com/go-kad/kad/" + path + "$"
		}
		if got, want := allowed[r.Name], strings.Join(paths, ", "); got != want {
			t.Errorf("the rule of %s allows\n  %s\nwant\n  %s", r.Name, got, want)
		}
		delete(allowed, r.Name)
	}
	for name := range allowed {
		t.Errorf("the linter has a rule for %s, which is not in the table of rooms", name)
	}
}

// ARCHITECTURE.md has each room, and the same table of imports.
func TestDocument(t *testing.T) {
	document, err := os.ReadFile(filepath.Join(root, "ARCHITECTURE.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range Rooms {
		if !strings.Contains(string(document), " | `"+r.Name+"` | ") {
			t.Errorf("the list of packages lacks %s", r.Name)
		}
		if row := "\n| `" + r.Name + "` | `" + strings.Join(r.Imports, "`, `") + "` |\n"; r.Imports != nil && !strings.Contains(string(document), row) {
			t.Errorf("the table of imports lacks the row%s", row)
		}
	}
}
