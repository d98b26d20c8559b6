package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/go-kad/kad/examples/internal/node"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what should take milliseconds.
const patience = time.Minute

// startNodes starts a small network on the loopback interface, whose nodes know each other.
func startNodes(t *testing.T, size int) []*node.Node {
	t.Helper()
	client := &http.Client{Transport: new(http.Transport), Timeout: patience}
	t.Cleanup(client.CloseIdleConnections)
	nodes := make([]*node.Node, size)
	for i := range nodes {
		args := []string{"--network", "/test", "--listen", "/ip4/127.0.0.1/tcp/0", "--open-namespace", "v", "--identity-seed", fmt.Sprint("node ", i)}
		if i > 0 {
			args = append(args, "--join", nodes[0].Addrs()[0])
		}
		n, err := node.Start(t.Context(), args)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(n.Close)
		nodes[i] = n
	}
	deadline := time.Now().Add(patience)
	for _, n := range nodes {
		for {
			resp, err := client.Get(n.URL() + "/v1/table")
			if err != nil {
				t.Fatal(err)
			}
			var table struct{ Size int }
			err = json.NewDecoder(resp.Body).Decode(&table)
			resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			if table.Size == size-1 {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("a node knows %d of %d others", table.Size, size-1)
			}
		}
	}
	return nodes
}

// A result is how a run of the program ended.
type result struct {
	stdout, stderr string
	code           int
}

// A program is the built program, with a surrounding of its own.
type program struct {
	path string
	env  []string
}

// build builds the program.
func build(t *testing.T) *program {
	t.Helper()
	if testing.Short() {
		t.Skip("builds the program")
	}
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGINT")
	}
	home := t.TempDir()
	path := filepath.Join(t.TempDir(), "kad")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return &program{path, []string{"HOME=" + home, "XDG_CONFIG_HOME=" + home}}
}

// command returns a run of the program that has not begun.
func (p *program) command(t *testing.T, stdin string, args ...string) (cmd *exec.Cmd, stdout, stderr *bytes.Buffer) {
	cmd = exec.CommandContext(t.Context(), p.path, args...)
	cmd.Env = p.env
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), stdout, stderr
	return cmd, stdout, stderr
}

