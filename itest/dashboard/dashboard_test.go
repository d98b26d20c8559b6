// Package dashboard tests host/metrics and its dashboard for Grafana with nodes that run as
// programs: what they tell is parsed by the parser of Prometheus, and the queries of the
// dashboard are run by a Prometheus, if there is one.
package dashboard

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"github.com/go-kad/kad/itest/internal/program"

	"github.com/go-kad/kad/itest/internal/need"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what should take seconds.
const patience = time.Minute

// A node is a process of examples/node.
type node struct {
	API   string
	Addrs []string
	pid   int
}

// client asks without keeping connections.
func client() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
}

// do calls the API of a node, and returns the answer.
func (n node) do(t *testing.T, method, path, body string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, n.API+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s %s %v", method, path, resp.Status, got, err)
	}
	return got
}

// network starts three nodes that know each other.
func network(t *testing.T) []node {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the program")
	}
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGINT")
	}
	path := program.Build(t, "./examples/node")
	var nodes []node
	for i := range 3 {
		args := []string{"--network", "/metrics", "--listen", "/ip4/127.0.0.1/tcp/0", "--open-namespace", "v"}
		if i > 0 {
			args = append(args, "--join", nodes[0].Addrs[0])
		}
		var n node
		first, pid := launch(t, path, args...)
		n.pid = pid
		if err := json.Unmarshal(first, &n); err != nil {
			t.Fatalf("%s: %v", first, err)
		}
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		n.do(t, http.MethodGet, "/v1/ready", "")
	}
	return nodes
}

// launch runs a program until the test is over, and returns its first line and its process ID.
func launch(t *testing.T, program string, args ...string) (first []byte, pid int) {
	t.Helper()
	cmd := exec.Command(program, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		kill.Stop()
		if t.Failed() {
			t.Logf("%s: %s", filepath.Base(program), &stderr)
		}
	})
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil {
		t.Fatalf("no line on stdout: %v, %s", err, &stderr)
	}
	return line, cmd.Process.Pid
}

// work has nodes do something of everything that is measured.
func work(t *testing.T, nodes []node) {
	t.Helper()
	n := nodes[1]
	n.do(t, http.MethodGet, fmt.Sprintf("/v1/closest?key=%d", time.Now().UnixNano()), "")
	n.do(t, http.MethodPut, "/v1/value?key=/v/one", fmt.Sprintf("%020d", time.Now().UnixNano()))
	n.do(t, http.MethodGet, "/v1/value?key=/v/one", "")
	n.do(t, http.MethodPost, "/v1/advertise?ns=lobby", "")
	nodes[2].do(t, http.MethodGet, "/v1/peers?ns=lobby", "")
}

// A query is one of the dashboard.
type query struct{ panel, expr string }

// queries returns the queries of the dashboard.
func queries(t *testing.T) []query {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "host", "metrics", "grafana.json"))
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	var list []query
	for _, p := range dashboard.Panels {
		for _, target := range p.Targets {
			list = append(list, query{p.Title, target.Expr})
		}
	}
	if len(list) == 0 {
		t.Fatal("the dashboard has no query")
	}
	return list
}

// What a node tells is what Prometheus reads; it has every metric of the dashboard, and the
// dashboard has every metric of ours.
func TestMetrics(t *testing.T) {
	nodes := network(t)
	work(t, nodes)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(nodes[1].do(t, http.MethodGet, "/metrics", "")))
	if err != nil {
		t.Fatal(err)
	}
	shown := make(map[string]bool)
	for _, q := range queries(t) {
		for _, name := range regexp.MustCompile(`\b(kad|libp2p|go)_\w+`).FindAllString(q.expr, -1) {
			family := name
			if families[name] == nil {
				family = regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
			}
			if families[family] == nil {
				t.Errorf("%s: there is no metric %s", q.panel, name)
			}
			shown[family] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(families)) {
		if strings.HasPrefix(name, "kad_") && !shown[name] {
			t.Errorf("%s is on no panel", name)
		}
	}
	for name, kinds := range map[string][]string{
		"kad_request_duration_seconds": {"find_node", "put_value", "get_value", "add_provider"},
		"kad_lookup_duration_seconds":  {"find_node", "get_value"},
	} {
		for _, kind := range kinds {
			checkTimes(t, families[name], kind)
		}
	}
}

// checkTimes checks that a histogram has times of a kind, which are those of requests on the
// loopback interface.
func checkTimes(t *testing.T, family *dto.MetricFamily, kind string) {
	t.Helper()
	for _, m := range family.GetMetric() {
		h := m.GetHistogram()
		if m.GetLabel()[1].GetValue() != kind && m.GetLabel()[0].GetValue() != kind || h.GetSampleCount() == 0 {
			continue
		}
		if mean := h.GetSampleSum() / float64(h.GetSampleCount()); mean > 0 && mean < patience.Seconds() {
			return
		}
	}
	t.Errorf("%s has no times of %s: %v", family.GetName(), kind, family)
}

// Each query of the dashboard returns data from a Prometheus that scrapes nodes.
func TestDashboard(t *testing.T) {
	program, err := exec.LookPath("prometheus")
	if err != nil {
		need.Missing(t, "prometheus", err)
	}
	nodes := network(t)
	address := prometheus(t, program, nodes)
	missing := queries(t)
	for deadline := time.Now().Add(patience); len(missing) > 0 && time.Now().Before(deadline); {
		work(t, nodes)
		missing = slices.DeleteFunc(missing, func(q query) bool { return hasData(t, address, q) })
	}
	for _, q := range missing {
		t.Errorf("%s: no data for %s", q.panel, q.expr)
	}
}

// prometheus starts a Prometheus that scrapes nodes, and returns its URL.
func prometheus(t *testing.T, program string, nodes []node) string {
	t.Helper()
	free, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	free.Close()
	var targets []string
	for _, n := range nodes {
		targets = append(targets, strings.TrimPrefix(n.API, "http://"))
	}
	list, err := json.Marshal(targets)
	if err != nil {
		t.Fatal(err)
	}
	shipped, err := os.ReadFile(filepath.Join("..", "..", "examples", "node", "prometheus.yml"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(shipped)
	for old, ours := range map[string]string{`["127.0.0.1:5001"]`: string(list), "15s": "250ms"} {
		if strings.Count(text, old) != 1 {
			t.Fatalf("prometheus.yml has %q %d times", old, strings.Count(text, old))
		}
		text = strings.Replace(text, old, ours, 1)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "prometheus.yml")
	if err := os.WriteFile(config, []byte("global: {scrape_timeout: 250ms}\n"+text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "--config.file", config, "--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address, "--log.level", "warn")
	var stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stderr, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("prometheus: %s", &stderr)
		}
	})
	return "http://" + address
}

// hasData runs a query as Grafana does, and reports whether it returns something.
func hasData(t *testing.T, address string, q query) bool {
	t.Helper()
	expr := strings.NewReplacer("$__rate_interval", "10s", "$instance", ".*").Replace(q.expr)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address+"/api/v1/query?query="+url.QueryEscape(expr), http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client().Do(req)
	if err != nil {
		return false // it has not started yet
	}
	defer resp.Body.Close()
	var answer struct {
		Status, Error string
		Data          struct{ Result []any }
	}
	if resp.StatusCode == http.StatusServiceUnavailable {
		return false
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Status != "success" {
		t.Fatalf("%s: %s: %v %s", q.panel, expr, err, answer.Error)
	}
	return len(answer.Data.Result) > 0
}
