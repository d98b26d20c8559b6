package node

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/go-kad/kad/examples/internal/need"
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

// A lookup that is started in the page appears in it, hop by hop, on the width of a phone.
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
	in(ctx, t, chromedp.Poll[bool](`document.querySelectorAll("#hops li").length > 0 && document.querySelector("#lookup").textContent.includes("requests")`))
	lookup := is[string](ctx, t, `document.querySelector("#lookup").textContent`)
	hops := is[string](ctx, t, `document.querySelector("#hops").textContent`)
	answered := is[int](ctx, t, `document.querySelectorAll("#ring .answered").length`)
	dots := is[int](ctx, t, `document.querySelectorAll("#ring circle[data-peer]").length`)
	wide := is[bool](ctx, t, `document.documentElement.scrollWidth > innerWidth`)
	picture := in(ctx, t, chromedp.FullScreenshot(100))
	if self != nodes[0].ID || contacts != 2 {
		t.Errorf("the page shows %q and %d contacts", self, contacts)
	}
	if answered == 0 || dots < 4 || !strings.Contains(hops, nodes[1].ID) && !strings.Contains(hops, nodes[2].ID) {
		t.Errorf("lookup %q, hops %q, %d answered, %d points on the ring", lookup, hops, answered, dots)
	}
	if wide {
		t.Error("the page is wider than a phone")
	}
	if dir := os.Getenv("KAD_SCREENSHOTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "page.png"), picture, 0o600); err != nil {
			t.Error(err)
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
