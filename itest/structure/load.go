package structure

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// A Module is the packages of a Go module without their tests, parsed and
// type-checked, as the Go command builds them on this system.
type Module struct {
	Path     string     // of the module
	Packages []*Package // a package follows those that it imports

	fset *token.FileSet
}

// A Package is one package of a [Module].
type Package struct {
	Path    string   // relative to the module: "host/internal/table"
	Imports []string // packages of the module alone, relative, sorted
	Files   []*File

	types *types.Package
	info  *types.Info
}

// A File is one Go file of a [Package].
type File struct {
	Name  string // relative to the module, with slashes
	Lines int

	syntax *ast.File
}

// listed is what the Go command says of a package.
type listed struct {
	ImportPath string
	Dir        string
	Export     string
	GoFiles    []string
	Imports    []string
	Module     *struct {
		Path string
		Main bool
	}
	Error *struct{ Err string }
}

// shipped are the packages that are measured.
var shipped = []string{"./host/...", "./routing/...", "./protocol/...", "./pb/..."} //nolint:gochecknoglobals // a constant

// Load reads the packages of the module in dir that users import, and all below them:
// host, routing, protocol, pb. It runs the Go command, which compiles what it has not
// compiled yet.
func Load(dir string) (*Module, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	all, err := list(dir)
	if err != nil {
		return nil, err
	}
	m := &Module{fset: token.NewFileSet()}
	exports := make(map[string]string) // compiled packages of others
	checked := make(map[string]*types.Package)
	compiled := importer.ForCompiler(m.fset, "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("structure: %s is not compiled", path)
		}
		return os.Open(exports[path])
	})
	imports := importFunc(func(path string) (*types.Package, error) {
		if p := checked[path]; p != nil {
			return p, nil
		}
		return compiled.Import(path)
	})
	for _, l := range all {
		exports[l.ImportPath] = l.Export
	}
	for _, l := range all {
		if l.Module == nil || !l.Module.Main {
			continue
		}
		if l.Error != nil {
			return nil, errors.New(l.Error.Err)
		}
		m.Path = l.Module.Path
		p, err := m.load(dir, l, imports)
		if err != nil {
			return nil, err
		}
		checked[l.ImportPath] = p.types
		m.Packages = append(m.Packages, p)
	}
	return m, nil
}

// list asks the Go command for packages; each comes after those that it imports.
func list(dir string) ([]listed, error) {
	args := []string{"list", "-e", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles,Imports,Module,Error", "--"}
	cmd := exec.Command("go", append(args, shipped...)...) //nolint:gosec // the arguments are ours
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("structure: go list: %w\n%s", err, stderr.String())
	}
	var all []listed
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var l listed
		if err := d.Decode(&l); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
}

// load parses and checks one package.
func (m *Module) load(dir string, l listed, imports types.Importer) (*Package, error) {
	p := &Package{Path: m.relative(l.ImportPath)}
	for _, path := range l.Imports {
		if path == m.Path || strings.HasPrefix(path, m.Path+"/") {
			p.Imports = append(p.Imports, m.relative(path))
		}
	}
	slices.Sort(p.Imports)
	files := make([]*ast.File, 0, len(l.GoFiles))
	for _, name := range l.GoFiles {
		path := filepath.Join(l.Dir, name)
		syntax, err := parser.ParseFile(m.fset, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		short, err := filepath.Rel(dir, path)
		if err != nil {
			return nil, err
		}
		file := m.fset.File(syntax.Pos())
		lines := file.LineCount()
		if file.Offset(file.LineStart(lines)) == file.Size() {
			lines-- // nothing follows the last newline
		}
		p.Files = append(p.Files, &File{Name: filepath.ToSlash(short), Lines: lines, syntax: syntax})
		files = append(files, syntax)
	}
	p.info = &types.Info{
		Defs: make(map[*ast.Ident]types.Object), Uses: make(map[*ast.Ident]types.Object),
		Types: make(map[ast.Expr]types.TypeAndValue), Selections: make(map[*ast.SelectorExpr]*types.Selection),
	}
	var err error
	p.types, err = (&types.Config{Importer: imports}).Check(l.ImportPath, m.fset, files, p.info)
	return p, err
}

// relative returns the path of a package of the module without that of the module.
func (m *Module) relative(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, m.Path), "/")
}

// importFunc is a [types.Importer].
type importFunc func(path string) (*types.Package, error)

// Import implements [types.Importer].
func (f importFunc) Import(path string) (*types.Package, error) { return f(path) }

// Package returns the package at a path relative to the module, or nil.
func (m *Module) Package(path string) *Package {
	for _, p := range m.Packages {
		if p.Path == path {
			return p
		}
	}
	return nil
}

// Host returns package host and its rooms, host/internal and below, without packages that
// tests alone import.
func (m *Module) Host() []*Package {
	var host []*Package
	for _, p := range m.Packages {
		if drawn(p.Path) && (p.Path == "host" || strings.HasPrefix(p.Path, rooms)) {
			host = append(host, p)
		}
	}
	return host
}

// rooms is what the paths of the rooms of package host begin with.
const rooms = "host/internal/"

// files returns the files of the module by what the positions in them belong to.
func (m *Module) files() map[*token.File]*File {
	files := make(map[*token.File]*File)
	for _, p := range m.Packages {
		for _, f := range p.Files {
			files[m.fset.File(f.syntax.Pos())] = f
		}
	}
	return files
}

// place returns where n begins: "host/dht.go:17".
func (m *Module) place(f *File, n ast.Node) string {
	return fmt.Sprintf("%s:%d", f.Name, m.fset.Position(n.Pos()).Line)
}
