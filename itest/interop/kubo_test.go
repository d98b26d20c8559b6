package interop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-kad/kad/itest/internal/need"
	"github.com/go-kad/kad/itest/internal/program"
)

// A kubo is a repository of Kubo, whose daemon runs.
type kubo struct {
	path string
	env  []string
}

// newKubo makes a repository with some settings, as names and values in JSON, and runs its
// daemon until the test is over. It listens on loopback addresses alone.
func newKubo(t *testing.T, settings map[string]string) *kubo {
	t.Helper()
	path, err := exec.LookPath("ipfs")
	if err != nil {
		need.Missing(t, "kubo", "ipfs missing: make kubo builds it in GOPATH/bin, which is to be in PATH")
	}
	home := t.TempDir()
	k := &kubo{path, append(os.Environ(), "IPFS_PATH="+filepath.Join(home, "repo"), "HOME="+home, "IPFS_TELEMETRY=off")}
	k.run(t, "", "init", "--empty-repo", "--profile=test")
	for name, value := range settings {
		k.run(t, "", "config", "--json", name, value)
	}
	ctx, cancel := context.WithCancel(context.Background())
	daemon := exec.CommandContext(ctx, path, "daemon")
	daemon.Env = k.env
	daemon.Cancel = func() error { return daemon.Process.Signal(os.Interrupt) }
	daemon.WaitDelay = 10 * time.Second
	var told bytes.Buffer // read after the end of the daemon
	daemon.Stdout, daemon.Stderr = &told, &told
	if err := daemon.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = daemon.Wait()
		if t.Failed() {
			t.Logf("the daemon told:\n%s", &told)
		}
	})
	eventually(t, "Kubo answers", func() bool { // its lines are not for programs
		_, err := k.try(t, "", "--api", k.api(), "id")
		return err == nil
	})
	return k
}

// api returns the address of the API of the daemon; before it has one, of none.
func (k *kubo) api() string {
	for _, v := range k.env {
		if repo, ok := strings.CutPrefix(v, "IPFS_PATH="); ok {
			if addr, err := os.ReadFile(filepath.Join(repo, "api")); err == nil {
				return strings.TrimSpace(string(addr))
			}
		}
	}
	return "/ip4/127.0.0.1/tcp/1"
}

// try runs a command of Kubo.
func (k *kubo) try(t *testing.T, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(patient(t), k.path, args...)
	cmd.Env, cmd.Stdin = k.env, strings.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("ipfs %s: %w: %s", strings.Join(args, " "), err, &stderr)
	}
	return strings.TrimSpace(string(out)), err
}

// run runs a command of Kubo that succeeds.
func (k *kubo) run(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := k.try(t, stdin, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// jsonOf returns a value in JSON.
func jsonOf(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// A Kubo that is a peer of the network shares a content: nodes of ours hold its announcement. A
// Kubo that knows the URL of one node alone finds that and fetches the content, finds the peer,
// and publishes a name, which the first one resolves.
func TestKuboRoutes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGINT")
	}
	built := program.Build(t, "./examples/node")
	lan := []string{"--network", "/ipfs/lan"} // what Kubo speaks among private addresses
	first := run(t, built, append(lan, "--routing-v1")...)
	nodes := []process{first, run(t, built, append(lan, "--join", first.Addrs[0])...), run(t, built, append(lan, "--join", first.Addrs[0])...)}
	for _, n := range nodes {
		n.call(t, "GET", "/v1/ready")
	}
	sharing := newKubo(t, map[string]string{
		"Bootstrap":    jsonOf(t, first.Addrs),
		"Routing.Type": `"dhtserver"`,
	})
	reading := newKubo(t, map[string]string{
		"Bootstrap":                `[]`,
		"Routing.Type":             `"delegated"`,
		"Provide.Enabled":          `false`, // Kubo demands it: a client of delegated routing announces nothing
		"Routing.DelegatedRouters": jsonOf(t, []string{first.API}),
		"Ipns.DelegatedPublishers": jsonOf(t, []string{first.API}),
	})

	content := sharing.run(t, "what Kubo shares", "add", "-Q")
	eventually(t, "nodes of ours hold the announcement", func() bool { // Kubo announces when its table has peers
		_, err := sharing.try(t, "", "routing", "provide", content)
		return err == nil
	})
	its := sharing.run(t, "", "id", "-f", "<id>")
	if got := reading.run(t, "", "routing", "findprovs", content); got != its {
		t.Errorf("the provider is %q, want %s", got, its)
	}
	if got := reading.run(t, "", "cat", content); got != "what Kubo shares" {
		t.Errorf("fetched %q", got)
	}
	if got := reading.run(t, "", "routing", "findpeer", its); !strings.Contains(got, "/ip4/127.0.0.1/") {
		t.Errorf("the peer is at %q", got)
	}
	name := strings.Fields(strings.TrimPrefix(reading.run(t, "", "name", "publish", "--quieter", content), "Published to "))[0]
	if got := sharing.run(t, "", "name", "resolve", "--nocache", name); got != "/ipfs/"+content {
		t.Errorf("the name leads to %q, want %s", got, content)
	}
}
