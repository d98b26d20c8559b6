package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/go-kad/kad/examples/internal/node"
	kad "github.com/go-kad/kad/host"
)

// The contents of stdin are announced, each line by itself.
func testProvideMany(t *testing.T, p *program, nodes []*node.Node) {
	const other = "bafkreifjjcie6lypi6ny7amxnfftagclbuxndqonfipmb64f2km2devei4"
	api := []string{"provide", "--api", nodes[1].URL()}
	got := p.run(t, someCID+"\n\n"+other+"\n", api...)
	if got.code != 0 || !regexp.MustCompile(`^2 contents stored\n\d+ requests, in .*\n$`).MatchString(got.stdout) {
		t.Errorf("two contents: %+v", got)
	}
	got = p.run(t, someCID+"\nabc\n", api...)
	if got.code != 1 || !strings.HasPrefix(got.stdout, `abc: cid is "abc"`) || got.stderr != "kad: 1 content failed\n" {
		t.Errorf("one of two is no CID: %+v", got)
	}
	got = p.run(t, someCID+"\n", append(api, "--json")...)
	lines := strings.Split(strings.TrimSpace(got.stdout), "\n")
	if got.code != 0 || len(lines) != 2 || !strings.Contains(lines[0], `"progress":{"done":1,"failed":0,"part":1,"read":1}`) || !strings.Contains(lines[1], `"done":true`) {
		t.Errorf("with --json: %+v", got)
	}
	if got = p.run(t, "", api...); got.code != 1 || !strings.Contains(got.stderr, "one CID a line") {
		t.Errorf("nothing: %+v", got)
	}
	if got := p.run(t, "", "providers", other, "--api", nodes[0].URL()); !strings.Contains(got.stdout, nodes[1].ID().String()) {
		t.Errorf("providers: %+v", got)
	}
}

// The progress has the time that is left if the total is known, which is that of a file.
func TestTally(t *testing.T) {
	progress := kad.Progress{Read: 100, Done: 50, Failed: 2, Part: 0.5}
	for total, want := range map[int]string{
		0:   "50 done, 2 failed, 5 a second; 50 % of the key space for those that are read",
		150: "50 of 150 done, 2 failed, 5 a second, 20s left; 50 % of the key space for those that are read",
	} {
		if got := tallyOf(progress, 10*time.Second, total); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestCountLines(t *testing.T) {
	const text = "a\n\n b \nc"
	path := filepath.Join(t.TempDir(), "cids")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	count, err := countLines(f)
	rest, readErr := io.ReadAll(f)
	if count != 3 || err != nil || readErr != nil || string(rest) != text {
		t.Errorf("countLines() = %d, %v; then %q, %v", count, err, rest, readErr)
	}
	if count, err := countLines(strings.NewReader(text)); count != 0 || err != nil {
		t.Errorf("countLines() = %d, %v of what is no file", count, err)
	}
}
