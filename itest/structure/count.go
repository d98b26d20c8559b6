package structure

import (
	"go/ast"
	"go/types"
	"slices"
	"strings"
)

// Methods returns the names of the methods of type DHT in package host, exported
// or not, in all of its files.
func (m *Module) Methods() []string {
	var names []string
	for _, f := range m.hostFiles() {
		for _, decl := range f.syntax.Decls {
			if fn, ok := decl.(*ast.FuncDecl); ok && receiver(fn) == "DHT" {
				names = append(names, fn.Name.Name)
			}
		}
	}
	return names
}

// hostFiles returns the files of package host.
func (m *Module) hostFiles() []*File {
	if p := m.Package("host"); p != nil {
		return p.Files
	}
	return nil
}

// receiver returns the name of the type that fn is a method of; "" if of none.
func receiver(fn *ast.FuncDecl) string {
	if fn.Recv == nil {
		return ""
	}
	t := fn.Recv.List[0].Type
	if star, ok := t.(*ast.StarExpr); ok {
		t = star.X
	}
	switch x := t.(type) {
	case *ast.IndexExpr:
		t = x.X
	case *ast.IndexListExpr:
		t = x.X
	}
	if id, ok := t.(*ast.Ident); ok {
		return id.Name
	}
	return ""
}

// Fields returns the names of the fields of the struct DHT in package host. An
// embedded field has the name of its type.
func (m *Module) Fields() []string {
	p := m.Package("host")
	if p == nil {
		return nil
	}
	dht := p.types.Scope().Lookup("DHT")
	if dht == nil {
		return nil
	}
	s, ok := dht.Type().Underlying().(*types.Struct)
	if !ok {
		return nil
	}
	names := make([]string, s.NumFields())
	for i := range names {
		names[i] = s.Field(i).Name()
	}
	return names
}

// Mutexes returns where structs of host and its rooms have a field of type
// sync.Mutex or sync.RWMutex, a pointer to one, or an array or slice of them:
// "host/peers.go:30".
func (m *Module) Mutexes() []string {
	var found []string
	m.inspect(func(p *Package, f *File, n ast.Node) {
		s, ok := n.(*ast.StructType)
		if !ok {
			return
		}
		for _, field := range s.Fields.List {
			if !isMutex(p.info.TypeOf(field.Type)) {
				continue
			}
			for range max(1, len(field.Names)) {
				found = append(found, m.place(f, field))
			}
		}
	})
	return found
}

func isMutex(t types.Type) bool {
	switch t := t.(type) {
	case *types.Named:
		obj := t.Obj()
		if obj.Pkg() != nil && obj.Pkg().Path() == "sync" {
			return obj.Name() == "Mutex" || obj.Name() == "RWMutex"
		}
		_, array := t.Underlying().(*types.Array)
		return array && isMutex(t.Underlying())
	case *types.Pointer:
		return isMutex(t.Elem())
	case *types.Array:
		return isMutex(t.Elem())
	case *types.Slice:
		return isMutex(t.Elem())
	}
	return false
}

// inspect calls visit with every node of host and its rooms.
func (m *Module) inspect(visit func(p *Package, f *File, n ast.Node)) {
	for _, p := range m.Host() {
		for _, f := range p.Files {
			ast.Inspect(f.syntax, func(n ast.Node) bool {
				if n != nil {
					visit(p, f, n)
				}
				return true
			})
		}
	}
}

// clock are the functions of package time that read the clock or start a timer.
var clock = []string{"Now", "Since", "Until", "NewTimer", "NewTicker", "After", "AfterFunc", "Tick"} //nolint:gochecknoglobals // a constant

// ClockReads returns where host and its rooms name one of these functions of
// package time, to call it or to pass it on: Now, Since, Until, NewTimer, NewTicker,
// After, AfterFunc, Tick. Deadlines of contexts are not counted.
func (m *Module) ClockReads() []string {
	var found []string
	m.inspect(func(p *Package, f *File, n ast.Node) {
		if id, ok := n.(*ast.Ident); ok {
			if fn, ok := p.info.Uses[id].(*types.Func); ok && isFunc(fn, "time", clock...) {
				found = append(found, m.place(f, n))
			}
		}
	})
	return found
}

// isFunc reports whether fn is one of the functions, not methods, of a package.
func isFunc(fn *types.Func, pkg string, names ...string) bool {
	return fn.Pkg() != nil && fn.Pkg().Path() == pkg && fn.Signature().Recv() == nil && slices.Contains(names, fn.Name())
}

// Goroutines are the places of host and its rooms that start goroutines.
type Goroutines struct {
	// Started has each go statement, and each call of the method Go of sync.WaitGroup
	// and errgroup.Group.
	Started []string

	// Handed has each call of a function of the module that starts a function which it
	// is given: one whose body has a place of Started that names a parameter of type
	// func. Such goroutines have an owner.
	Handed []string

	// Delayed has each call of time.AfterFunc and context.AfterFunc.
	Delayed []string
}