// run runs the program to its end.
func (p *program) run(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	cmd, stdout, stderr := p.command(t, stdin, args...)
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

const someCID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"

// The program works with a network of five nodes.
func TestProgram(t *testing.T) {
	p, nodes := build(t), startNodes(t, 5)
	for _, tt := range []struct {
		name string
		test func(*testing.T, *program, []*node.Node)
	}{
		{"commands", testCommands},
		{"failures", testFailures},
		{"settings", testSettings},
		{"progress", testProgress},
		{"provide many", testProvideMany},
		{"events", testEvents},
		{"crawl goes on", testCrawlGoesOn},
		{"interrupt", testInterrupt}, // the last: it leaves the network with a contact that has gone
	} {
		t.Run(tt.name, func(t *testing.T) { tt.test(t, p, nodes) })
	}
}

// Each command, through a node that runs and by itself.
func testCommands(t *testing.T, p *program, nodes []*node.Node) {
	first, last := nodes[0], nodes[4]
	api := []string{"--api", first.URL()}
	alone := []string{"--network", "/test", "--open-namespace", "v", "--join", first.Addrs()[0]}
	tests := []struct {
		name  string
		args  []string
		with  []string // api or alone
		stdin string
		want  string // matches stdout
	}{
		{"id", []string{"id"}, api, "", "^" + first.ID().String() + "\n.*\nnetwork /test, server: "},
		{"table", []string{"table"}, api, "", "^4 contacts in .*\nbits +peer(.*\n){5}$"},
		{"table alone", []string{"table"}, alone, "", "contacts? in "},
		{"stats", []string{"stats"}, api, "", `contacts +4\n`},
		{"diagnose", []string{"diagnose"}, api, "", `^lookups work\n`},
		{"find", []string{"find", last.ID().String()}, api, "", `^/ip4/127.0.0.1/tcp/\d+ +\w+`},
		{"find alone", []string{"find", last.ID().String()}, alone, "", `^/ip4/127.0.0.1/tcp/\d+ +\w+`},
		{"closest", []string{"closest", "abc"}, api, "", `(?s)^(12D3\w+\n  /ip4/[^\n]+\n){4}\d hops?, \d requests?, \d answered`},
		{"closest alone", []string{"closest", "0x616263"}, alone, "", `(?s)^(12D3\w+\n  /ip4/[^\n]+\n){5}\d hops?, \d requests?, \d answered`},
		{"put", []string{"put", "/v/one", "first"}, api, "", `^stored by 4 of 4 peers\n`},
		{"get", []string{"get", "/v/one"}, api, "", `^first$`},
		{"get alone", []string{"get", "/v/one"}, alone, "", `^first$`},
		{"put alone, from stdin", []string{"put", "/v/two", "--quorum", "2"}, alone, "a\nb\n", `^stored by [2-5] of 5 peers\n`},
		{"get with quorum", []string{"get", "/v/two", "--quorum", "1"}, api, "", `^a\nb\n$`},
		{"held", []string{"held"}, api, "", `(?s)value         /v/one  5 bytes, for 4\d+h.*\d records?, \d+ bytes\n$`},
		{"provide", []string{"provide", someCID}, api, "", `^stored by 4 of 4 peers\n`},
		{"providers", []string{"providers", someCID, "--count", "1"}, alone, "", "^" + first.ID().String() + "\n"},
		{"advertise", []string{"advertise", "lobby"}, api, "", `^stored by 4 of 4 peers\n`},
		{"peers", []string{"peers", "lobby"}, alone, "", "^" + first.ID().String() + `\n  /ip4/.*\n1 peer: `},
		{"no providers", []string{"peers", "empty"}, alone, "", "^0 peers: "},
		{"ping", []string{"ping", last.ID().String(), "--count", "2", "--interval", "1ms"}, api, "", `^(\S+s, direct, kad-node\n){2}2 answers: least `},
		{"ping alone, an address", []string{"ping", last.Addrs()[0], "--count", "1"}, alone, "", `^\S+s, direct, kad-node\n$`},
		{"crawl", []string{"crawl"}, api, "", `^5 peers: 5 answered, 0 could not be dialled, 0 were silent; 0.0 % dead\n4.0 contacts each, 0 behind relays, in .*\n +5  kad-node\n$`},
		{"crawl alone", []string{"crawl"}, []string{"--network", "/test", "--join", first.Addrs()[0]}, "", `^5 peers: 5 answered`},
		{"bench", []string{"bench", "--lookups", "10"}, api, "", `^10 lookups in .*, 0 failed\nleast .*\n\d\.\d requests and `},
		{"bench alone", []string{"bench", "--lookups", "10"}, alone, "", `^10 lookups in .*, 0 failed\n`},
		{"swarm key", []string{"swarm-key"}, nil, "", `^/key/swarm/psk/1.0.0/\n/base16/\n[0-9a-f]{64}\n$`},
		{"version", []string{"version"}, nil, "", `^kad .* go1\.`},
		{"version as a flag", []string{"--version"}, nil, "", `^kad .* go1\.`},
		{"version of the node", []string{"node", "--version"}, nil, "", `^node .* go1\.`},
		{"completion", []string{"completion", "bash"}, nil, "", `bash completion`},
		{"help", []string{"--help"}, nil, "", `crawl +Asks every peer`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := p.run(t, tt.stdin, append(tt.args, tt.with...)...)
			if got.code != 0 || !regexp.MustCompile(tt.want).MatchString(got.stdout) || strings.Contains(got.stdout, "\x1b") {
				t.Errorf("code %d, stdout\n%s\nstderr %q; want 0 and %s", got.code, got.stdout, got.stderr, tt.want)
			}
			if tt.with == nil || tt.name == "get" {
				return
			}
			got = p.run(t, tt.stdin, append(append(tt.args, "--json"), tt.with...)...)
			for line := range strings.Lines(got.stdout) {
				if err := json.Unmarshal([]byte(line), new(map[string]any)); err != nil || got.code != 0 {
					t.Errorf("with --json: code %d, %q: %v; stderr %q", got.code, line, err, got.stderr)
				}
			}
		})
	}
}

