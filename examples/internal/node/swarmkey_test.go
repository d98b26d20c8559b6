package node

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-kad/kad/examples/internal/swarmkey"
)

// keyFile writes a new swarm key.
func keyFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "swarm.key")
	if err := os.WriteFile(file, []byte(swarmkey.New()), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// Nodes with the same swarm key are a network; one with another key, or with none, cannot
// connect, and says why.
func TestSwarmKey(t *testing.T) {
	key := keyFile(t)
	a := start(t, "--swarm-key", key)
	b := start(t, "--swarm-key", key, "--join", a.Addrs[0])
	b.get("GET /v1/ready", "")
	b.get("PUT /v1/value?key=/v/private", "1")
	if got := a.do("GET /v1/value?key=/v/private", ""); got.status != http.StatusOK || string(got.body) != "1" {
		t.Errorf("%d %s; want what the other node has put", got.status, got.body)
	}
	for name, args := range map[string][]string{"another key": {"--swarm-key", keyFile(t)}, "no key": nil} {
		stranger := start(t, append(args, "--join", a.Addrs[0])...)
		r := stranger.do("GET /v1/ready?timeout=9s", "")
		if r.status != http.StatusServiceUnavailable || !strings.Contains(string(r.body), "another private network (--swarm-key), or none") {
			t.Errorf("%s: %d %s; want 503 that names another private network", name, r.status, r.body)
		}
	}
}

// With a swarm key, a node that is not told where to listen does so on TCP alone, also with
// all that gets it through NATs.
func TestSwarmKeySettings(t *testing.T) {
	s := parsed(t, "--network", "/chat", "--swarm-key", keyFile(t), "--api", "127.0.0.1:0", "--mdns=false")
	if len(s.listen) != 2 || len(s.psk) == 0 || !s.traversal {
		t.Fatalf("listens on %v, key of %d bytes, traversal %v", s.listen, len(s.psk), s.traversal)
	}
	h, d, err := newNode(s)
	if err != nil {
		t.Fatal(err)
	}
	_ = d.Close()
	_ = h.Close()
}
