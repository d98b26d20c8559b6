package structure

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// largest is a graph of all rooms, with all imports that the table allows, and of
// packages that use host, one of which it does not know.
func largest() Graph {
	g := Graph{
		"pb": nil, "protocol": {"pb"}, "routing": nil, "host/store": nil, "host": {"routing", "protocol", "host/store"},
		"host/validator": nil, "host/amino": {"host", "host/validator"}, "host/kadtest": {"protocol"},
		"host/other": {"host"}, "host/another": {"host/store"}, "host/third": {"host/other"}, "host/internal/unknown": {"host/internal/table"},
	}
	for _, r := range Rooms {
		g["host"] = append(g["host"], rooms+r.Name)
		imports := []string{"host/store", "protocol", "routing"}
		for _, to := range Rooms {
			if r.MayImport(rooms + to.Name) {
				imports = append(imports, rooms+to.Name)
			}
		}
		g[rooms+r.Name] = imports
	}
	return g
}

// Boxes stand apart, within the picture, and above what they import.
func TestBoxes(t *testing.T) {
	g := largest()
	l := arrange(g)
	if len(l.boxes) != len(g) {
		t.Errorf("%d boxes for %d packages", len(l.boxes), len(g))
	}
	for i, a := range l.boxes {
		if a.x < 0 || a.y < headRoom || a.x+a.w > l.width || a.y+a.h > l.height {
			t.Errorf("%s is outside of the picture", a.path)
		}
		for _, b := range l.boxes[:i] {
			if a.x < b.x+b.w && b.x < a.x+a.w && a.y < b.y+b.h && b.y < a.y+a.h {
				t.Errorf("%s and %s overlap", a.path, b.path)
			}
		}
		for _, b := range l.boxes {
			if slices.Contains(g[a.path], b.path) && a.y >= b.y {
				t.Errorf("%s imports %s, and is not above it", a.path, b.path)
			}
		}
	}
}

// No arrow touches a box other than its two, and no two arrows share a line.
func TestArrows(t *testing.T) {
	g := largest()
	l := arrange(g)
	want := 0
	for _, imports := range g.reduced() {
		want += len(imports)
	}
	if len(l.arrows) != want {
		t.Errorf("%d arrows for %d imports", len(l.arrows), want)
	}
	for i, a := range l.arrows {
		ps := a.points()
		for _, p := range ps {
			if p.x < 0 || p.x > l.width {
				t.Errorf("%s to %s leaves the picture", a.from.path, a.to.path)
			}
		}
		for n := range len(ps) - 1 {
			for _, b := range l.boxes {
				if b != a.from && b != a.to && touches(ps[n], ps[n+1], point{b.x, b.y}, point{b.x + b.w, b.y + b.h}) {
					t.Errorf("%s to %s runs through %s", a.from.path, a.to.path, b.path)
				}
			}
			for _, other := range l.arrows[:i] {
				qs := other.points()
				for k := range len(qs) - 1 {
					if parallel(ps[n], ps[n+1], qs[k], qs[k+1]) && touches(ps[n], ps[n+1], qs[k], qs[k+1]) {
						t.Errorf("%s to %s runs over %s to %s", a.from.path, a.to.path, other.from.path, other.to.path)
					}
				}
			}
		}
	}
}

// touches reports whether the rectangles with these corners have a point in common.
func touches(a, b, c, d point) bool {
	return min(a.x, b.x) <= max(c.x, d.x) && min(c.x, d.x) <= max(a.x, b.x) &&
		min(a.y, b.y) <= max(c.y, d.y) && min(c.y, d.y) <= max(a.y, b.y)
}

// parallel reports whether the lines from a to b and from c to d are both vertical, or
// both horizontal.
func parallel(a, b, c, d point) bool { return (a.x == b.x) == (c.x == d.x) }

// The picture is well-formed, names each package, and is the same each time.
func TestPicture(t *testing.T) {
	g := largest()
	picture := g.Picture()
	for range 5 {
		if !bytes.Equal(picture, g.Picture()) {
			t.Fatal("the picture is another one the second time")
		}
	}
	d := xml.NewDecoder(bytes.NewReader(picture))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for path := range g {
		if !strings.Contains(string(picture), ">"+shorten(path)+"</text>") {
			t.Errorf("%s is not in the picture", path)
		}
	}
}

func TestReduced(t *testing.T) {
	got := Graph{"a": {"b", "c", "d"}, "b": {"c"}, "c": {"d"}}.reduced()
	for from, want := range map[string][]string{"a": {"b"}, "b": {"c"}, "c": {"d"}} {
		if !slices.Equal(got[from], want) {
			t.Errorf("%s imports %q, want %q", from, got[from], want)
		}
	}
}
