package interop_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	incumbent "github.com/libp2p/go-libp2p-kad-dht"

	compat "github.com/go-kad/kad/host/compat"
)

// exportedIn returns the exported names of a package, and whether each is an option of New.
func exportedIn(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", dir, len(files), err)
	}
	names := make(map[string]bool)
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.IsExported() {
				names[f.Name.Name] = returnsOption(f)
			}
			if g, ok := decl.(*ast.GenDecl); ok {
				for _, name := range declared(g) {
					if name.IsExported() {
						names[name.Name] = false
					}
				}
			}
		}
	}
	return names
}

// returnsOption reports whether a function returns an Option alone.
func returnsOption(f *ast.FuncDecl) bool {
	if f.Type.Results == nil || len(f.Type.Results.List) != 1 {
		return false
	}
	result, ok := f.Type.Results.List[0].Type.(*ast.Ident)
	return ok && result.Name == "Option"
}

// declared returns the names of constants, variables and types.
func declared(g *ast.GenDecl) (names []*ast.Ident) {
	for _, spec := range g.Specs {
		switch s := spec.(type) {
		case *ast.ValueSpec:
			names = append(names, s.Names...)
		case *ast.TypeSpec:
			names = append(names, s.Name)
		default:
		}
	}
	return names
}

// MIGRATING.md has each option of go-libp2p-kad-dht, and each other name of it that host/compat
// lacks: functions, types, and methods of the DHT. What it says is there is there.
func TestMigratingIsComplete(t *testing.T) {
	module := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/libp2p/go-libp2p-kad-dht")
	dir, err := module.Output()
	if err != nil {
		t.Fatal(err)
	}
	theirs := exportedIn(t, strings.TrimSpace(string(dir)))
	ours := exportedIn(t, filepath.Join("..", "..", "host", "compat"))
	text, err := os.ReadFile(filepath.Join("..", "..", "MIGRATING.md"))
	if err != nil {
		t.Fatal(err)
	}
	named := make(map[string]string) // the row of each name
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 {
			continue
		}
		for name := range strings.SplitSeq(cells[1], ",") {
			named[strings.Trim(strings.TrimSpace(name), "`")] = cells[2]
		}
	}
	for _, method := range methodsOf[*incumbent.IpfsDHT]() {
		if _, ok := reflect.TypeFor[*compat.IpfsDHT]().MethodByName(method); !ok && named["IpfsDHT."+method] == "" {
			t.Errorf("MIGRATING.md has no row for the method %s, which host/compat lacks", method)
		}
	}
	options := 0
	for _, name := range slices.Sorted(maps.Keys(theirs)) {
		_, there := ours[name]
		row := named[name]
		switch {
		case theirs[name] && row == "":
			t.Errorf("MIGRATING.md has no row for the option %s", name)
		case !there && row == "":
			t.Errorf("MIGRATING.md has no row for %s, which host/compat lacks", name)
		case there == strings.HasPrefix(row, " not there") && row != "":
			t.Errorf("MIGRATING.md says of %s:%s; it is in host/compat: %v", name, row, there)
		}
		if theirs[name] {
			options++
		}
	}
	if options < 30 {
		t.Errorf("%d options were found; there are more", options)
	}
}

// methodsOf returns the exported methods of a type.
func methodsOf[T any]() (names []string) {
	for method := range reflect.TypeFor[T]().Methods() {
		names = append(names, method.Name)
	}
	return names
}
