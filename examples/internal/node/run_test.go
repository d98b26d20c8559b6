package node

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The search of libp2p for a router with UPnP outlives its host by some seconds. The client
// of boxo, which tests use, starts a goroutine for good when the program starts.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/koron/go-ssdp.Search"), goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"))
}

// patience is how long a test waits for what should take milliseconds.
const patience = time.Minute

// A line is the first line on stdout.
type line struct {
	ID    string   `json:"id"`
	Addrs []string `json:"addrs"`
	API   string   `json:"api"`

	Routing string `json:"routing"`
}

// A running is a node that runs in this process or in its own.
type running struct {
	line

	t      *testing.T
	client *http.Client
}

// start runs a node in this process until the test is over.
func start(t *testing.T, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	var stderr bytes.Buffer
	code := make(chan int, 1)
	go func() {
		defer w.Close()
		code <- Run(ctx, append([]string{"--network", "/test", "--listen", "/ip4/127.0.0.1/tcp/0", "--open-namespace", "v", "--open-set", "s"}, args...), w, &stderr)
	}()
	t.Cleanup(func() {
		cancel()
		rest, _ := io.ReadAll(r)
		if c := <-code; c != 0 || len(rest) > 0 || stderr.Len() > 0 {
			t.Errorf("the node ended with code %d, stdout %q, stderr %q; want 0 and nothing", c, rest, &stderr)
		}
	})
	return greet(t, r)
}

// greet reads the first line of a node.
func greet(t *testing.T, stdout io.Reader) *running {
	t.Helper()
	n := &running{t: t, client: &http.Client{Transport: new(http.Transport)}}
	t.Cleanup(n.client.CloseIdleConnections)
	first, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err != nil {
		t.Fatalf("no line on stdout: %v", err)
	}
	d := json.NewDecoder(bytes.NewReader(first))
	d.DisallowUnknownFields()
	if err := d.Decode(&n.line); err != nil {
		t.Fatalf("the line on stdout is %q: %v", first, err)
	}
	for _, a := range n.Addrs {
		if !strings.HasSuffix(a, "/p2p/"+n.ID) {
			t.Errorf("address %s does not end with the ID", a)
		}
	}
	if len(n.Addrs) == 0 {
		t.Errorf("no addresses in %q", first)
	}
	return n
}

// A reply is what the API answers.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// do calls the API: what is "GET /v1/id".
func (n *running) do(what, body string, header ...string) reply {
	n.t.Helper()
	method, path, _ := strings.Cut(what, " ")
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, n.API+path, strings.NewReader(body))
	if err != nil {
		n.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			req.Host = header[i+1]
		}
	}
	resp, err := n.client.Do(req)
	if err != nil {
		n.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		n.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, got}
}

// get calls the API and returns the object that it answers with status 200.
func (n *running) get(what, body string) map[string]any {
	n.t.Helper()
	r := n.do(what, body)
	if r.status != http.StatusOK {
		n.t.Fatalf("%s = %d %s; want 200", what, r.status, r.body)
	}
	return n.object(what, r)
}

// object returns the object of a reply.
func (n *running) object(what string, r reply) map[string]any {
	n.t.Helper()
	var object map[string]any
	if err := json.Unmarshal(r.body, &object); err != nil {
		n.t.Fatalf("%s = %q: %v", what, r.body, err)
	}
	if _, ok := object["elapsed_ms"].(float64); !ok {
		n.t.Errorf("%s = %s; want elapsed_ms", what, r.body)
	}
	return object
}

func TestWithin(t *testing.T) {
	release := make(chan struct{})
	ended := make(chan struct{})
	within(0, func() { defer close(ended); <-release }) // returns although the function does not
	close(release)
	<-ended
	ran := false
	within(patience, func() { ran = true })
	if !ran {
		t.Error("within did not wait for the function")
	}
}

// Two nodes made of the same seed are the same, and the comment of the package
// has the right ID.
func TestSeed(t *testing.T) {
	n := start(t, "--identity-seed", "one")
	if want := "12D3KooWHvLp7Pb2jCaeugAkUGW1XgqNPimeE2TiqGZF8kCvPZJP"; n.ID != want {
		t.Errorf("ID = %s, want %s", n.ID, want)
	}
}

// What keeps a node from starting is one line, which names the flag, and not a matter of usage.
func TestStartFails(t *testing.T) {
	dir := t.TempDir()
	first := start(t, "--data", dir)
	tests := map[string][]string{
		"port of the API in use": {"--api", strings.TrimPrefix(first.API, "http://")},
		"directory in use":       {"--data", dir, "--listen", "/ip4/127.0.0.1/tcp/0"},
		"foreign address":        {"--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip4/203.0.113.1/tcp/0"},
	}
	for name, args := range tests {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := Run(t.Context(), append([]string{"--network", "/test", "--log", "error"}, args...), &stdout, &stderr)
			if code != 1 || stdout.Len() > 0 || strings.Count(stderr.String(), "\n") != 1 || !strings.Contains(stderr.String(), args[0]) {
				t.Errorf("code %d, stdout %q, stderr %q; want 1, nothing and a line about %s", code, &stdout, &stderr, args[0])
			}
		})
	}
}
