package node

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

const someToken = "0123456789abcdef"

// tokenFile returns a file with a token.
func tokenFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte(someToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// With a token, nothing is answered without it: no call, no stream, no file of the page.
func TestToken(t *testing.T) {
	n := start(t, "--api-token", tokenFile(t), "--routing-v1")
	basic := func(password string) string {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", http.NoBody)
		r.SetBasicAuth("anybody", password)
		return r.Header.Get("Authorization")
	}
	for header, want := range map[string]int{
		"": http.StatusUnauthorized, "Bearer " + someToken: http.StatusOK, basic(someToken): http.StatusOK,
		"Bearer " + someToken[1:]: http.StatusUnauthorized, basic(someToken + "0"): http.StatusUnauthorized,
		"Bearer ": http.StatusUnauthorized, someToken: http.StatusUnauthorized, basic(""): http.StatusUnauthorized,
	} {
		for _, call := range []string{"GET /v1/id", "GET /", "GET /page/page.js", "GET /metrics", "GET /v1/held", "GET /v1/events?timeout=1ms"} {
			r := n.do(call, "", "Authorization", header)
			if r.status != want || (r.header.Get("WWW-Authenticate") != "") != (want == http.StatusUnauthorized) {
				t.Errorf("%s with %q: %d %v, want %d", call, header, r.status, r.header, want)
			}
		}
	}
	for _, call := range []string{"PUT /v1/value?key=/v/a", "GET /routing/v1/providers/" + someCID, "GET /none"} {
		if r := n.do(call, "x"); r.status != http.StatusUnauthorized {
			t.Errorf("%s without a token: %d", call, r.status)
		}
	}
	if r := n.do("GET /v1/id", "", "Authorization", "Bearer "+someToken, "Host", "node.example"); r.status != http.StatusForbidden {
		t.Errorf("a name that resolves to the loopback interface: %d", r.status)
	}
}

// An API that other machines reach answers them with a token alone; this machine, by a loopback
// address, without one too.
func TestAPIForOthers(t *testing.T) {
	n := start(t, "--api", "0.0.0.0:0", "--api-any")
	if r := n.do("GET /v1/id", ""); r.status != http.StatusOK {
		t.Errorf("from this machine: %d %s", r.status, r.body)
	}
	if r := n.do("GET /v1/id", "", "Host", "node.example"); r.status != http.StatusOK {
		t.Errorf("from this machine, under a name: %d %s", r.status, r.body)
	}
	if r := n.do("GET /", "", "Host", "node.example"); r.status != http.StatusForbidden || !strings.Contains(string(r.body), "--api-token") {
		t.Errorf("the page, under a name: %d %s", r.status, r.body)
	}
	passed := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	for _, tt := range []struct {
		token, from string
		path        string
		loopback    bool
		want        int
	}{
		{"", "192.0.2.1:1", "/v1/id", false, http.StatusOK},
		{"", "192.0.2.1:1", "/metrics", false, http.StatusOK},
		{"", "192.0.2.1:1", "/routing/v1/peers/x", false, http.StatusOK},
		{"", "192.0.2.1:1", "/", false, http.StatusForbidden},
		{"", "[2001:db8::1]:1", "/page.js", false, http.StatusForbidden},
		{"", "127.0.0.1:1", "/", false, http.StatusOK},
		{"", "[::1]:1", "/", false, http.StatusOK},
		{"", "192.0.2.1:1", "/", true, http.StatusOK}, // it reached the loopback interface
		{someToken, "192.0.2.1:1", "/v1/id", false, http.StatusUnauthorized},
		{someToken, "127.0.0.1:1", "/", true, http.StatusUnauthorized},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, tt.path, http.NoBody)
		r.RemoteAddr, r.Host = tt.from, "127.0.0.1"
		w := httptest.NewRecorder()
		authorize(passed, tt.token, tt.loopback).ServeHTTP(w, r)
		if w.Code != tt.want {
			t.Errorf("token %q, from %s, %s: %d, want %d", tt.token, tt.from, tt.path, w.Code, tt.want)
		}
	}
}

// A browser that is given the token as a password shows the page, with its events.
func TestPageWithToken(t *testing.T) {
	n := start(t, "--api-token", tokenFile(t))
	other := start(t, "--join", n.Addrs[0])
	other.get("GET /v1/ready", "")
	ctx := browser(t)
	at := strings.Replace(n.API, "http://", "http://kad:"+someToken+"@", 1)
	in(ctx, t, chromedp.Navigate(at+"/"))
	in(ctx, t, chromedp.Poll[bool](`document.querySelectorAll("#contacts tr").length === 1`))
	in(ctx, t, chromedp.SendKeys(chromedp.CSS("#key"), "hello\r"))
	in(ctx, t, chromedp.Poll[bool](`document.querySelectorAll("#hops li").length > 0`))
}

// A token is the first line of a file.
func TestReadToken(t *testing.T) {
	for text, want := range map[string]string{
		someToken: someToken, someToken + "\r\nmore": someToken, strings.Repeat("a", maxToken): strings.Repeat("a", maxToken),
		"": "", "short": "", someToken + " ": "", "0123456789 abcdef": "", strings.Repeat("a", maxToken+1): "", "\n" + someToken: "", someToken + "é": "",
	} {
		path := filepath.Join(t.TempDir(), "token")
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadToken(path); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
}
