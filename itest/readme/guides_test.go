package readme_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/itest/internal/program"
)

// guides is the folder of the guides, below that of the module.
const guides = "examples/guides"

// A block is a fenced block of a document.
type block struct {
	kind  string // of what it is: go, sh, "sh terminal", text
	text  string
	wants string // the block of text after it: what it prints; empty if there is none
}

// blocks returns the fenced blocks of a document, in their order.
func blocks(document string) []block {
	var list []block
	for _, m := range regexp.MustCompile("(?ms)^```([a-z ]+)\n(.*?)^```$").FindAllStringSubmatch(document, -1) {
		if m[1] == "text" && len(list) > 0 && list[len(list)-1].wants == "" {
			list[len(list)-1].wants = m[2]
			continue
		}
		list = append(list, block{kind: m[1], text: m[2]})
	}
	return list
}

// printed returns what a text of a document stands for: … is any text, and a line of it any
// lines.
func printed(text string) *regexp.Regexp {
	pattern := regexp.QuoteMeta(text)
	pattern = regexp.MustCompile(`(?m)^…\n`).ReplaceAllString(pattern, "(?s:.*)")
	return regexp.MustCompile("^" + strings.ReplaceAll(pattern, "…", ".*") + "$")
}

// Each transcript of the README is one of the guide, which a test compares with what the commands
// print, or that of the demo of the chat, for which the chat has one.
func TestTranscripts(t *testing.T) {
	all := documents(t)
	guide, count := all[filepath.FromSlash(guides+"/commands.md")], 0
	for _, b := range blocks(all["README.md"]) {
		if b.kind != "console" {
			continue
		}
		count++
		if strings.HasPrefix(b.text, "$ ") && !strings.Contains(guide, "\n"+b.text) {
			t.Errorf("the guide has no\n%s", b.text)
		}
	}
	if count < 4 {
		t.Errorf("%d transcripts, want more", count)
	}
}

// The programs of the documents print what the documents say.
func TestPrograms(t *testing.T) {
	count := 0
	for name, text := range documents(t) {
		for _, b := range blocks(text) {
			if b.kind != "go" || b.wants == "" {
				continue
			}
			count++
			source := filepath.Join(t.TempDir(), "main.go")
			if err := os.WriteFile(source, []byte(b.text), 0o600); err != nil {
				t.Fatal(err)
			}
			run := exec.CommandContext(t.Context(), "go", "run", source)
			run.Dir = root
			var stderr bytes.Buffer
			run.Stderr = &stderr
			got, err := run.Output()
			if err != nil || !printed(b.wants).Match(got) {
				t.Errorf("%s: %v\n%s\nprinted:\n%s\nwant:\n%s", name, err, &stderr, got, b.wants)
			}
		}
	}
	if count < 2 {
		t.Errorf("%d programs say what they print; there are more", count)
	}
}

// A reader follows a guide: types its commands into terminals, in a folder of its own.
type reader struct {
	dir     string
	path    string            // of the folder with the program kad
	ports   map[string]string // that the guide names: the free ones in their place
	address string            // of the first node: what the guides call ADDRESS
}

// The commands of each guide print what the guide says.
func TestGuides(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and runs programs")
	}
	if runtime.GOOS == "windows" {
		t.Skip("there is no bash")
	}
	kad := program.Build(t, "./examples/kad")
	count := 0
	for name, text := range documents(t) {
		if filepath.Dir(name) != filepath.FromSlash(guides) {
			continue
		}
		t.Run(filepath.Base(name), func(t *testing.T) {
			r := &reader{dir: t.TempDir(), path: filepath.Dir(kad), ports: make(map[string]string)}
			for _, b := range blocks(text) {
				switch b.kind {
				case "sh terminal":
					count++
					r.start(t, b.text)
				case "sh":
					count++
					r.run(t, b)
				case "go": // see TestBlocks and TestPrograms
				case "console": // see TestTranscript of examples/kad
				default:
					t.Errorf("a block of %q is run by no test:\n%s", b.kind, b.text)
				}
			}
		})
	}
	if count < 10 {
		t.Errorf("%d commands were run; the guides have more", count)
	}
}

// command returns a command of a guide that has not begun.
func (r *reader) command(ctx context.Context, text string) *exec.Cmd {
	text = r.here(strings.ReplaceAll(text, "ADDRESS", r.address))
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", text)
	cmd.Dir = r.dir
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "KAD_") }),
		"HOME="+r.dir, "XDG_CONFIG_HOME="+r.dir, "PATH="+r.path+string(filepath.ListSeparator)+os.Getenv("PATH"))
	return cmd
}

// here returns a text of a guide with free ports in place of the ones that it names.
func (r *reader) here(text string) string {
	return regexp.MustCompile(`127\.0\.0\.1(:|/tcp/)\d+`).ReplaceAllStringFunc(text, func(found string) string {
		i := strings.LastIndexAny(found, ":/") + 1
		return found[:i] + r.port(found[i:])
	})
}

