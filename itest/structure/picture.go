package structure

import (
	"fmt"
	"html"
	"strings"
)

// Picture returns the graph as an SVG: packages as boxes, each above all that it
// imports, and arrows for imports, without those that follow from others. The same
// graph gives the same bytes.
func (g Graph) Picture() []byte {
	l := arrange(g)
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" width="%.0f" height="%.0f" role="img" aria-labelledby="title">`+"\n",
		l.width, l.height, l.width, l.height)
	b.WriteString("<!-- Written by make structure. -->\n<title id=\"title\">Packages of kad, and what they import</title>\n")
	b.WriteString(style)
	fmt.Fprintf(&b, `<rect class="paper" width="%.0f" height="%.0f" rx="12"/>`+"\n", l.width, l.height)
	text(&b, "head", margin, 44, "Packages of kad")
	text(&b, "note", margin, 68, "An arrow points from a package to one that it imports. Imports that follow from others are not drawn.")
	l.drawPanel(&b)
	for _, a := range l.arrows {
		a.draw(&b)
	}
	for _, x := range l.boxes {
		x.draw(&b)
	}
	foot := l.height - footRoom + 14
	text(&b, "note", margin, foot, "Boxes with a dashed border are public; all others are rooms, below host/internal.")
	text(&b, "note", margin, foot+20, "Not drawn: examples, which import what users import, and itest, which may import every public package.")
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

// style has the colours: on paper, and on a dark screen.
const style = `<style>
text { font-family: system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
.head { font-size: 22px; font-weight: 700 }
.note { font-size: 13px; fill: #57606a }
.label { font-size: 13px; font-weight: 600; fill: #57606a }
.name { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; font-size: 15px; font-weight: 700; text-anchor: middle }
.about { font-size: 11.5px; fill: #424a53; text-anchor: middle }
.paper { fill: #ffffff }
.panel { fill: #f6f8fa; stroke: #d0d7de }
.box { stroke-width: 1.6 }
.public { stroke-dasharray: 5 3 }
.halo { fill: none; stroke: #f6f8fa; stroke-width: 5 }
.line { fill: none; stroke-width: 1.7 }
.g0 .box { fill: #fff1e5; stroke: #bc4c00 } .g0 .line { stroke: #bc4c00 } .g0 .tip { fill: #bc4c00 }
.g1 .box { fill: #ddf4ff; stroke: #0969da } .g1 .line { stroke: #0969da } .g1 .tip { fill: #0969da }
.g2 .box { fill: #dafbe1; stroke: #1a7f37 } .g2 .line { stroke: #1a7f37 } .g2 .tip { fill: #1a7f37 }
.g3 .box { fill: #fbefff; stroke: #8250df } .g3 .line { stroke: #8250df } .g3 .tip { fill: #8250df }
.g4 .box { fill: #ffffff; stroke: #6e7781 } .g4 .line { stroke: #6e7781 } .g4 .tip { fill: #6e7781 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.note, .label { fill: #9198a1 }
.about { fill: #b7bdc8 }
.paper { fill: #0d1117 }
.panel { fill: #151b23; stroke: #3d444d }
.halo { stroke: #151b23 }
.g0 .box { fill: #3a2113; stroke: #f0883e } .g0 .line { stroke: #f0883e } .g0 .tip { fill: #f0883e }
.g1 .box { fill: #0c2d4d; stroke: #58a6ff } .g1 .line { stroke: #58a6ff } .g1 .tip { fill: #58a6ff }
.g2 .box { fill: #12361f; stroke: #3fb950 } .g2 .line { stroke: #3fb950 } .g2 .tip { fill: #3fb950 }
.g3 .box { fill: #2d1b4e; stroke: #bc8cff } .g3 .line { stroke: #bc8cff } .g3 .tip { fill: #bc8cff }
.g4 .box { fill: #1c2129; stroke: #9198a1 } .g4 .line { stroke: #9198a1 } .g4 .tip { fill: #9198a1 }
}
</style>
`

// text writes a line of text.
func text(b *strings.Builder, class string, x, y float64, s string) {
	fmt.Fprintf(b, `<text class="%s" x="%.1f" y="%.1f">%s</text>`+"\n", class, x, y, html.EscapeString(s))
}

