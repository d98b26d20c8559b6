package structure

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Sizes of the picture, in pixels.
const (
	boxWidth   = 204
	boxHeight  = 50
	slotWidth  = 17 // between two arrows that leave or enter a box
	trackWidth = 11 // between two parallel lines
	gapHeight  = 34 // between two rows, without lines
	margin     = 28
	headRoom   = 132 // for the title
	footRoom   = 66  // for the caption
)

// columns is how many columns the picture has: one for each group above the ground.
const columns = int(Running)

// A box is a package in the picture.
type box struct {
	path       string
	col        int // -1: as wide as the picture
	row        int // 0 is the lowest
	x, y, w, h float64
}

// A lane is where vertical lines run: through the cells of a column, or between two.
type lane struct {
	between bool // right of the column
	col     int
}

// A line is a vertical or horizontal part of an arrow. A vertical one runs in a lane
// through the gaps first to last, from the top; a horizontal one in the gap first.
type line struct {
	vertical    bool
	lane        lane
	first, last int
	slot        int     // beside others in the same lane or gap
	at          float64 // x of a vertical line, y of a horizontal one
}

// An arrow is an import: its lines, in turns vertical and horizontal.
type arrow struct {
	from, to *box
	lines    []*line
}

// A layout is where everything is in a picture.
type layout struct {
	boxes         []*box // the highest first
	arrows        []*arrow
	width, height float64
	rows          int
	lanes         map[lane][]*line
}

// A seat is the band and the column of a package.
type seat struct{ band, col int }

// Bands of the picture, from the bottom to the top: what is in one is above all that
// is in the one before it.
const (
	bandBase  = iota // routing, protocol, pb, the store
	bandPure         // ground
	bandRooms        // all other rooms
	bandHost         // the facade
	bandUsers        // packages that use it
)

// seats are those of all packages except the rooms above the ground.
var seats = map[string]seat{ //nolint:gochecknoglobals // a constant
	"pb":               {bandBase, 1},
	"protocol":         {bandBase, 1},
	"routing":          {bandBase, 3},
	"host/events":      {bandBase, 0},
	"host/store":       {bandBase, 2},
	"host/validator":   {bandUsers, 1},
	"host/amino":       {bandUsers, 0},
	"host/kadtest":     {bandUsers, 2},
	rooms + "tasks":    {bandPure, 0},
	rooms + "observe":  {bandPure, 3},
	rooms + "kaderr":   {bandPure, 0},
	rooms + "validate": {bandPure, 1},
	rooms + "announce": {bandPure, 2},
	rooms + "scope":    {bandPure, 2},
	"host":             {bandHost, -1},
}

// seatOf returns the band and the column of a package. One that is not known sits
// among the rooms if it is one, and above host if not.
func seatOf(path string, next int) seat {
	if s, ok := seats[path]; ok {
		return s
	}
	name, ok := strings.CutPrefix(path, rooms)
	if !ok {
		return seat{bandUsers, columns - 1 - next%columns}
	}
	if r, ok := room(name); ok {
		return seat{bandRooms, int(r.Group)}
	}
	return seat{bandRooms, columns - 1}
}

// arrange lays a graph out: each package is higher than all that it imports.
func arrange(g Graph) *layout {
	l := &layout{lanes: make(map[lane][]*line)}
	byPath := l.seat(g)
	taken := make(map[[2]int]bool)
	for _, b := range l.boxes {
		l.rows = max(l.rows, b.row+1)
		for col := range columns {
			if b.col < 0 || b.col == col {
				taken[[2]int{col, b.row}] = true
			}
		}
	}
	for _, b := range l.boxes { // rows from the top
		b.row = l.rows - 1 - b.row
	}
	free := func(col, from, to int) bool {
		for row := from + 1; row < to; row++ {
			if taken[[2]int{col, l.rows - 1 - row}] {
				return false
			}
		}
		return true
	}
	slices.SortFunc(l.boxes, func(a, b *box) int { return cmp.Or(a.row-b.row, a.col-b.col) })
	for _, b := range l.boxes {
		for _, to := range g.reduced()[b.path] {
			if below := byPath[to]; below != nil {
				wide := slices.ContainsFunc(l.boxes, func(x *box) bool { return x.col < 0 && b.row < x.row && x.row < below.row })
				l.arrows = append(l.arrows, route(b, below, wide, free))
			}
		}
	}
	l.place()
	return l
}

// seat gives each package its column, and its row from the bottom.
func (l *layout) seat(g Graph) map[string]*box {
	byPath := make(map[string]*box)
	taken := make(map[[2]int]bool)
	floor, top, users := 0, 0, 0
	for band := range bandUsers + 1 {
		floor = top
		var todo []string
		for _, path := range slices.Sorted(maps.Keys(g)) {
			if seatOf(path, 0).band == band {
				todo = append(todo, path)
			}
		}
		for len(todo) > 0 {
			i := slices.IndexFunc(todo, func(path string) bool { // all that it imports sits
				return !slices.ContainsFunc(g[path], func(to string) bool { return slices.Contains(todo, to) })
			})
			path := todo[i]
			todo = slices.Delete(todo, i, i+1)
			b := &box{path: path, col: seatOf(path, users).col, row: floor}
			if band == bandUsers {
				users++
			}
			for _, to := range g[path] {
				if below := byPath[to]; below != nil {
					b.row = max(b.row, below.row+1)
				}
			}
			for taken[[2]int{b.col, b.row}] {
				b.row++
			}
			taken[[2]int{b.col, b.row}] = true
			top = max(top, b.row+1)
			byPath[path] = b
			l.boxes = append(l.boxes, b)
		}
	}
	return byPath
}

// route chooses the way of an arrow through free cells, with few turns. Gap i is below
// row i. Wide says that a box as wide as the picture is between the two.
func route(from, to *box, wide bool, free func(col, from, to int) bool) *arrow {
	a := &arrow{from: from, to: to}
	source, target := from.col, to.col
	if source < 0 {
		source = max(target, 0)
	}
	if target < 0 {
		target = source
	}
	first, last := from.row, to.row-1
	down := func(l lane, first, last int) *line { return &line{vertical: true, lane: l, first: first, last: last} }
	across := func(gap int) *line { return &line{first: gap, last: gap} }
	here, there := lane{col: source}, lane{col: target}
	switch {
	case source == target && free(source, from.row, to.row):
		a.lines = []*line{down(here, first, last)}
	case free(source, from.row, to.row):
		a.lines = []*line{down(here, first, last), across(last), down(there, last, last)}
	case free(target, from.row, to.row):
		a.lines = []*line{down(here, first, first), across(first), down(there, first, last)}
	default:
		beside := lane{between: true, col: target}
		if wide {
			beside.col = columns - 1 // past the end of a box as wide as the picture
		} else if source < target {
			beside.col = target - 1
		}
		a.lines = []*line{down(here, first, first), across(first), down(beside, first, last), across(last), down(there, last, last)}
	}
	return a
}
