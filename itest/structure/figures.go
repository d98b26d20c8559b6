package structure

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// A Figure is one measured value.
type Figure struct {
	Name   string
	Value  float64
	Places []string // what was counted, where there is something to look up
	Err    error    // why it cannot be measured
}

// The names of the figures.
const (
	DHTMethods      = "methods of DHT"
	DHTFields       = "fields of DHT"
	LargestCircle   = "files in the largest circle"
	GoroutineStarts = "places that start goroutines"
	GoroutineHanded = "calls that hand a function to such a place"
	GoroutineLater  = "calls of AfterFunc"
	ClockUses       = "clock reads"
	MutexFields     = "mutex fields"
	FindNodePath    = "files on the way of one FIND_NODE"
	FindNodeFiles   = "files on its way and aside"
	HostPronouns    = "pronouns per 1000 words, host"
	RoutingPronouns = "pronouns per 1000 words, routing"
	WirePronouns    = "pronouns per 1000 words, protocol"
	HostLines       = "lines of host and its rooms"
	FunctionsOver   = "functions over 70 lines"
	FilesOver       = "files over 400 lines"
	WrongImports    = "imports that are not allowed"
)

// Figures measures all that this package can.
func (m *Module) Figures() []Figure {
	g := m.Goroutines()
	counted := func(name string, places []string) Figure {
		return Figure{Name: name, Value: float64(len(places)), Places: places}
	}
	pronouns := func(name string, packages ...*Package) Figure {
		p := m.Prose(packages...)
		return Figure{Name: name, Value: p.Rate(), Places: []string{fmt.Sprintf("%d of %d words", p.Pronouns, p.Words)}}
	}
	walk := func(name string, functions []string) Figure {
		files, err := m.Follow(functions)
		return Figure{Name: name, Value: float64(len(files)), Places: files, Err: err}
	}
	return []Figure{
		counted(DHTMethods, m.Methods()),
		counted(DHTFields, m.Fields()),
		counted(LargestCircle, m.Circle()),
		counted(GoroutineStarts, g.Started),
		counted(GoroutineHanded, g.Handed),
		counted(GoroutineLater, g.Delayed),
		counted(ClockUses, m.ClockReads()),
		counted(MutexFields, m.Mutexes()),
		walk(FindNodePath, FindNode),
		walk(FindNodeFiles, slices.Concat(FindNode, FindNodeAside)),
		pronouns(HostPronouns, m.Host()...),
		pronouns(RoutingPronouns, m.Package("routing")),
		pronouns(WirePronouns, m.Package("protocol")),
		{Name: HostLines, Value: float64(m.Lines())},
		counted(FunctionsOver, m.LongFunctions()),
		counted(FilesOver, m.LongFiles()),
		counted(WrongImports, m.Imports().Violations()),
	}
}

// Print writes figures as a table; with all, what was counted follows each.
func Print(w io.Writer, figures []Figure, all bool) error {
	width := 0
	for _, f := range figures {
		width = max(width, len(f.Name))
	}
	var b strings.Builder
	for _, f := range figures {
		fmt.Fprintf(&b, "%-*s  %s\n", width, f.Name, f.Text())
		for _, place := range f.Places {
			if all {
				fmt.Fprintf(&b, "    %s\n", place)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// Text returns the value, a whole number or a rate with one decimal, or why there is
// none.
func (f Figure) Text() string {
	if f.Err != nil {
		return f.Err.Error()
	}
	if f.Value == float64(int(f.Value)) {
		return fmt.Sprintf("%.0f", f.Value)
	}
	return fmt.Sprintf("%.1f", f.Value)
}

// PrintImports writes the table of imports: each room, and what it imports of the
// module. An import that is not allowed is in brackets.
func (g Graph) PrintImports(w io.Writer) error {
	var b strings.Builder
	for _, r := range Rooms {
		imports, ok := g[rooms+r.Name]
		if !ok {
			continue
		}
		fmt.Fprintf(&b, "%s\t", r.Name)
		for i, to := range imports {
			if i > 0 {
				b.WriteString(", ")
			}
			if r.MayImport(to) {
				b.WriteString(shorten(to))
			} else {
				fmt.Fprintf(&b, "[%s]", shorten(to))
			}
		}
		b.WriteByte('\n')
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if _, err := io.WriteString(t, b.String()); err != nil {
		return err
	}
	return t.Flush()
}
