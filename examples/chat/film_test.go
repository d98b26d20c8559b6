package main

import (
	"fmt"
	"html"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// film returns what terminals have shown as a picture that moves, and begins again.
func film(panes []*pane) string {
	at, total := times(panes)
	var b strings.Builder
	width, height := float64(paneWidth)*cellWidth+20, float64(paneHeight)*cellHeight+40
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="ui-monospace, Menlo, Consolas, monospace" font-size="13">`+"\n", width*float64(len(panes))+10, height+10)
	b.WriteString(`<style>
text { fill: #ddd; white-space: pre } .b { font-weight: bold } .f { fill: #999 } .r { fill: #111 } .t { fill: #777 } .pane { fill: #161616; stroke: #555 }
.c1 { fill: #f87171 } .c2 { fill: #4ade80 } .c3 { fill: #facc15 } .c4 { fill: #60a5fa } .c5 { fill: #e879f9 } .c6 { fill: #22d3ee } .c7 { fill: #fff }
</style>
`)
	fmt.Fprintf(&b, `<rect width="0" height="0"><animate id="c" attributeName="x" from="0" to="0" begin="0s;c.end" dur="%s"/></rect>`+"\n", seconds(total))
	for i, p := range panes {
		x := 10 + width*float64(i)
		fmt.Fprintf(&b, `<rect class="pane" x="%.0f" y="10" width="%.0f" height="%.0f" rx="6"/><text class="t" x="%.0f" y="30">%s</text>`+"\n", x, width-10, height-10, x+10, p.title)
		for row := range paneHeight {
			p.row(&b, row, x+10, 34+cellHeight*(float64(row)+1), at)
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// times returns when each sample is shown, and how long all of them are: pauses in which
// nothing changes are short.
func times(panes []*pane) (at []time.Duration, total time.Duration) {
	still := time.Duration(0)
	for i := range panes[0].frames {
		at = append(at, total)
		changed := i == 0
		for _, p := range panes {
			changed = changed || i > 0 && strings.Join(p.frames[i], "\n") != strings.Join(p.frames[i-1], "\n")
		}
		if changed {
			still = 0
		}
		if still += sampleEvery; still <= longestPause {
			total += sampleEvery
		}
	}
	return at, total + lastPause
}

// row draws what one row has shown.
func (p *pane) row(b *strings.Builder, row int, x, y float64, at []time.Duration) {
	text := func(i int) string {
		if i < len(p.frames) && row < len(p.frames[i]) {
			return strings.TrimRight(p.frames[i][row], " ")
		}
		return ""
	}
	for i := 0; i < len(at); {
		from := i
		for i++; i < len(at) && text(i) == text(from); i++ {
		}
		if text(from) == "" {
			continue
		}
		end := "c.end"
		if i < len(at) {
			end = "c.begin+" + seconds(at[i])
		}
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" display="none"><set attributeName="display" to="inline" begin="c.begin+%s" end="%s"/>%s</text>`+"\n",
			x, y, seconds(at[from]), end, styled(text(from)))
	}
}

// seconds returns a duration as SVG has it.
func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s" }

// styled returns a row of a terminal, with its escape sequences, as text of SVG.
func styled(row string) string {
	var b strings.Builder
	classes := make(map[string]bool)
	write := func(text string) {
		if text == "" {
			return
		}
		var names []string
		for _, c := range []string{"b", "f", "c1", "c2", "c3", "c4", "c5", "c6", "c7"} {
			if classes[c] {
				names = append(names, c)
			}
		}
		if len(names) == 0 {
			b.WriteString("<tspan>" + html.EscapeString(text) + "</tspan>")
			return
		}
		fmt.Fprintf(&b, `<tspan class="%s">%s</tspan>`, strings.Join(names, " "), html.EscapeString(text))
	}
	escape := regexp.MustCompile(`\x1b\[([\d;]*)m|\x1b[()][A-Z0-9]|\x0e|\x0f`)
	last := 0
	for _, m := range escape.FindAllStringSubmatchIndex(row, -1) {
		write(row[last:m[0]])
		last = m[1]
		if m[2] < 0 {
			continue
		}
		for code := range strings.SplitSeq(row[m[2]:m[3]], ";") {
			style(classes, code)
		}
	}
	write(row[last:])
	return b.String()
}

// style takes in one code of an escape sequence. A colour of many, and what it is not, is as the
// terminal has it without.
func style(classes map[string]bool, code string) {
	n, _ := strconv.Atoi(code)
	switch {
	case n == 0:
		clear(classes)
	case n == 1:
		classes["b"] = true
	case n == 2:
		classes["f"] = true
	case n == 22:
		delete(classes, "b")
		delete(classes, "f")
	case 30 <= n && n <= 39, 90 <= n && n <= 97:
		for i := range 8 {
			delete(classes, fmt.Sprint("c", i))
		}
		if n != 39 && n%10 > 0 {
			classes[fmt.Sprint("c", n%10)] = true
		}
	}
}
