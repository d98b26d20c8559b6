package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-kad/kad/examples/internal/node"
	"github.com/go-kad/kad/examples/internal/transcript"
)

// transcriptFile is the transcript of all commands, which make transcript writes.
var transcriptFile = filepath.Join("..", "guides", "commands.md")

const transcriptHead = `# The commands of kad, and what they print

This is a transcript: ` + "`make transcript`" + ` runs each command in a network of five nodes on one machine, and writes what it
prints. A test compares its lines with what the commands print now. The API of one node is at
127.0.0.1:5001, that of another at 127.0.0.1:5002.

`

// readmeFile shows a few of the commands, as the transcript has them.
var readmeFile = filepath.Join("..", "..", "README.md")

// An entry is a command of the transcript, and what it prints.
type entry struct{ says, command, output string }

// name returns the name of the command.
func (e entry) name() string { return strings.Fields(e.command)[1] }

// block returns the command with what it prints, as Markdown.
func (e entry) block() string { return fmt.Sprintf("```console\n$ %s\n%s```\n", e.command, e.output) }

// shown matches a command of kad that a document shows, with what it prints.
var shown = regexp.MustCompile("(?ms)^```console\\n\\$ kad (\\S+).*?^```\\n")

// withEntries returns a document in which each command that it shows is that of the transcript.
func withEntries(text string, entries []entry) string {
	return shown.ReplaceAllStringFunc(text, func(old string) string {
		name := shown.FindStringSubmatch(old)[1]
		if i := slices.IndexFunc(entries, func(e entry) bool { return e.name() == name }); i >= 0 {
			return entries[i].block()
		}
		return old
	})
}

