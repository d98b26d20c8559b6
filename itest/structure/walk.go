package structure

import (
	"fmt"
	"go/ast"
	"go/types"
	"iter"
	"maps"
	"slices"
)

// FindNode are the functions through which one FIND_NODE of ours passes, from
// DHT.ClosestPeers to the wire, and its answer on the way back.
var FindNode = []string{ //nolint:gochecknoglobals // a constant
	"host.DHT.ClosestPeers",
	rooms + "lookup.Engine.Closest", rooms + "lookup.Engine.Prepare", rooms + "table.Table.Seeds",
	rooms + "lookup.Search.Run", rooms + "lookup.drive", "routing.Lookup.Next", rooms + "lookup.Search.ask",
	rooms + "call.Caller.Request", rooms + "call.Caller.ask", rooms + "call.Caller.attempt",
	rooms + "call.Streams.Request",
	"protocol.AppendRequestFrame", "protocol.ReadFrameInto", "protocol.ParseResponse",
	rooms + "table.Table.Heard", rooms + "lookup.Search.settle", "routing.Lookup.Answered",
}

// FindNodeAside are the functions that these call aside: to wait for a turn or a dial,
// to start a goroutine, to remember, to trace, to leave addresses out.
var FindNodeAside = []string{ //nolint:gochecknoglobals // a constant
	rooms + "tasks.Group.Begin", rooms + "tasks.Group.Go",
	rooms + "table.Table.ReadyWithin", rooms + "table.Table.Expect",
	rooms + "lookup.recall.near", rooms + "lookup.recall.learn", rooms + "lookup.traceOf",
	rooms + "call.dialer.dial", rooms + "call.Caller.outcome", rooms + "call.Streams.open",
	rooms + "announce.Restrict", rooms + "scope.OfConn",
}

// Follow returns the files of host and its rooms that declare the functions of a
// walk, sorted. A function is written "host.New", a method "host.DHT.Close", in a room
// "host/internal/table.Table.Seen". It is an error if the module has no such function,
// or if a function, except the first, is not called by one before it: named by it, or
// assigned to a field of type func that it names, or the implementation of a method of
// an interface that it names. Up to two functions may stand between them.
func (m *Module) Follow(walk []string) ([]string, error) {
	graph := m.calls()
	byName := make(map[string]*types.Func)
	for fn := range graph {
		byName[m.name(fn)] = fn
	}
	files := m.files()
	host := m.hostNames()
	var found []string
	reached := make(map[*types.Func]bool)
	for i, name := range walk {
		fn := byName[name]
		if fn == nil {
			return nil, fmt.Errorf("structure: there is no function %s", name)
		}
		if i > 0 && !reached[fn] {
			return nil, fmt.Errorf("structure: no function before %s calls it", name)
		}
		near := map[*types.Func]bool{fn: true}
		for range 1 + between {
			for _, f := range slices.Collect(maps.Keys(near)) {
				maps.Copy(near, graph[f])
			}
		}
		maps.Copy(reached, near)
		if f := files[m.fset.File(fn.Pos())]; host[f.Name] && !slices.Contains(found, f.Name) {
			found = append(found, f.Name)
		}
	}
	slices.Sort(found)
	return found, nil
}

// between is how many functions may stand between two of a walk.
const between = 2

// hostNames returns the names of the files of host and its rooms.
func (m *Module) hostNames() map[string]bool {
	names := make(map[string]bool)
	for _, p := range m.Host() {
		for _, f := range p.Files {
			names[f.Name] = true
		}
	}
	return names
}

// name returns the name of a function as in a walk.
func (m *Module) name(fn *types.Func) string {
	name := fn.Name()
	if recv := fn.Signature().Recv(); recv != nil {
		t := recv.Type()
		if p, ok := t.(*types.Pointer); ok {
			t = p.Elem()
		}
		if n, ok := t.(*types.Named); ok {
			name = n.Obj().Name() + "." + name
		}
	}
	return m.relative(fn.Pkg().Path()) + "." + name
}