// group returns the group whose colours a package has: Running for all that is not
// above the ground.
func (x *box) group() Group {
	name, inside := strings.CutPrefix(x.path, rooms)
	if r, ok := room(name); ok && inside {
		return min(r.Group, Running)
	}
	return Running
}

// abouts say what the packages that are no rooms are for.
var abouts = map[string]string{ //nolint:gochecknoglobals // a constant
	"host":           "the public API, imported as kad, and the wiring of one node",
	"host/amino":     "the IPFS network",
	"host/compat":    "names of go-libp2p-kad-dht",
	"host/events":    "what happens in a node",
	"host/kadtest":   "networks in memory, for tests",
	"host/metrics":   "counters for Prometheus",
	"host/tracing":   "spans for OpenTelemetry",
	"host/store":     "values and providers, kept",
	"host/validator": "rules for signed values",
	"routing":        "Kademlia, pure: table, lookup",
	"protocol":       "bytes to messages and back",
	"pb":             "generated from .proto",
}

// draw writes a package.
func (x *box) draw(b *strings.Builder) {
	name, inside := strings.CutPrefix(x.path, rooms)
	about, class := abouts[x.path], "box public"
	if inside {
		r, _ := room(name)
		about, class = r.About, "box"
	}
	fmt.Fprintf(b, `<g class="g%d"><rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="7"/>`+"\n", x.group(), class, x.x, x.y, x.w, x.h)
	if about == "" {
		text(b, "name", x.x+x.w/2, x.y+31, name)
	} else {
		text(b, "name", x.x+x.w/2, x.y+22, name)
		text(b, "about", x.x+x.w/2, x.y+39, about)
	}
	b.WriteString("</g>\n")
}

// draw writes an arrow, with a halo that sets it off against those that it crosses.
func (a *arrow) draw(b *strings.Builder) {
	const radius, tip = 5.0, 8.0
	ps := a.points()
	end := ps[len(ps)-1]
	ps[len(ps)-1].y -= tip - 1
	var d strings.Builder
	fmt.Fprintf(&d, "M%.1f %.1f", ps[0].x, ps[0].y)
	for i := 1; i < len(ps)-1; i++ {
		before, after := toward(ps[i], ps[i-1], radius), toward(ps[i], ps[i+1], radius)
		fmt.Fprintf(&d, " L%.1f %.1f Q%.1f %.1f %.1f %.1f", before.x, before.y, ps[i].x, ps[i].y, after.x, after.y)
	}
	fmt.Fprintf(&d, " L%.1f %.1f", ps[len(ps)-1].x, ps[len(ps)-1].y)
	fmt.Fprintf(b, `<g class="g%d"><path class="halo" d="%s"/><path class="line" d="%s"/>`, a.from.group(), d.String(), d.String())
	fmt.Fprintf(b, `<path class="tip" d="M%.1f %.1f l-4.5 -%.0f h9 z"><title>%s imports %s</title></path></g>`+"\n", end.x, end.y, tip, a.from.path, a.to.path)
}

// toward returns the point that is so far from p in the direction of q, or half-way if
// q is near. Lines are vertical or horizontal.
func toward(p, q point, far float64) point {
	dx, dy := q.x-p.x, q.y-p.y
	if d := max(dx, -dx, dy, -dy); d > 2*far {
		dx, dy = dx*far/d, dy*far/d
	} else {
		dx, dy = dx/2, dy/2
	}
	return point{p.x + dx, p.y + dy}
}

// titles are those of the groups.
var titles = [...]string{"being reached", "what we do", "what we hold", "peers we know", "ground"} //nolint:gochecknoglobals // a constant

// drawPanel writes what stands behind the boxes, and the names of the groups above it.
func (l *layout) drawPanel(b *strings.Builder) {
	x := float64(margin)
	for i, title := range titles {
		fmt.Fprintf(b, `<g class="g%d"><rect class="box" x="%.1f" y="86" width="15" height="15" rx="4"/></g>`+"\n", i, x)
		text(b, "label", x+23, 98, title)
		x += 150
	}
	fmt.Fprintf(b, `<rect class="panel" x="%.1f" y="%.1f" width="%.1f" height="%.1f" rx="10"/>`+"\n",
		margin/2.0, headRoom-16.0, l.width-margin, l.height-headRoom-footRoom+8)
}
