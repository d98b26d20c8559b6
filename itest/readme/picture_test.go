package readme_test

import (
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/events"
	"github.com/go-kad/kad/host/kadtest"
	"github.com/go-kad/kad/routing"
)

// A request is one of a lookup, for the picture.
type request struct {
	peer            peer.ID
	asked, answered time.Duration // since the lookup began
	bits            int           // that the key of the peer shares with the target
	by              peer.ID       // the peer that named it first; empty: it was a contact
	closest         bool          // it is one of the k closest
}

// traced returns the requests of a lookup that were answered, in the order of asking, from what
// happened.
func traced(target routing.Key, happened []events.Event) []*request {
	var list []*request
	byPeer := make(map[peer.ID]*request)
	named := make(map[peer.ID]peer.ID)
	start := happened[0].At
	for _, e := range happened {
		switch what := e.What.(type) {
		case events.LookupAsked:
			r := &request{peer: what.Peer, asked: e.At.Sub(start), bits: target.CPL(routing.KeyOf([]byte(what.Peer))), by: named[what.Peer]}
			list, byPeer[what.Peer] = append(list, r), r
		case events.LookupAnswered:
			if r := byPeer[what.Peer]; r != nil {
				r.answered = e.At.Sub(start)
			}
			for _, id := range what.Closer {
				if named[id] == "" {
					named[id] = what.Peer
				}
			}
		case events.LookupEnded:
			for _, r := range list { // a peer may have been asked again, and not have answered that
				r.closest = r.closest || slices.Contains(what.Closest, r.peer)
			}
		default:
		}
	}
	return slices.DeleteFunc(list, func(r *request) bool { return r.answered == 0 })
}

// Sizes of the picture, in pixels.
const (
	pictureWidth, pictureHeight = 860, 400
	left, right, top, bottom    = 60, 30, 60, 50
)

// draw returns requests as a picture: time from left to right, and the closer to the key a peer
// is, the higher.
func draw(title string, list []*request) string {
	last, most := time.Duration(0), 1
	row := make(map[int]int) // how many peers share so many bits
	for _, r := range list {
		last, most = max(last, r.answered), max(most, r.bits)
	}
	x := func(d time.Duration) float64 {
		return left + float64(pictureWidth-left-right)*float64(d)/float64(last)
	}
	band := float64(pictureHeight-top-bottom) / float64(most+1)
	place := make(map[peer.ID]float64)
	for _, r := range list { // those of one row lie beside each other
		if _, again := place[r.peer]; again {
			continue
		}
		place[r.peer] = pictureHeight - bottom - band*(float64(r.bits)+0.15+0.7*float64(row[r.bits]%8)/8)
		row[r.bits]++
	}
	var b strings.Builder
	fmt.Fprintf(&b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"13\">\n", pictureWidth, pictureHeight)
	b.WriteString(`<style>
svg { --ink: #222; --faint: #bbb; --far: #6b7fa3; --near: #c2410c; background: #fff }
@media (prefers-color-scheme: dark) { svg { --ink: #ddd; --faint: #555; --far: #8fa8d6; --near: #fb923c; background: #161616 } }
text { fill: var(--ink) } line { stroke: var(--faint) } .named { stroke-width: .8 }
.request { stroke: var(--far); stroke-width: 3; stroke-linecap: round } .closest { stroke: var(--near) }
</style>
`)
	fmt.Fprintf(&b, "<text x=\"%d\" y=\"26\" font-size=\"16\">%s</text>\n", left, title)
	fmt.Fprintf(&b, "<text x=\"%d\" y=\"46\">Each bar is a request, from the question to the answer. A thin line leads to it from the peer that named it. Orange: the 20 closest.</text>\n", left)
	for bits := range most + 1 {
		y := pictureHeight - bottom - band*float64(bits)
		fmt.Fprintf(&b, "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%d</text>\n", left, pictureWidth-right, y, y, left-8, y-band/2+4, bits)
	}
	fmt.Fprintf(&b, "<text transform=\"translate(20 %d) rotate(-90)\" text-anchor=\"middle\">bits shared with the key</text>\n", (top+pictureHeight-bottom)/2)
	for t := time.Duration(0); t <= last; t += 50 * time.Millisecond {
		fmt.Fprintf(&b, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%d ms</text>\n", x(t), pictureHeight-bottom+20, t.Milliseconds())
	}
	answered := make(map[peer.ID]time.Duration) // when each answered first
	for _, r := range slices.Backward(list) {
		answered[r.peer] = r.answered
	}
	for _, r := range list {
		if at, ok := answered[r.by]; ok && at <= r.asked {
			fmt.Fprintf(&b, "<line class=\"named\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", x(at), place[r.by], x(r.asked), place[r.peer])
		}
	}
	for _, r := range list {
		class := "request"
		if r.closest {
			class = "request closest"
		}
		fmt.Fprintf(&b, "<line class=\"%s\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>\n", class, x(r.asked), x(r.answered), place[r.peer], place[r.peer])
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// picture is the picture of the README.
const picture = guides + "/lookup.svg"

// A lookup is traced and drawn: in a small network, or, with KAD_PICTURE, in one of 200 nodes,
// for the README.
func TestPicture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		size := 30
		if os.Getenv("KAD_PICTURE") != "" {
			size = 200
		}
		n := kadtest.New(t, kadtest.Config{Seed: 1, Latency: 25 * time.Millisecond})
		nodes := n.Add(size, kad.Config{Network: "/picture", RefreshInterval: time.Hour})
		n.Settle()
		happened := nodes[7].DHT.Events(t.Context())
		if _, err := nodes[7].DHT.ClosestPeers(t.Context(), []byte("my-app/lobby")); err != nil {
			t.Fatal(err)
		}
		target := routing.KeyOf([]byte("my-app/lobby"))
		var list []events.Event
		var end events.LookupEnded
		of := make(map[uint64]bool) // the lookups of the target
		for e := range happened {
			mine := false
			switch what := e.What.(type) {
			case events.LookupBegan:
				mine = what.Target == hex.EncodeToString(target[:])
				of[what.Lookup] = mine
			case events.LookupAsked:
				mine = of[what.Lookup]
			case events.LookupAnswered:
				mine = of[what.Lookup]
			case events.LookupEnded:
				mine, end = of[what.Lookup], what
			default:
			}
			if mine {
				list = append(list, e)
			}
			if mine && end.Requests > 0 {
				break
			}
		}
		requests := traced(target, list)
		svg := draw(fmt.Sprintf("A lookup among %d nodes: %d requests, %d hops", size, end.Requests, end.Hops), requests)
		if err := xml.Unmarshal([]byte(svg), new(struct{ XMLName xml.Name })); err != nil {
			t.Error(err)
		}
		// A peer that is asked again has two bars, and Answered counts peers.
		if got := strings.Count(svg, `class="request`); got < end.Answered || strings.Count(svg, "closest\" x1") < 20 {
			t.Errorf("%d requests are drawn, %d of the closest; %d were answered", got, strings.Count(svg, "closest\" x1"), end.Answered)
		}
		if size == 200 {
			if err := os.WriteFile(filepath.Join(root, filepath.FromSlash(picture)), []byte(svg), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	})
}