// What fails is one line that says why, and with --json the answer of the API too.
func testFailures(t *testing.T, p *program, nodes []*node.Node) {
	api := nodes[0].URL()
	missing := filepath.Join(t.TempDir(), "none.json")
	tests := []struct {
		name string
		args []string
		code int
		want string // in the line
	}{
		{"no value", []string{"get", "/v/none", "--api", api}, 1, "kad: not found: "},
		{"no validator", []string{"put", "/w/none", "x", "--api", api}, 1, "namespace"},
		{"no peer ID", []string{"find", "abc", "--api", api}, 2, `PEER is "abc": use the ID`},
		{"an address for an ID", []string{"find", nodes[0].Addrs()[0], "--api", api}, 2, "use the ID at its end, " + nodes[0].ID().String()},
		{"no address", []string{"ping", "/ip4/127.0.0.1/tcp/1", "--api", api}, 2, "ends with the ID"},
		{"no CID", []string{"provide", "abc", "--api", api}, 2, `CID is "abc"`},
		{"no hexadecimal", []string{"closest", "0xzz", "--api", api}, 2, `KEY is "0xzz"`},
		{"no key", []string{"get", "", "--api", api}, 2, "KEY is empty"},
		{"no name", []string{"peers", "", "--api", api}, 2, "NAME is empty"},
		{"count is negative", []string{"ping", nodes[1].ID().String(), "--count", "-1", "--api", api}, 2, "use a whole number, 0 or more"},
		{"interval is negative", []string{"ping", nodes[1].ID().String(), "--interval", "-1s", "--api", api}, 2, "--interval is -1s"},
		{"quorum", []string{"put", "/v/quorum", "x", "--quorum", "10", "--api", api}, 1, "kad: stored by 4 of 4 peers, fewer than the quorum\n"},
		{"no validator of IPNS", []string{"put", "/ipns/x", "x", "--api", api}, 1, "--ipfs-validators"},
		{"no such peer", []string{"ping", "12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x", "--api", api}, 1, "not connected"},
		{"no node", []string{"id", "--api", "http://127.0.0.1:1"}, 1, "no node answers at http://127.0.0.1:1"},
		{"no API", []string{"id", "--api", "127.0.0.1"}, 1, "no node answers"},
		{"API is no URL", []string{"id", "--api", "http://"}, 2, "use the URL"},
		{"nothing named", []string{"closest", "abc"}, 2, "use --api URL"},
		{"nothing to crawl", []string{"crawl", "--network", "/test"}, 2, "--join"},
		{"node and network", []string{"id", "--api", api, "--network", "/test"}, 2, "use --api for a node that runs"},
		{"network without slash", []string{"id", "--network", "test"}, 2, "begins with a slash"},
		{"join is no address", []string{"closest", "abc", "--network", "/test", "--join", "x"}, 2, "--join"},
		{"nobody there", []string{"closest", "abc", "--network", "/test", "--timeout", "1s"}, 1, "--join"},
		{"crawl of nobody", []string{"crawl", "--network", "/test", "--join", "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x"}, 1, "no peer of /test answered"},
		{"crawl of another network", []string{"crawl", "--network", "/other", "--join", nodes[0].Addrs()[0]}, 1, "protocol"},
		{"another network", []string{"closest", "abc", "--network", "/other", "--join", nodes[0].Addrs()[0], "--timeout", "1s"}, 1, "of another network: it speaks /test/kad/1.0.0\n"},
		{"no command", []string{"tabel"}, 2, `is it "table"?`},
		{"half a command", []string{"fin"}, 2, `is it "find"?`},
		{"no such command", []string{"foo"}, 2, "kad --help"},
		{"no argument", []string{"find", "--api", api}, 2, "0 arguments given: use kad find PEER"},
		{"two arguments", []string{"table", "x", "--api", api}, 2, "kad table"},
		{"no flag", []string{"table", "--foo"}, 2, "--foo"},
		{"no duration", []string{"table", "--timeout", "x"}, 2, "use a duration, such as"},
		{"timeout is negative", []string{"id", "--timeout", "-1s", "--api", api}, 2, "use a duration"},
		{"timeout is long", []string{"id", "--timeout", "1h", "--api", api}, 2, "up to 10m0s"},
		{"bench of nothing", []string{"bench", "--lookups", "0", "--api", api}, 2, "use 1 or more"},
		{"no file of settings", []string{"id", "--config", missing}, 2, missing},
		{"node without network", []string{"node"}, 2, "--network is missing"},
		{"address of another machine", []string{"node", "--network", "/test", "--listen", "/ip4/203.0.113.1/tcp/0"}, 1, "use an address of this machine"},
		{"port of the API in use", []string{"node", "--network", "/test", "--api", strings.TrimPrefix(api, "http://")}, 1, "choose another port"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := p.run(t, "", append(tt.args, "--quiet")...)
			if tt.args[0] == "node" {
				got = p.run(t, "", tt.args...)
			}
			if got.code != tt.code || !strings.Contains(got.stderr, tt.want) || strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("code %d, stdout %q, stderr %q; want %d and one line with %q", got.code, got.stdout, got.stderr, tt.code, tt.want)
			}
		})
	}
	got := p.run(t, "", "get", "/v/none", "--json", "--api", api)
	var object struct{ Error string }
	if err := json.Unmarshal([]byte(got.stdout), &object); err != nil || !strings.Contains(object.Error, "not found") || got.code != 1 {
		t.Errorf("with --json: %+v, %v; want the answer of the API", got, err)
	}
}

