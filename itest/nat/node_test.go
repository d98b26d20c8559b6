//go:build linux

package nat

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// network is the name of the network in all labs.
const network = "/lab"

// programs builds the programs once, and returns the directory that they are in,
// which removePrograms removes.
var programs = sync.OnceValues(func() (dir string, err error) {
	if built, err = os.MkdirTemp("", "kad-nat-"); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-o", built+string(filepath.Separator), "./examples/node", "./examples/chat", "./examples/send")
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return built, nil
})

// built is the directory of the programs, if they are built.
var built string

func removePrograms() {
	if built != "" {
		_ = os.RemoveAll(built)
	}
}

// A node is a process of examples/node on a machine of a lab.
type node struct {
	ID    string   `json:"id"`
	Addrs []string `json:"addrs"`
	API   string   `json:"api"`

	started time.Time
	machine *Machine
	cmd     *exec.Cmd
	stderr  strings.Builder // not to be read before the process has ended
	client  http.Client
	ended   func() error // waits for the end
}

// start starts a node, and waits until it says that it is up. It ends with the
// test.
func start(t *testing.T, m *Machine, args ...string) *node {
	t.Helper()
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	n := &node{machine: m, started: time.Now()}
	n.client.Transport = &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		return m.Dial(ctx, net.Dialer{}, network, addr)
	}}
	n.cmd = exec.Command(filepath.Join(dir, "node"), append([]string{"--network", network, "--log", "error"}, args...)...)
	n.cmd.Stderr = &n.stderr
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	n.ended = sync.OnceValue(n.cmd.Wait)
	if err := m.Start(n.cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.kill()
		if t.Failed() && n.stderr.Len() > 0 { // GOLOG_LOG_LEVEL=p2p-holepunch=debug, for example, says more
			t.Logf("%v:\n%s", m.Addr, n.stderr.String())
		}
	})
	hung := time.AfterFunc(patience, func() { _ = n.cmd.Process.Kill() })
	defer hung.Stop()
	first, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(first, n)
	}
	if err != nil {
		n.kill()
		t.Fatalf("the first line of the node is %q, %v; it says %q", first, err, n.stderr.String())
	}
	return n
}

// kill ends the process at once, without a word to its peers but what the kernel
// says about its TCP connections.
func (n *node) kill() {
	_ = n.cmd.Process.Kill() // it may have ended
	_ = n.ended()
	n.client.CloseIdleConnections()
}

// stop ends the process as a user does.
func (n *node) stop(t *testing.T) {
	t.Helper()
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := n.ended(); err != nil {
		t.Errorf("the node ended with %v; it says %q", err, n.stderr.String())
	}
}

// addr returns an address of the node on the internet, for others to join through.
func (n *node) addr(t *testing.T) string {
	t.Helper()
	for _, addr := range n.Addrs {
		if strings.Contains(addr, n.machine.Addr.String()) {
			return addr
		}
	}
	t.Fatalf("none of the addresses is public: %q", n.Addrs)
	return ""
}

// An apiError is an answer other than 200.
type apiError struct {
	status int
	body   string
}

func (e *apiError) Error() string { return fmt.Sprintf("status %d: %s", e.status, e.body) }

// call calls the API, and reads the object that it answers with, also if that is
// an error.
func (n *node) call(ctx context.Context, method, path string, query url.Values, object any) error {
	req, err := http.NewRequestWithContext(ctx, method, n.API+path+"?"+query.Encode(), nil)
	if err != nil {
		return err
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		err = &apiError{resp.StatusCode, strings.TrimSpace(string(body))}
	}
	if object != nil {
		err = errors.Join(err, json.Unmarshal(body, object))
	}
	return err
}

// A connection is what a node says of how it has connected to a peer.
type connection struct {
	Connected bool
	Via       string
	Steps     []step
	Error     string
}

// A step is one of those that it took.
type step struct {
	Name  string
	Took  float64 `json:"took_ms"`
	Error string
}

// connect connects the node to a peer of which it knows the ID. It waits for a
// direct connection until shortly before the deadline.
func (n *node) connect(ctx context.Context, id string, deadline time.Duration) (c connection, err error) {
	direct := deadline * 4 / 5
	err = n.call(ctx, http.MethodPost, "/v1/connect", url.Values{"id": {id}, "timeout": {deadline.String()}, "direct": {direct.String()}}, &c)
	return c, err
}

// dial connects the node to a peer at one address.
func (n *node) dial(ctx context.Context, addr string) error {
	return n.call(ctx, http.MethodPost, "/v1/connect", url.Values{"addr": {addr}, "timeout": {"2s"}}, nil)
}

// find returns the addresses of a peer.
func (n *node) find(ctx context.Context, id string) ([]string, error) {
	var found struct{ Addrs []string }
	err := n.call(ctx, http.MethodGet, "/v1/peer", url.Values{"id": {id}, "timeout": {"5s"}}, &found)
	return found.Addrs, err
}

// addrs returns the addresses that the node announces.
func (n *node) addrs(ctx context.Context) ([]string, error) {
	var id struct{ Addrs []string }
	err := n.call(ctx, http.MethodGet, "/v1/id", nil, &id)
	return id.Addrs, err
}

// contacts returns how many contacts the node has, -1 if it does not say.
func (n *node) contacts(ctx context.Context) int {
	var table struct{ Size int }
	if err := n.call(ctx, http.MethodGet, "/v1/table", nil, &table); err != nil {
		return -1
	}
	return table.Size
}
