package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/go-kad/kad/examples/internal/swarmkey"
)

// Two chats with the same swarm key talk, and the invitation names it; one without cannot
// connect, and is told the likely cause.
func TestSwarmKey(t *testing.T) {
	key := filepath.Join(t.TempDir(), "swarm.key")
	if err := os.WriteFile(key, []byte(swarmkey.New()), 0o600); err != nil {
		t.Fatal(err)
	}
	ann := open(t, "--nick", "ann", "--swarm-key", key)
	ann.err.Await(t, `--swarm-key \S+ --room lobby --join`)
	bob := open(t, "--nick", "bob", "--swarm-key", key, "--join", ann.addr(t))
	ann.err.Await(t, `bob is here, directly`)
	bob.say(t, "hello")
	ann.out.Await(t, `(?m)^bob: hello$`)
	eve := open(t, "--nick", "eve", "--join", ann.addr(t))
	eve.err.Await(t, `another private network`)
}
