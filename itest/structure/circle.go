package structure

import (
	"go/ast"
	"go/types"
	"slices"
)

// Circle returns the largest set of files of host and its rooms that depend on each
// other in a circle, sorted: the largest strongly connected component of the graph
// of files. Nil if there is no circle.
//
// File a depends on file b if a names something that b declares: a constant, a
// variable, a type, a function, a method, a field. What a calls through an interface
// is declared where the interface is.
func (m *Module) Circle() []string {
	graph := m.dependencies()
	largest := slices.MaxFunc(append(components(graph), nil), func(a, b []string) int { return len(a) - len(b) })
	if len(largest) < 2 {
		return nil
	}
	slices.Sort(largest)
	return largest
}

// dependencies returns, for each file of host and its rooms, the files among them
// that it depends on, sorted.
func (m *Module) dependencies() map[string][]string {
	files := m.files()
	graph := make(map[string][]string)
	for _, p := range m.Host() {
		for _, f := range p.Files {
			graph[f.Name] = nil
		}
	}
	m.inspect(func(p *Package, f *File, n ast.Node) {
		id, ok := n.(*ast.Ident)
		if !ok {
			return
		}
		obj := p.info.Uses[id]
		if obj == nil || !obj.Pos().IsValid() {
			return
		}
		if _, ok := obj.(*types.PkgName); ok {
			return
		}
		b := files[m.fset.File(obj.Pos())]
		if b == nil || b == f {
			return
		}
		if _, ok := graph[b.Name]; ok && !slices.Contains(graph[f.Name], b.Name) {
			graph[f.Name] = append(graph[f.Name], b.Name)
		}
	})
	for _, to := range graph {
		slices.Sort(to)
	}
	return graph
}

// components returns the strongly connected components of a graph, after Tarjan.
func components(graph map[string][]string) [][]string {
	var (
		found   [][]string
		stack   []string
		onStack = make(map[string]bool)
		index   = make(map[string]int) // from 1; 0 is not visited
		low     = make(map[string]int)
		visit   func(v string)
	)
	visit = func(v string) {
		index[v] = len(index) + 1
		low[v] = index[v]
		stack = append(stack, v)
		onStack[v] = true
		for _, w := range graph[v] {
			if index[w] == 0 {
				visit(w)
				low[v] = min(low[v], low[w])
			} else if onStack[w] {
				low[v] = min(low[v], index[w])
			}
		}
		if low[v] != index[v] {
			return
		}
		i := slices.Index(stack, v)
		component := slices.Clone(stack[i:])
		stack = stack[:i]
		for _, w := range component {
			onStack[w] = false
		}
		found = append(found, component)
	}
	vertices := make([]string, 0, len(graph))
	for v := range graph {
		vertices = append(vertices, v)
	}
	slices.Sort(vertices)
	for _, v := range vertices {
		if index[v] == 0 {
			visit(v)
		}
	}
	return found
}