// A flag wins over the environment, and that over the file.
func testSettings(t *testing.T, p *program, nodes []*node.Node) {
	file := filepath.Join(t.TempDir(), "kad.json")
	write := func(path, text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(file, `{"api": "`+nodes[0].URL()+`", "count": 1}`)
	is := func(name string, want *node.Node, args ...string) {
		t.Helper()
		got := p.run(t, "", append([]string{"id", "--config", file}, args...)...)
		if got.code != 0 || !strings.HasPrefix(got.stdout, want.ID().String()) {
			t.Errorf("%s: %+v; want the node %s", name, got, want.ID())
		}
	}
	is("file", nodes[0])
	p = &program{p.path, p.env} // with an environment of its own
	p.env = append(p.env, "KAD_API="+strings.TrimPrefix(nodes[1].URL(), "http://"))
	is("environment", nodes[1])
	is("flag", nodes[0], "--api", nodes[0].URL())
	p.env = append(p.env, "KAD_JOIN="+nodes[0].Addrs()[0]+","+nodes[1].Addrs()[0], "KAD_OPEN_NAMESPACE=v")
	if got := p.run(t, "", "closest", "abc", "--network", "/test"); got.code != 0 || strings.Count(got.stdout, "12D3") != 5 {
		t.Errorf("--network with KAD_JOIN: %+v; want that KAD_API is set aside", got)
	}
	p.env = append(p.env, "KAD_TIMEOUT=long")
	if got := p.run(t, "", "id"); got.code != 2 || !strings.Contains(got.stderr, "KAD_TIMEOUT") {
		t.Errorf("KAD_TIMEOUT=long: %+v", got)
	}
	for _, ask := range [][]string{{"tab"}, {"find", "--"}} {
		got := p.run(t, "", append([]string{"__complete"}, ask...)...)
		if got.code != 0 || !strings.Contains(got.stdout, "\t") || strings.Contains(got.stdout, "`") {
			t.Errorf("completion of %q with KAD_TIMEOUT=long: %+v; want proposals without marks", ask, got)
		}
	}
	for text, want := range map[string]string{"x": "no JSON", `{"foo": 1}`: "no flag", `{"join": {"a": 1}}`: "nor a list", `{"quiet": "x"}`: "quiet is \"x\": use true or false"} {
		write(file, text)
		if got := p.run(t, "", "id", "--config", file, "--timeout", "1s"); got.code != 2 || !strings.Contains(got.stderr, want) {
			t.Errorf("the file %s: %+v; want %s", text, got, want)
		}
	}
}

// What takes longer than half a second says how far it is, unless it is to be quiet.
func testProgress(t *testing.T, p *program, _ []*node.Node) {
	args := []string{"closest", "abc", "--network", "/test", "--timeout", "1500ms"}
	got := p.run(t, "", args...)
	if got.code != 1 || !regexp.MustCompile(`^kad: looking up abc: cannot join: .*\(500ms\)\n`).MatchString(got.stderr) {
		t.Errorf("%+v; want progress on stderr", got)
	}
	if got := p.run(t, "", append(args, "--quiet")...); strings.Contains(got.stderr, "looking up") {
		t.Errorf("with --quiet: %+v", got)
	}
}

// interrupt interrupts a run once its stdout has the texts, each after the one before it,
// and returns how it ended.
func (p *program) interrupt(t *testing.T, texts []string, meanwhile func(), args ...string) result {
	t.Helper()
	cmd, _, stderr := p.command(t, "", args...)
	cmd.Stdout = nil
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	var stdout strings.Builder
	lines := bufio.NewReader(out)
	for len(texts) > 0 {
		line, err := lines.ReadString('\n')
		stdout.WriteString(line)
		for len(texts) > 0 {
			_, after, found := strings.Cut(line, texts[0])
			if !found {
				break
			}
			line, texts = after, texts[1:]
		}
		if err != nil && len(texts) > 0 {
			t.Errorf("it ended before %q, after %q: %v; stderr %q", texts, &stdout, err, stderr)
			break
		}
	}
	if meanwhile != nil {
		meanwhile()
	}
	begun := time.Now()
	_ = cmd.Process.Signal(os.Interrupt)
	rest, _ := io.ReadAll(lines)
	stdout.Write(rest)
	_ = cmd.Wait()
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v to end", took)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// What goes on ends at once when it is interrupted, and says what it has found.
func testInterrupt(t *testing.T, p *program, nodes []*node.Node) {
	api := []string{"--api", nodes[0].URL()}
	alone := []string{"--network", "/test", "--join", nodes[0].Addrs()[0]}

	var found result
	got := p.interrupt(t, []string{"stored by", "answered"}, func() { found = p.run(t, "", append(alone, "peers", "hall")...) }, append(alone, "advertise", "hall")...)
	if got.code != 0 || strings.Count(found.stdout, "12D3") != 1 {
		t.Errorf("advertise: %+v, meanwhile %+v; want to be found, and code 0", got, found)
	}
	if got := p.interrupt(t, []string{"direct"}, nil, append(api, "ping", nodes[1].ID().String(), "--count", "0", "--interval", "5ms")...); got.code != exitInterrupted || strings.Count(got.stdout, "direct") > 1 && !strings.Contains(got.stdout, "median") {
		t.Errorf("ping: %+v; want what it has measured", got)
	}
	node := p.interrupt(t, []string{`"api"`}, nil, "node", "--network", "/test", "--listen", "/ip4/127.0.0.1/tcp/0")
	if node.code != 0 || node.stderr != "" {
		t.Errorf("node: %+v; want code 0", node)
	}
}

// The events of a node are lines, in words or in JSON.
func testEvents(t *testing.T, p *program, nodes []*node.Node) {
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{nil, []string{"begins", "peers found", "value /v/told stored by 4 of 4 peers"}},
		{[]string{"--all"}, []string{"begins", " answered", "peers found"}},
		{[]string{"--json"}, []string{`"type":"lookup_began"`, `"type":"lookup_answered"`, `"type":"lookup_ended"`}},
	} {
		args := append([]string{"events", "--api", nodes[0].URL()}, tt.args...)
		stop := make(chan struct{})
		done := make(chan struct{})
		go func() { // lookups, until the reader has seen one
			defer close(done)
			for {
				select {
				case <-stop:
					return
				default:
					p.run(t, "", "closest", "abc", "--api", nodes[0].URL())
					p.run(t, "", "put", "/v/told", "x", "--api", nodes[0].URL())
				}
			}
		}()
		got := p.interrupt(t, tt.want, nil, args...)
		close(stop)
		<-done
		if got.code != 0 {
			t.Errorf("%v: %+v; want code 0", tt.args, got)
		}
	}
}

// A crawl goes on from its file: it asks the peers that are left, and no other one again.
func testCrawlGoesOn(t *testing.T, p *program, nodes []*node.Node) {
	file := filepath.Join(t.TempDir(), "crawl")
	crawl := func() (visits int, total summary) {
		t.Helper()
		got := p.run(t, "", "crawl", "--json", "--state", file, "--api", nodes[0].URL())
		if got.code != 0 {
			t.Fatalf("%+v", got)
		}
		lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &total); err != nil {
			t.Fatal(err)
		}
		return len(lines) - 1, total
	}
	if visits, total := crawl(); visits != 5 || total.Answered != 5 || !total.Done {
		t.Errorf("%d visits, %+v; want all 5", visits, total)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := p.run(t, "", "crawl", "--network", "/other", "--join", nodes[0].Addrs()[0], "--state", file); got.code != 1 || !strings.Contains(got.stderr, "of a crawl of /test") {
		t.Errorf("the file of another network: %+v", got)
	}
	// Two peers were not asked, and the last line was cut off.
	var kept []string
	cut := 2
	for line := range strings.Lines(string(whole)) {
		if strings.HasPrefix(line, `{"id"`) && cut > 0 {
			cut--
			continue
		}
		kept = append(kept, line)
	}
	if err := os.WriteFile(file, []byte(strings.Join(kept, "")+`{"id":"12D3`), 0o600); err != nil {
		t.Fatal(err)
	}
	if visits, total := crawl(); visits != 2 || total.Answered != 5 || total.Agents["kad-node"] != 5 {
		t.Errorf("again: %d visits, %+v; want 2, and 5 in all", visits, total)
	}
}
