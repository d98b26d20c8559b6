package dashboard

import (
	"encoding/json"
	"fmt"
	"image/color"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"
)

// pictureFile is what make dashboard draws.
var pictureFile = filepath.Join("..", "..", "examples", "guides", "dashboard.png")

// A panel is one of the dashboard, with its place on 24 columns.
type panel struct {
	Title   string
	GridPos struct{ H, W, X, Y int }
	Targets []struct{ Expr, LegendFormat string }
}

// A series is the values of one line over time.
type series struct {
	Metric map[string]string
	Values [][2]any // a time in seconds, and a number as text
}

// points returns the values at times after a start, without those that are no number.
func (s series) points(t *testing.T, start time.Time) (list plotter.XYs) {
	t.Helper()
	for _, v := range s.Values {
		text, _ := v[1].(string)
		at, _ := v[0].(float64)
		y, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Fatal(err)
		}
		if y == y && y < 1e300 { // a rate of nothing by nothing is NaN
			list = append(list, plotter.XY{X: at - float64(start.Unix()), Y: y})
		}
	}
	return list
}

// name is what the legend says of a line, by the format of a panel.
func (s series) name(format string) string {
	return regexp.MustCompile(`{{(\w+)}}`).ReplaceAllStringFunc(format, func(label string) string {
		return s.Metric[strings.Trim(label, "{}")]
	})
}

// between asks a Prometheus for the values of a query in a time.
func between(t *testing.T, address, expr string, start, end time.Time) []series {
	t.Helper()
	expr = strings.NewReplacer("$__rate_interval", "5s", "$instance", ".*").Replace(expr)
	ask := url.Values{"query": {expr}, "start": {strconv.FormatInt(start.Unix(), 10)}, "end": {strconv.FormatInt(end.Unix(), 10)}, "step": {"1"}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/api/v1/query_range?"+ask.Encode(), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct {
		Error string
		Data  struct{ Result []series }
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Error != "" {
		t.Fatalf("%s: %v %s", expr, err, answer.Error)
	}
	return answer.Data.Result
}

// Grafana is no package of the systems that the tests run on, so the panels of the dashboard are
// drawn from what its queries return: with KAD_DASHBOARD, over a minute of work of three nodes.
func TestPicture(t *testing.T) {
	if os.Getenv("KAD_DASHBOARD") == "" {
		t.Skip("make dashboard runs it")
	}
	program, err := exec.LookPath("prometheus")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join("..", "..", "host", "metrics", "grafana.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct{ Panels []panel }
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	nodes := network(t)
	address := prometheus(t, program, nodes)
	start := time.Now().Add(5 * time.Second) // rates have values by then
	for i := 0; time.Since(start) < time.Minute; i++ {
		work(t, nodes)
		time.Sleep(time.Duration(i%10) * 50 * time.Millisecond)
	}
	const unit, row = 54, 26 // points of a column and of a row
	rows := 0
	for _, p := range dashboard.Panels {
		rows = max(rows, p.GridPos.Y+p.GridPos.H)
	}
	height := vg.Length(rows * row)
	canvas := vgimg.NewWith(vgimg.UseWH(24*unit, height), vgimg.UseDPI(72), vgimg.UseBackgroundColor(color.White))
	for _, p := range dashboard.Panels {
		x, y := vg.Length(p.GridPos.X*unit), height-vg.Length((p.GridPos.Y+p.GridPos.H)*row)
		at := draw.Canvas{Canvas: canvas, Rectangle: vg.Rectangle{
			Min: vg.Point{X: x + 8, Y: y + 8},
			Max: vg.Point{X: x + vg.Length(p.GridPos.W*unit) - 8, Y: y + vg.Length(p.GridPos.H*row) - 8},
		}}
		p.plot(t, address, start).Draw(at)
	}
	f, err := os.Create(pictureFile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := (vgimg.PngCanvas{Canvas: canvas}).WriteTo(f); err != nil {
		t.Fatal(err)
	}
}

// mostLines bounds the lines of a panel that the legend names.
const mostLines = 6

// plot draws a panel: lines over a minute, or, of one without room for that, the last value.
func (p panel) plot(t *testing.T, address string, start time.Time) *plot.Plot {
	t.Helper()
	drawn := plot.New()
	drawn.Title.Text = p.Title
	drawn.Title.TextStyle.Font.Size = 11
	drawn.Legend.Top = true
	drawn.Legend.TextStyle.Font.Size = 7
	lines := 0
	for _, target := range p.Targets {
		for _, s := range between(t, address, target.Expr, start, start.Add(time.Minute)) {
			points := s.points(t, start)
			if len(points) == 0 {
				continue
			}
			if p.GridPos.H < 5 {
				drawn.Title.Text += fmt.Sprintf("  %g", points[len(points)-1].Y)
				continue
			}
			line, err := plotter.NewLine(points)
			if err != nil {
				t.Fatal(err)
			}
			line.Color = plotutil.Color(lines)
			drawn.Add(line)
			if lines < mostLines {
				drawn.Legend.Add(s.name(target.LegendFormat), line)
			}
			lines++
		}
	}
	drawn.Y.Min = min(0, drawn.Y.Min)
	if p.GridPos.H < 5 {
		drawn.HideAxes()
	}
	return drawn
}