// port returns the port that stands for one of a guide. What is free already, such as the
// port of the first node in ADDRESS, remains.
func (r *reader) port(named string) string {
	for _, free := range r.ports {
		if free == named {
			return named
		}
	}
	if r.ports[named] == "" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return named
		}
		defer l.Close()
		_, r.ports[named], _ = net.SplitHostPort(l.Addr().String())
	}
	return r.ports[named]
}

// start runs a node in a terminal of its own, until the test is over.
func (r *reader) start(t *testing.T, text string) {
	t.Helper()
	cmd := r.command(t.Context(), "exec "+text)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // the context of the test has ended by then
	line, err := bufio.NewReader(out).ReadBytes('\n')
	var hello struct{ Addrs []string }
	if err := errors.Join(err, json.Unmarshal(line, &hello)); err != nil || len(hello.Addrs) == 0 {
		t.Fatalf("%sprints %q: %v\n%s", text, line, err, &stderr)
	}
	if r.address == "" {
		r.address = hello.Addrs[0]
	}
}

// run runs commands to their end, again until they print what the guide says: a reader is
// slower than nodes that join.
func (r *reader) run(t *testing.T, b block) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var got []byte
	var err error
	for ctx.Err() == nil {
		var stderr bytes.Buffer
		cmd := r.command(ctx, b.text)
		cmd.Stderr = &stderr
		out, failed := cmd.Output()
		if failed == nil && (b.wants == "" || printed(r.here(b.wants)).Match(append(bytes.TrimRight(out, "\n"), '\n'))) {
			return
		}
		select { // a reader needs longer
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
		}
		if ctx.Err() == nil { // else it was interrupted
			got, err = append(out, stderr.Bytes()...), failed
		}
	}
	t.Errorf("%s%v, printed:\n%s\nwant:\n%s", b.text, err, got, b.wants)
}

// Each link of a document to another file of the module leads to one.
func TestLinks(t *testing.T) {
	count := 0
	for name, text := range documents(t) {
		text = regexp.MustCompile("(?s)```.*?```").ReplaceAllString(text, "")
		for _, m := range regexp.MustCompile(`\]\(([^):#]+)\)`).FindAllStringSubmatch(text, -1) {
			count++
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(name), filepath.FromSlash(m[1]))); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if count < 20 {
		t.Errorf("%d links; the documents have more", count)
	}
}

// The guide on tuning has each field of the Config once, and no other.
func TestTuning(t *testing.T) {
	text := documents(t)[filepath.FromSlash(guides+"/tuning.md")]
	table, _, _ := strings.Cut(text, "\n## ")
	var got, want []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(\\w+)`").FindAllStringSubmatch(table, -1) {
		got = append(got, m[1])
	}
	for f := range reflect.TypeFor[kad.Config]().Fields() {
		want = append(want, f.Name)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the guide has the fields\n%v, Config has\n%v", got, want)
	}
}

// What documents call a field of the Config is one. The changelog has earlier ones, too.
func TestFields(t *testing.T) {
	count := 0
	for name, text := range documents(t) {
		for _, m := range regexp.MustCompile("`Config\\.(\\w+)`").FindAllStringSubmatch(text, -1) {
			count++
			if _, ok := reflect.TypeFor[kad.Config]().FieldByName(m[1]); !ok && name != "CHANGELOG.md" {
				t.Errorf("%s: Config has no field %s", name, m[1])
			}
		}
	}
	if count < 20 {
		t.Errorf("%d fields; the documents name more", count)
	}
}

// The glossary has each word once, in the order of the alphabet.
func TestGlossary(t *testing.T) {
	text := documents(t)[filepath.FromSlash(guides+"/glossary.md")]
	var words []string
	for _, m := range regexp.MustCompile(`(?m)^\| ([^|]+?) \|`).FindAllStringSubmatch(text, -1) {
		words = append(words, strings.ToLower(m[1]))
	}
	words = words[min(1, len(words)):] // the head of the table
	if len(words) < 40 || !slices.IsSorted(words) || len(slices.Compact(slices.Clone(words))) != len(words) {
		t.Errorf("%d words, or they are in no order: %q", len(words), words)
	}
}

// The commands of kad that documents name are commands.
func TestSubcommands(t *testing.T) {
	help := exec.CommandContext(t.Context(), "go", "run", "./examples/kad", "--help")
	help.Dir = root
	known, err := help.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, known)
	}
	named := map[string]bool{}
	for name, text := range documents(t) {
		for _, m := range regexp.MustCompile("(?m)(?:`|^|^    )kad ([a-z][a-z-]*)").FindAllStringSubmatch(text, -1) {
			named[m[1]] = true
			if !regexp.MustCompile(`(?m)^  ` + m[1] + ` `).Match(known) {
				t.Errorf("%s: kad has no command %s", name, m[1])
			}
		}
	}
	if len(named) < 8 {
		t.Errorf("documents name %v", slices.Sorted(maps.Keys(named)))
	}
}
