package readme_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each exported function and type of the packages that users import, and each method of a DHT
// and of a Group, is shown by an Example of its package: the Example names it, or has what it
// names, or reads a field of its type.
func TestExamples(t *testing.T) {
	for _, dir := range []string{"host", "host/validator", "host/store", "routing", "protocol"} {
		p := parsePackage(t, filepath.Join(root, filepath.FromSlash(dir)))
		for name := range p.shown() {
			delete(p.entries, name)
		}
		for _, name := range slices.Sorted(maps.Keys(p.entries)) {
			t.Errorf("%s: no Example shows %s", dir, name)
		}
	}
}

// An exported is what is exported by a package, and what its Examples name.
type exported struct {
	entries map[string]bool                // what is to be shown
	uses    map[string][]string            // the names that each function and method has in its signature
	fields  map[string]map[string][]string // by type and field: the names in the type of the field
	named   map[string]bool                // what Examples select, and are of
}

// parsePackage reads a package and its Examples.
func parsePackage(t *testing.T, dir string) *exported {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	p := &exported{make(map[string]bool), make(map[string][]string), make(map[string]map[string][]string), make(map[string]bool)}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".go") {
			continue
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), filepath.Join(dir, f.Name()), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case strings.HasPrefix(f.Name(), "example"):
			ast.Inspect(syntax, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncDecl:
					of, isExample := strings.CutPrefix(n.Name.Name, "Example")
					for name := range strings.SplitSeq(of, "_") {
						p.named[name] = p.named[name] || isExample
					}
				case *ast.SelectorExpr:
					p.named[n.Sel.Name] = true
				case *ast.KeyValueExpr:
					if key, ok := n.Key.(*ast.Ident); ok {
						p.named[key.Name] = true // a field of a literal
					}
				}
				return true
			})
		case !strings.HasSuffix(f.Name(), "_test.go"):
			for _, d := range syntax.Decls {
				p.declare(d)
			}
		}
	}
	if len(p.entries) == 0 || len(p.named) == 0 {
		t.Fatalf("%s: %d entries, and Examples name %d", dir, len(p.entries), len(p.named))
	}
	return p
}

// declare takes in what a declaration exports.
func (p *exported) declare(d ast.Decl) {
	switch d := d.(type) {
	case *ast.FuncDecl:
		of := receiver(d)
		if !ast.IsExported(d.Name.Name) || of != "" && !ast.IsExported(of) {
			return
		}
		p.uses[d.Name.Name] = append(p.uses[d.Name.Name], namesIn(d.Type)...)
		if of == "" || of == "DHT" || of == "Group" {
			p.entries[d.Name.Name] = true
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			s, ok := spec.(*ast.TypeSpec)
			if !ok || !s.Name.IsExported() {
				continue
			}
			p.entries[s.Name.Name] = true
			if fields, ok := s.Type.(*ast.StructType); ok {
				p.fields[s.Name.Name] = make(map[string][]string)
				for _, f := range fields.Fields.List {
					for _, name := range f.Names {
						p.fields[s.Name.Name][name.Name] = namesIn(f.Type)
					}
					if len(f.Names) == 0 { // what is embedded is shown with the type
						p.uses[s.Name.Name] = append(p.uses[s.Name.Name], namesIn(f.Type)...)
					}
				}
			}
		}
	}
}

// receiver returns the type that a function is a method of; empty if it is none.
func receiver(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return ""
	}
	of := d.Recv.List[0].Type
	if star, ok := of.(*ast.StarExpr); ok {
		of = star.X
	}
	name, _ := of.(*ast.Ident)
	if name == nil {
		return "?"
	}
	return name.Name
}

// namesIn returns the identifiers in a type.
func namesIn(n ast.Node) (names []string) {
	ast.Inspect(n, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			names = append(names, id.Name)
		}
		return true
	})
	return names
}

// shown returns the entries that Examples show.
func (p *exported) shown() map[string]bool {
	shown := make(map[string]bool)
	var show func(name string)
	show = func(name string) {
		if shown[name] {
			return
		}
		shown[name] = true
		for _, other := range p.uses[name] {
			show(other)
		}
		for field, names := range p.fields[name] {
			for _, other := range names {
				if p.named[field] {
					show(other)
				}
			}
		}
	}
	for name := range p.named {
		show(name)
	}
	return shown
}
