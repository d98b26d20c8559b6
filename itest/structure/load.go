package structure

import (
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
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
	m := &Module{fset: token.NewFileSet()}
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedImports | packages.NeedModule |
			packages.NeedSyntax | packages.NeedTypes | packages.NeedTypesInfo,
		Dir:  dir,
		Fset: m.fset,
	}, shipped...)
	if err != nil {
		return nil, fmt.Errorf("structure: %w", err)
	}
	for p := range packages.Postorder(loaded) {
		if p.Module == nil || !p.Module.Main {
			continue
		}
		if len(p.Errors) > 0 {
			return nil, p.Errors[0]
		}
		m.Path = p.Module.Path
		m.Packages = append(m.Packages, m.read(dir, p))
	}
	return m, nil
}

// read returns what is measured of a package.
func (m *Module) read(dir string, loaded *packages.Package) *Package {
	p := &Package{Path: m.relative(loaded.PkgPath), types: loaded.Types, info: loaded.TypesInfo}
	for path := range loaded.Imports {
		if path == m.Path || strings.HasPrefix(path, m.Path+"/") {
			p.Imports = append(p.Imports, m.relative(path))
		}
	}
	slices.Sort(p.Imports)
	for _, syntax := range loaded.Syntax {
		file := m.fset.File(syntax.Pos())
		lines := file.LineCount()
		if file.Offset(file.LineStart(lines)) == file.Size() {
			lines-- // nothing follows the last newline
		}
		name := strings.TrimPrefix(file.Name(), dir+string(filepath.Separator))
		p.Files = append(p.Files, &File{Name: filepath.ToSlash(name), Lines: lines, syntax: syntax})
	}
	return p
}

// relative returns the path of a package of the module without that of the module.
func (m *Module) relative(path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, m.Path), "/")
}

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