func TestWithEntries(t *testing.T) {
	const text = "Look:\n\n```console\n$ kad put a b\nold\n```\n\n```console\n$ kad get a\nb\n```\nend\n"
	const want = "Look:\n\n```console\n$ kad put c d\nnew\n```\n\n```console\n$ kad get a\nb\n```\nend\n"
	if got := withEntries(text, []entry{{"Stores.", "kad put c d", "new\n"}}); got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// The transcript has each command, and what they print has the form of what it says. With
// KAD_TRANSCRIPT, it is written anew, and so is what README.md shows of it.
func TestTranscript(t *testing.T) {
	p := build(t)
	nodes := startNodes(t, 5)
	entries := record(t, p, nodes)
	var text strings.Builder
	text.WriteString(transcriptHead)
	for _, e := range entries {
		fmt.Fprintf(&text, "## %s\n\n%s\n\n%s\n", e.name(), e.says, e.block())
	}
	if os.Getenv("KAD_TRANSCRIPT") != "" {
		readme, err := os.ReadFile(readmeFile)
		if err != nil {
			t.Fatal(err)
		}
		for path, text := range map[string]string{
			transcriptFile: strings.TrimSuffix(text.String(), "\n"),
			readmeFile:     withEntries(string(readme), entries),
		} {
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	committed, err := os.ReadFile(transcriptFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		_, rest, _ := strings.Cut(string(committed), "\n$ "+e.command+"\n")
		written, _, ok := strings.Cut(rest, "```\n")
		if got, want := transcript.Forms(e.output), transcript.Forms(written); !ok || !slices.Equal(got, want) {
			t.Errorf("%s has another form than in %s: run make transcript, and look at what has changed\n%s\nwant:\n%s",
				e.name(), transcriptFile, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	for _, c := range new(cli).root().Commands() {
		if !strings.Contains(string(committed), "\n## "+c.Name()+"\n") {
			t.Errorf("the transcript has no %s", c.Name())
		}
	}
}

// record runs each command.
func record(t *testing.T, p *program, nodes []*node.Node) []entry {
	t.Helper()
	first, last := nodes[0], nodes[4]
	stable := strings.NewReplacer(first.URL(), "http://127.0.0.1:5001", last.URL(), "http://127.0.0.1:5002", first.Addrs()[0], "/ip4/127.0.0.1/tcp/4001/p2p/"+first.ID().String())
	var entries []entry
	add := func(says, output string, args ...string) {
		for i, a := range args {
			if strings.Contains(a, " ") {
				args[i] = "'" + a + "'"
			}
		}
		entries = append(entries, entry{says, stable.Replace("kad " + strings.Join(args, " ")), stable.Replace(output)})
	}
	run := func(says string, args ...string) {
		got := p.run(t, "", args...)
		if got.code != 0 {
			t.Fatalf("%v: %+v", args, got)
		}
		add(says, got.stdout, args...)
	}
	api := func(says string, args ...string) { run(says, append(args, "--api", first.URL())...) }

	api("Who and where a node is.", "id")
	api("How it can be found and reached.", "diagnose")
	api("The peers that it knows, by how many first bits of their keys are those of its own.", "table")
	api("Where a peer is, and how that is known.", "find", last.ID().String())
	api("The peers that are closest to a key, which store what is put under it.", "closest", "hello")
	api("How long a peer takes to answer.", "ping", last.ID().String(), "--count", "2", "--interval", "10ms")
	api("Stores a value.", "put", "/v/greeting", "hello, world")
	run("Finds it, here without a node: as a client of the network, for as long as the command takes.",
		"get", "/v/greeting", "--network", "/test", "--open-namespace", "v", "--join", first.Addrs()[0])
	entries[len(entries)-1].output += "\n" // the value has no end of line
	api("Announces that the node has a content.", "provide", someCID)
	run("Finds the peers that have it, from another node: a node does not name itself.", "providers", someCID, "--api", last.URL())
	api("Announces the node under a name.", "advertise", "my-app/lobby")
	run("Finds the peers under a name.", "peers", "my-app/lobby", "--api", last.URL())
	api("What a node holds for the network.", "held")
	api("What it counts.", "stats")
	run("Asks every peer of the network for its contacts.", "crawl", "--quiet", "--network", "/test", "--join", first.Addrs()[0])
	api("How long lookups of random keys take.", "bench", "--quiet", "--lookups", "20")
	add("What happens in a node, as it happens; here, up to the end of one lookup.", watch(t, p, first), "events", "--api", first.URL())
	run("Makes the key of a private network.", "swarm-key")
	hello := p.interrupt(t, []string{`"api"`}, nil, "node", "--network", "/my-app", "--listen", "/ip4/127.0.0.1/tcp/0", "--identity-seed", "one")
	add("Runs a node until Ctrl-C. This is its first line, for programs.", hello.stdout, "node", "--network", "/my-app", "--listen", "/ip4/127.0.0.1/tcp/0", "--identity-seed", "one")
	run("The version of the program.", "version")
	got := p.run(t, "", "completion", "bash")
	line, _, _ := strings.Cut(got.stdout, "\n")
	add("Completion for a shell; this is its first line. `kad completion bash --help` says where to put it.", line+"\n", "completion", "bash")
	return entries
}

// watch returns what events prints of one lookup.
func watch(t *testing.T, p *program, n *node.Node) string {
	t.Helper()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() { // lookups, until the reader has seen one
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				p.run(t, "", "closest", "hello", "--api", n.URL())
			}
		}
	}()
	got := p.interrupt(t, []string{"begins", "peers found"}, nil, "events", "--api", n.URL())
	close(stop)
	<-done
	_, text, _ := strings.Cut("\n"+got.stdout, "begins")
	begin := strings.LastIndex(got.stdout[:strings.Index(got.stdout, "begins")], "\n") + 1
	end := strings.Index(text, "peers found")
	if end < 0 {
		t.Fatalf("events prints %q", got.stdout)
	}
	rest, _, _ := strings.Cut(text[end:], "\n")
	return got.stdout[begin:strings.Index(got.stdout, "begins")] + "begins" + text[:end] + rest + "\n"
}
