package structure

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"
)

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
