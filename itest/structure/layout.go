package structure

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
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

// A seat is where a package of its own place sits below the rooms.
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

// seats are those of packages that are no rooms above the ground.
var seats = map[string]seat{ //nolint:gochecknoglobals // a constant
	"pb":               {bandBase, 1},
	"protocol":         {bandBase, 1},
	"routing":          {bandBase, 3},
	"host/store":       {bandBase, 2},
	"host/validator":   {bandUsers, 1},
	"host/amino":       {bandUsers, 0},
	"host/kadtest":     {bandUsers, 2},
	rooms + "tasks":    {bandPure, 0},
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

// place computes where everything is, in pixels.
func (l *layout) place() {
	for _, a := range l.arrows {
		for _, n := range a.lines {
			if n.vertical {
				l.lanes[n.lane] = append(l.lanes[n.lane], n)
			}
		}
	}
	for _, lines := range l.lanes {
		slices.SortStableFunc(lines, func(a, b *line) int { return (b.last - b.first) - (a.last - a.first) })
		stack(lines, func(a, b *line) bool { return a.first <= b.last && b.first <= a.last })
	}
	l.position()
	l.untangle()
}

// position computes coordinates, given the slots of the vertical lines.
func (l *layout) position() {
	x := float64(margin)
	left := make([]float64, columns)
	for col := range columns {
		left[col] = x
		channel := l.lanes[lane{between: true, col: col}]
		for _, n := range channel {
			n.at = x + boxWidth + float64(n.slot+2)*trackWidth
		}
		for _, n := range l.lanes[lane{col: col}] {
			side := float64((n.slot + 1) / 2)
			if n.slot%2 == 1 {
				side = -side
			}
			n.at = left[col] + boxWidth/2 + side*slotWidth
		}
		between := float64(slots(channel)+3) * trackWidth
		if col < columns-1 {
			between = max(44, between)
		} else if len(channel) == 0 {
			between = 0
		}
		x += boxWidth + between
	}
	l.width = x + margin
	for _, b := range l.boxes {
		b.x, b.w, b.h = margin, left[columns-1]+boxWidth-margin, boxHeight
		if b.col >= 0 {
			b.x, b.w = left[b.col], boxWidth
		}
	}
	l.positionRows()
}

// positionRows gives the horizontal lines of each gap their tracks, and the rows their
// heights.
func (l *layout) positionRows() {
	gaps := make(map[int][]*line)
	span := make(map[*line][2]float64)
	for _, a := range l.arrows {
		for i, n := range a.lines {
			if !n.vertical {
				x, y := a.lines[i-1].at, a.lines[i+1].at
				span[n] = [2]float64{min(x, y), max(x, y)}
				gaps[n.first] = append(gaps[n.first], n)
			}
		}
	}
	y := float64(headRoom)
	for row := range l.rows {
		for _, b := range l.boxes {
			if b.row == row {
				b.y = y
			}
		}
		y += boxHeight
		lines := gaps[row]
		for _, n := range lines {
			n.slot = 0
		}
		slices.SortStableFunc(lines, func(a, b *line) int { return cmp.Compare(span[a][1]-span[a][0], span[b][1]-span[b][0]) })
		stack(lines, func(a, b *line) bool { return span[a][0] <= span[b][1] && span[b][0] <= span[a][1] })
		for _, n := range lines {
			n.at = y + 13 + float64(n.slot)*trackWidth
		}
		y += gapHeight + float64(max(0, slots(lines)-1))*trackWidth
	}
	l.height = y - gapHeight + margin + footRoom
}

// untangle swaps slots of vertical lines as long as that makes the picture better.
func (l *layout) untangle() {
	fewest := l.cost()
	for better := true; better; {
		better = false
		for _, where := range slices.SortedFunc(maps.Keys(l.lanes), func(a, b lane) int {
			return cmp.Or(a.col-b.col, strings.Compare(strconv.FormatBool(a.between), strconv.FormatBool(b.between)))
		}) {
			lines := l.lanes[where]
			for a := range slots(lines) {
				for b := range a {
					swap(lines, a, b)
					l.position()
					if n := l.cost(); n < fewest {
						fewest, better = n, true
						continue
					}
					swap(lines, a, b)
				}
			}
		}
	}
	l.position()
}

// cost says how bad the picture is: a crossing is worse than a straight arrow that
// is not in the middle of its boxes.
func (l *layout) cost() int {
	n := 8 * l.crossings()
	for _, a := range l.arrows {
		if len(a.lines) == 1 {
			n += a.lines[0].slot
		}
	}
	return n
}

// crossings counts where arrows cross.
func (l *layout) crossings() int {
	type segment struct{ a, b point }
	var down, across []segment
	for _, a := range l.arrows {
		ps := a.points()
		for i := range len(ps) - 1 {
			if s := (segment{ps[i], ps[i+1]}); s.a.x == s.b.x {
				down = append(down, s)
			} else {
				across = append(across, segment{point{min(s.a.x, s.b.x), s.a.y}, point{max(s.a.x, s.b.x), s.a.y}})
			}
		}
	}
	n := 0
	for _, v := range down {
		for _, h := range across {
			if h.a.x < v.a.x && v.a.x < h.b.x && v.a.y < h.a.y && h.a.y < v.b.y {
				n++
			}
		}
	}
	return n
}

// slots returns how many slots lines take.
func slots(lines []*line) int {
	n := 0
	for _, line := range lines {
		n = max(n, line.slot+1)
	}
	return n
}

// swap gives the lines in slot a slot b, and the other way round.
func swap(lines []*line, a, b int) {
	for _, n := range lines {
		switch n.slot {
		case a:
			n.slot = b
		case b:
			n.slot = a
		}
	}
}

// stack gives each line the lowest slot that no line before it has which it
// conflicts with.
func stack(lines []*line, conflict func(a, b *line) bool) {
	for i, n := range lines {
		for slices.ContainsFunc(lines[:i], func(other *line) bool { return other.slot == n.slot && conflict(other, n) }) {
			n.slot++
		}
	}
}

// A point is one of a picture, in pixels.
type point struct{ x, y float64 }

// points returns the corners of an arrow, from its tail to its head.
func (a *arrow) points() []point {
	ps := []point{{a.lines[0].at, a.from.y + a.from.h}}
	for i, n := range a.lines {
		if !n.vertical {
			ps = append(ps, point{a.lines[i-1].at, n.at}, point{a.lines[i+1].at, n.at})
		}
	}
	return append(ps, point{a.lines[len(a.lines)-1].at, a.to.y})
}