// Goroutines returns where host and its rooms start goroutines.
func (m *Module) Goroutines() Goroutines {
	var g Goroutines
	starters := m.starters()
	m.inspect(func(p *Package, f *File, n ast.Node) {
		switch {
		case starts(p, n):
			g.Started = append(g.Started, m.place(f, n))
		case isCall(p, n, func(fn *types.Func) bool { return starters[fn] }):
			g.Handed = append(g.Handed, m.place(f, n))
		case isCall(p, n, func(fn *types.Func) bool {
			return isFunc(fn, "time", "AfterFunc") || isFunc(fn, "context", "AfterFunc")
		}):
			g.Delayed = append(g.Delayed, m.place(f, n))
		}
	})
	return g
}

// starts reports whether n starts a goroutine itself.
func starts(p *Package, n ast.Node) bool {
	if _, ok := n.(*ast.GoStmt); ok {
		return true
	}
	return isCall(p, n, func(fn *types.Func) bool {
		name := fn.FullName()
		return name == "(*sync.WaitGroup).Go" || name == "(*golang.org/x/sync/errgroup.Group).Go" ||
			name == "(*golang.org/x/sync/errgroup.Group).TryGo"
	})
}

// isCall reports whether n calls a function or method of which is says so.
func isCall(p *Package, n ast.Node, is func(*types.Func) bool) bool {
	call, ok := n.(*ast.CallExpr)
	if !ok {
		return false
	}
	fun := ast.Unparen(call.Fun)
	switch x := fun.(type) { // of a generic function
	case *ast.IndexExpr:
		fun = x.X
	case *ast.IndexListExpr:
		fun = x.X
	}
	var id *ast.Ident
	switch x := fun.(type) {
	case *ast.Ident:
		id = x
	case *ast.SelectorExpr:
		id = x.Sel
	default:
		return false
	}
	fn, ok := p.info.Uses[id].(*types.Func)
	return ok && is(fn.Origin())
}

// starters returns the functions that start a function which they are given.
func (m *Module) starters() map[*types.Func]bool {
	found := make(map[*types.Func]bool)
	m.inspect(func(p *Package, _ *File, n ast.Node) {
		decl, ok := n.(*ast.FuncDecl)
		if !ok || decl.Body == nil {
			return
		}
		fn, ok := p.info.Defs[decl.Name].(*types.Func)
		if !ok {
			return
		}
		given := make(map[types.Object]bool)
		for param := range fn.Signature().Params().Variables() {
			if _, ok := param.Type().Underlying().(*types.Signature); ok {
				given[param] = true
			}
		}
		ast.Inspect(decl.Body, func(n ast.Node) bool {
			if n != nil && starts(p, n) && names(p, n, given) {
				found[fn] = true
			}
			return true
		})
	})
	return found
}

// names reports whether n names one of objects.
func names(p *Package, n ast.Node, objects map[types.Object]bool) bool {
	found := false
	ast.Inspect(n, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && objects[p.info.Uses[id]] {
			found = true
		}
		return !found
	})
	return found
}

// Lines returns how many lines the files of host and its rooms have, with comments
// and empty lines.
func (m *Module) Lines() int {
	lines := 0
	for _, p := range m.Host() {
		for _, f := range p.Files {
			lines += f.Lines
		}
	}
	return lines
}

// Sizes of functions and files beyond which they are long, in lines.
const (
	LongFunction = 70
	LongFile     = 400
)

// measured reports whether the sizes of a package count: those that are shipped,
// and are not generated.
func measured(p *Package) bool {
	return p.Path == "host" || strings.HasPrefix(p.Path, "host/") || p.Path == "routing" || p.Path == "protocol"
}

// LongFunctions returns the functions of host, routing, protocol and packages below
// them that have more than [LongFunction] lines, from the word func to the last
// brace: "host/dht.go:17".
func (m *Module) LongFunctions() []string {
	var found []string
	for _, p := range m.Packages {
		if !measured(p) {
			continue
		}
		for _, f := range p.Files {
			for _, decl := range f.syntax.Decls {
				fn, ok := decl.(*ast.FuncDecl)
				if ok && m.fset.Position(fn.End()).Line-m.fset.Position(fn.Pos()).Line >= LongFunction {
					found = append(found, m.place(f, fn))
				}
			}
		}
	}
	return found
}

// LongFiles returns the files of host, routing, protocol and packages below them
// that have more than [LongFile] lines.
func (m *Module) LongFiles() []string {
	var found []string
	for _, p := range m.Packages {
		for _, f := range p.Files {
			if measured(p) && f.Lines > LongFile {
				found = append(found, f.Name)
			}
		}
	}
	return found
}