// calls returns, for each function of the module, the functions that it may call: see
// [Module.Follow].
func (m *Module) calls() map[*types.Func]map[*types.Func]bool {
	graph := make(map[*types.Func]map[*types.Func]bool)
	fields := m.assigned()
	methods := m.implementations()
	for _, p := range m.Packages {
		for _, f := range p.Files {
			for _, decl := range f.syntax.Decls {
				fn, ok := decl.(*ast.FuncDecl)
				if !ok {
					continue
				}
				named := make(map[*types.Func]bool)
				for obj := range p.uses(fn) {
					switch obj := obj.(type) {
					case *types.Func:
						named[obj.Origin()] = true
						maps.Copy(named, methods[obj])
					case *types.Var:
						maps.Copy(named, fields[obj.Origin()])
					}
				}
				if from, ok := p.info.Defs[fn.Name].(*types.Func); ok {
					graph[from] = named
				}
			}
		}
	}
	return graph
}

// uses returns what n names.
func (p *Package) uses(n ast.Node) iter.Seq[types.Object] {
	return func(yield func(types.Object) bool) {
		ast.Inspect(n, func(n ast.Node) bool {
			if id, ok := n.(*ast.Ident); ok && p.info.Uses[id] != nil {
				return yield(p.info.Uses[id])
			}
			return true
		})
	}
}

// assigned returns, for each field of type func, the functions that are named in
// what is assigned to it.
func (m *Module) assigned() map[*types.Var]map[*types.Func]bool {
	found := make(map[*types.Var]map[*types.Func]bool)
	for _, p := range m.Packages {
		add := func(to *ast.Ident, value ast.Expr) {
			field, ok := p.info.Uses[to].(*types.Var)
			if !ok || !field.IsField() {
				return
			}
			if _, ok := field.Type().Underlying().(*types.Signature); !ok {
				return
			}
			for obj := range p.uses(value) {
				if fn, ok := obj.(*types.Func); ok {
					if found[field.Origin()] == nil {
						found[field.Origin()] = make(map[*types.Func]bool)
					}
					found[field.Origin()][fn.Origin()] = true
				}
			}
		}
		for _, f := range p.Files {
			ast.Inspect(f.syntax, func(n ast.Node) bool {
				assignments(n, add)
				return true
			})
		}
	}
	return found
}

// assignments calls add with each field, or key of a literal, that n assigns a value
// to.
func assignments(n ast.Node, add func(to *ast.Ident, value ast.Expr)) {
	switch n := n.(type) {
	case *ast.KeyValueExpr:
		if id, ok := n.Key.(*ast.Ident); ok {
			add(id, n.Value)
		}
	case *ast.AssignStmt:
		for i, left := range n.Lhs {
			if sel, ok := left.(*ast.SelectorExpr); ok && len(n.Lhs) == len(n.Rhs) {
				add(sel.Sel, n.Rhs[i])
			}
		}
	}
}

// implementations returns, for each method of an interface of the module, the
// methods that implement it.
func (m *Module) implementations() map[*types.Func]map[*types.Func]bool {
	var interfaces, others []*types.Named
	for _, p := range m.Packages {
		for _, name := range p.types.Scope().Names() {
			t, ok := p.types.Scope().Lookup(name).(*types.TypeName)
			if !ok {
				continue
			}
			if n, ok := t.Type().(*types.Named); ok && n.TypeParams() == nil {
				if types.IsInterface(n) {
					interfaces = append(interfaces, n)
				} else {
					others = append(others, n)
				}
			}
		}
	}
	found := make(map[*types.Func]map[*types.Func]bool)
	for _, named := range interfaces {
		t, ok := named.Underlying().(*types.Interface)
		for _, other := range others {
			if !ok || !types.Implements(types.NewPointer(other), t) {
				continue
			}
			for method := range t.Methods() {
				obj, _, _ := types.LookupFieldOrMethod(types.NewPointer(other), true, method.Pkg(), method.Name())
				if fn, ok := obj.(*types.Func); ok {
					if found[method] == nil {
						found[method] = make(map[*types.Func]bool)
					}
					found[method][fn] = true
				}
			}
		}
	}
	return found
}
