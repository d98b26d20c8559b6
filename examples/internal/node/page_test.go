package node

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/go-kad/kad/examples/internal/need"
	"github.com/go-kad/kad/routing"
)

// browser returns the context of a page in a real browser.
func browser(t *testing.T) context.Context {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		need.Missing(t, "chromium", err)
	}
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]), chromedp.ExecPath(path), chromedp.NoSandbox)
	ctx, end := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(end)
	ctx, closePage := chromedp.NewContext(ctx)
	t.Cleanup(closePage)
	return ctx
}

// in runs an action in the page.
func in[T any](ctx context.Context, t *testing.T, a chromedp.Action[T]) T {
	t.Helper()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// is evaluates an expression in the page.
func is[T any](ctx context.Context, t *testing.T, expression string) T {
	t.Helper()
	return in(ctx, t, chromedp.Evaluate[T](expression))
}

// A lookup that is started in the page appears in it, hop by hop, on the width of a phone. Those
// that the node does by itself meanwhile do not take its place.
func TestPage(t *testing.T) {
	nodes := triangle(t)
	ctx := browser(t)
	in(ctx, t, chromedp.Steps(chromedp.EmulateViewport(360, 740), chromedp.Navigate(nodes[0].API+"/")))
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	in(ctx, t, chromedp.Poll[bool](`document.querySelectorAll("#contacts tr").length === 2 && document.querySelectorAll("#ring .contact").length === 2`))
	self := is[string](ctx, t, `document.querySelector("#self").textContent`)
	contacts := is[int](ctx, t, `document.querySelectorAll("#contacts tr").length`)
	in(ctx, t, chromedp.SendKeys(chromedp.CSS("#key"), "hello\r")) // by the keyboard
	target := routing.KeyOf([]byte("hello"))
	found := fmt.Sprintf(`/of %x….*requests/.test(document.querySelector("#lookup").textContent)`, target[:8])
	in(ctx, t, chromedp.Poll[bool](found))
	nodes[0].get("PUT /v1/value?key=/v/shown", "value") // looks up another key
	lookup := is[string](ctx, t, `document.querySelector("#lookup").textContent`)
	hops := is[string](ctx, t, `document.querySelector("#hops").textContent`)
	answered := is[int](ctx, t, `document.querySelectorAll("#ring .answered").length`)
	dots := is[int](ctx, t, `document.querySelectorAll("#ring circle[data-peer]").length`)
	wide := is[bool](ctx, t, `document.documentElement.scrollWidth > innerWidth`)
	for id, text := range map[string]string{"held": "/v/shown", "due": "publishes", "events": "/v/shown", "charts": "contacts"} {
		in(ctx, t, chromedp.Poll[bool](fmt.Sprintf(`document.querySelector("#%s").textContent.includes(%q)`, id, text)))
	}
	if !is[bool](ctx, t, found) {
		t.Error("another lookup took the place of the one that was started in the page")
	}
	due := is[string](ctx, t, `document.querySelector("#due").textContent`)
	nodes[0].do("PUT /v1/value?key=/none/shown", "value")
	for _, text := range []string{"scheduled1", "overdue0", "under way0", "failed since the start1", "value /none/shown: "} {
		in(ctx, t, chromedp.Poll[bool](fmt.Sprintf(`document.querySelector("#publishing").textContent.includes(%q)`, text)))
	}
	charts := is[string](ctx, t, `document.querySelector("#charts").textContent`)
	if self != nodes[0].ID || contacts != 2 {
		t.Errorf("the page shows %q and %d contacts", self, contacts)
	}
	if answered == 0 || dots < 4 || !strings.Contains(hops, nodes[1].ID) && !strings.Contains(hops, nodes[2].ID) {
		t.Errorf("lookup %q, hops %q, %d answered, %d points on the ring", lookup, hops, answered, dots)
	}
	if wide {
		t.Error("the page is wider than a phone")
	}
	if !strings.Contains(due, "looks up a part of the tablein ") || !strings.Contains(due, "publishes its own records againin ") {
		t.Errorf("due is %q", due)
	}
	if happened := is[string](ctx, t, `document.querySelector("#events").textContent`); !strings.Contains(happened, "value /v/shown stored by 2 of 2 peers") {
		t.Errorf("what happened is %q", happened)
	}
	if !strings.Contains(charts, "requests a second: sent") || !strings.Contains(charts, "connections 2 contacts 2") {
		t.Errorf("the charts are %q", charts)
	}
}

// screenshots are the pictures of the page in the documents, which make screenshots takes.
var screenshots = map[string]struct {
	width, height int64
	scheme        string
}{
	"page.png":       {1120, 1100, "light"},
	"page-phone.png": {390, 1100, "dark"},
}

// screenshot returns the path of a picture.
func screenshot(name string) string { return filepath.Join("..", "..", "guides", name) }

// With KAD_SCREENSHOTS, the page of a node of a network of 30 is photographed after a lookup.
func TestScreenshots(t *testing.T) {
	if os.Getenv("KAD_SCREENSHOTS") == "" {
		t.Skip("make screenshots does this")
	}
	var nodes []*running
	for i := range 30 {
		args := []string{"--k", "4", "--identity-seed", fmt.Sprint("screenshot ", i)}
		if i > 0 {
			args = append(args, "--join", nodes[i/2].Addrs[0])
		}
		nodes = append(nodes, start(t, args...))
	}
	for i, n := range nodes {
		n.get("GET /v1/ready", "")
		n.get(fmt.Sprintf("PUT /v1/value?key=/v/record-%d", i), "value")
	}
	ctx := browser(t)
	in(ctx, t, chromedp.Navigate(nodes[29].API+"/"))
	in(ctx, t, chromedp.Poll[bool](`document.querySelectorAll("#charts polyline").length > 0`))
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := range 600 { // a minute, for the charts
		<-tick.C
		if i%100 < 20+i/10 {
			nodes[29-i%3].get(fmt.Sprintf("GET /v1/closest?key=%d", i), "")
		}
	}
	in(ctx, t, chromedp.SendKeys(chromedp.CSS("#key"), "a key of the network\r"))
	in(ctx, t, chromedp.Poll[bool](`document.querySelector("#lookup").textContent.includes("requests")`))
	in(ctx, t, chromedp.Poll[bool](`document.querySelectorAll("#held tr").length > 0`))
	for name, s := range screenshots {
		is[bool](ctx, t, `(scrollTo(0, 0), true)`)
		in(ctx, t, chromedp.EmulateViewport(s.width, s.height))
		in(ctx, t, chromedp.Func(func(ctx context.Context, page *chromedp.Target) error {
			_, err := cdp.Call(ctx, page, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
				Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: s.scheme}},
			})
			return err
		}))
		picture := in(ctx, t, chromedp.CaptureScreenshot())
		if err := os.WriteFile(screenshot(name), picture, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// The pictures of the page are there, and not too large.
func TestScreenshotFiles(t *testing.T) {
	for name, s := range screenshots {
		text, err := os.ReadFile(screenshot(name))
		if err != nil {
			t.Error(err)
			continue
		}
		picture, err := png.Decode(bytes.NewReader(text))
		if err != nil || picture.Bounds().Dx() != int(s.width) || len(text) > 300_000 {
			t.Errorf("%s: %d bytes, %v; want a picture of %d pixels, of 300 kB at most", name, len(text), err, s.width)
		}
	}
}

// The page loads nothing from elsewhere, and is for browsers on this machine.
func TestPageFiles(t *testing.T) {
	n := start(t)
	for path, kind := range map[string]string{"/": "text/html", "/page/page.css": "text/css", "/page/page.js": "text/javascript"} {
		r := n.do("GET "+path, "")
		if r.status != http.StatusOK || !strings.HasPrefix(r.header.Get("Content-Type"), kind) || !strings.Contains(r.header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s: %d %v", path, r.status, r.header)
		}
		if strings.Contains(strings.ReplaceAll(string(r.body), "http://www.w3.org/2000/svg", ""), "://") {
			t.Errorf("%s names another server", path)
		}
	}
	if r := n.do("GET /", "", "Sec-Fetch-Site", "cross-site"); r.status != http.StatusForbidden {
		t.Errorf("in a foreign page: %d", r.status)
	}
	if r := n.do("GET /none", ""); r.status != http.StatusNotFound {
		t.Errorf("another path: %d", r.status)
	}
}
