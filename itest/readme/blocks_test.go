package readme_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// documents returns the documents at the top of the module, and the guides, by their path in
// the module.
func documents(t *testing.T) map[string]string {
	t.Helper()
	var paths []string
	for _, pattern := range []string{"*.md", guides + "/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil || len(found) < 5 {
			t.Fatalf("%s: %d documents, %v", pattern, len(found), err)
		}
		paths = append(paths, found...)
	}
	texts := make(map[string]string)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			t.Fatal(err)
		}
		texts[name] = string(text)
	}
	return texts
}

// surroundings is what a part of a program in a document takes for granted.
const surroundings = `package main

import (
	"context"

	"github.com/libp2p/go-libp2p"
	record "github.com/libp2p/go-libp2p-record"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
)

var (
	_ = libp2p.New
	_ = network.WithAllowLimitedConn
	_ record.Validator = statusValidator{}
	_ = kad.New
)

type statusValidator struct{ record.PublicKeyValidator }

func part(ctx context.Context, h lhost.Host, friends []peer.AddrInfo, id peer.ID, value []byte) {
%s
}

func main() {}
`

// sourceOf returns a block of Go as a program that compiles if the block makes sense.
func sourceOf(block string) string {
	if strings.HasPrefix(block, "package main") {
		return block
	}
	if rest, ok := strings.CutPrefix(block, "import "); ok {
		name, _, _ := strings.Cut(rest, " ")
		return "package main\n\nimport " + rest + "\n\nvar _ = " + name + ".New\n\nfunc main() {}\n"
	}
	var uses strings.Builder
	used := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^(?:var )?([\w, ]+?)(?: :=| \*)`).FindAllStringSubmatch(block, -1) {
		for name := range strings.SplitSeq(m[1], ", ") {
			if !used[name] && name != "_" {
				used[name] = true
				fmt.Fprintf(&uses, "_ = %s\n", name)
			}
		}
	}
	return fmt.Sprintf(surroundings, block+uses.String())
}

// Every block of Go in a document compiles.
func TestBlocks(t *testing.T) {
	count := 0
	for name, text := range documents(t) {
		for _, block := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(text, -1) {
			count++
			source := filepath.Join(t.TempDir(), "main.go")
			if err := os.WriteFile(source, []byte(sourceOf(block[1])), 0o600); err != nil {
				t.Fatal(err)
			}
			build := exec.CommandContext(t.Context(), "go", "vet", source)
			build.Dir = root
			if out, err := build.CombinedOutput(); err != nil {
				t.Errorf("%s: %v\n%s\n%s", name, err, out, block[1])
			}
		}
	}
	if count < 4 {
		t.Errorf("%d blocks; the documents have more", count)
	}
}

// Every program that a document runs is there and has the flags that it is given, and every
// target of make is one.
func TestCommands(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	flags := make(map[string]map[string]bool) // by program
	command := regexp.MustCompile("(?:go run|go install) (?:\\./|github.com/go-kad/kad/)(examples/\\w+)([^\n`]*)")
	for name, text := range documents(t) {
		for _, m := range command.FindAllStringSubmatch(text, -1) {
			if flags[m[1]] == nil {
				flags[m[1]] = make(map[string]bool)
			}
			for _, flag := range regexp.MustCompile(`--[a-z-]+`).FindAllString(m[2], -1) {
				flags[m[1]][flag] = true
			}
		}
		for _, m := range regexp.MustCompile("(?m)(?:^    |`)make ([a-z-]+)").FindAllStringSubmatch(text, -1) {
			if !strings.Contains(string(makefile), "\n"+m[1]+":") {
				t.Errorf("%s: there is no target %s", name, m[1])
			}
		}
	}
	if len(flags) != 4 {
		t.Errorf("the documents run %v", slices.Sorted(maps.Keys(flags)))
	}
	for program, given := range flags {
		run := exec.CommandContext(t.Context(), "go", "run", "./"+program, "--help")
		run.Dir = root
		help, err := run.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", program, err, help)
		}
		for flag := range given {
			if !regexp.MustCompile(`(^|\s)-?`+flag+`\b`).Match(help) && !strings.Contains(string(help), flag[1:]+" ") {
				t.Errorf("%s has no flag %s", program, flag)
			}
		}
	}
}

// The commands of the README make a module of its program, in an empty folder.
func TestModule(t *testing.T) {
	text := documents(t)["README.md"]
	clone, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	first := regexp.MustCompile("(?s)```go\n(package main.*?)```").FindStringSubmatch(text)
	if first == nil {
		t.Fatal("the README has no program")
	}
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(first[1]), 0o600); err != nil {
		t.Fatal(err)
	}
	commands := regexp.MustCompile(`(?m)^    go (mod .*)$`).FindAllStringSubmatch(text, -1)
	if len(commands) != 3 {
		t.Fatalf("%d commands, want 3", len(commands))
	}
	for _, m := range append(commands, []string{"", "build -o program ."}) {
		args := strings.Fields(strings.ReplaceAll(m[1], "/path/to/your/clone", clone))
		cmd := exec.CommandContext(t.Context(), "go", args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
	}
}
