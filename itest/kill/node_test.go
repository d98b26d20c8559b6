package kill_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// A node is a process of the program.
type node struct {
	ID    string   `json:"id"`
	Addrs []string `json:"addrs"`
	API   string   `json:"api"`

	cmd    *exec.Cmd
	stdout *bufio.Reader
	stderr strings.Builder
	client http.Client
}

// spawn starts a process of the program. It is killed when the test is over, if
// it has not ended by then.
func spawn(t *testing.T, program string, args ...string) (*node, error) {
	t.Helper()
	n := &node{client: http.Client{Transport: new(http.Transport), Timeout: patience}}
	n.cmd = exec.Command(program, append([]string{
		"--network", network, "--open-namespace", "v", "--listen", "/ip4/127.0.0.1/tcp/0", "--log", "error",
	}, args...)...)
	n.cmd.Env = append(os.Environ(), "GOLOG_LOG_LEVEL=kad=warn") // libp2p also warns of peers that vanish
	n.cmd.Stderr = &n.stderr
	out, err := n.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	n.stdout = bufio.NewReader(out)
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if n.cmd.ProcessState == nil {
			_ = n.end(os.Kill)
		}
	})
	return n, nil
}

// start starts a process of the program, and waits until it says that it is up.
func start(t *testing.T, program string, args ...string) (*node, error) {
	t.Helper()
	n, err := spawn(t, program, args...)
	if err != nil {
		return nil, err
	}
	defer n.bound()()
	first, err := n.stdout.ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(first, n)
	}
	if err == nil && (n.ID == "" || len(n.Addrs) == 0 || n.API == "") {
		err = errors.New("something is missing")
	}
	if err != nil {
		return nil, fmt.Errorf("the first line is %q: %w", first, errors.Join(err, n.end(os.Kill)))
	}
	return n, nil
}

// bound kills the process unless the function that it returns is called in time,
// so that nobody waits for it for ever.
func (n *node) bound() (stop func()) {
	timer := time.AfterFunc(patience, func() { _ = n.cmd.Process.Kill() })
	return func() { timer.Stop() }
}

// signal sends the process a signal.
func (n *node) signal(s os.Signal) error { return n.cmd.Process.Signal(s) }

// end sends the process a signal and waits for its end. It is an error if it does
// not end as the signal demands, or has printed anything but the line that start
// has read. Only libp2p may complain when it is stopped: it does if that comes
// while it accepts a connection.
func (n *node) end(s os.Signal) error {
	sent := n.signal(s)
	defer n.bound()()
	defer n.client.CloseIdleConnections()
	rest, err := io.ReadAll(n.stdout)
	_ = n.cmd.Wait() // the state says it better
	want, noise := "exit status 0", false
	if s == os.Kill {
		want, noise = "signal: killed", n.stderr.Len() > 0
	}
	var unlike error
	if got := n.cmd.ProcessState.String(); got != want || len(rest) > 0 || noise {
		unlike = fmt.Errorf("after %v: %s, stdout %q, stderr %q; want %s and nothing else", s, got, rest, n.stderr.String(), want)
	}
	return errors.Join(sent, err, unlike)
}

// call calls the API, and reads the object that it answers with. Any status but
// 200 is an error. It is 0 if there is no answer.
func (n *node) call(ctx context.Context, method, path, body string, object any) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, method, n.API+path, strings.NewReader(body))
	if err != nil {
		return 0, err
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	switch {
	case resp.StatusCode != http.StatusOK:
		err = fmt.Errorf("%s %s: %s, %s", method, path, resp.Status, answer)
	case err == nil && object != nil:
		err = json.Unmarshal(answer, object)
	}
	return resp.StatusCode, err
}

// ready waits until lookups of the node work.
func (n *node) ready(ctx context.Context) error {
	_, err := n.call(ctx, http.MethodGet, "/v1/ready", "", nil)
	return err
}

// A gauge is what /v1/stats says of a node, as far as it matters here.
type gauge struct{ Publications, Contacts int }

// stats returns the gauges of the node.
func (n *node) stats(ctx context.Context) (g gauge, err error) {
	_, err = n.call(ctx, http.MethodGet, "/v1/stats", "", &g)
	return g, err
}
