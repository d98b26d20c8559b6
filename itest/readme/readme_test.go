// Package readme_test holds the README to what it says.
package readme_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	kad "github.com/go-kad/kad/host"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// root is the folder of the module.
const root = "../.."

// The program of the README compiles, and does what the README says: two
// processes of it find each other.
func TestProgram(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	program := regexp.MustCompile("(?s)```go\n(package main.*?)```").FindSubmatch(text)
	if program == nil {
		t.Fatal("the README has no program")
	}
	dir := t.TempDir()
	source, binary := filepath.Join(dir, "main.go"), filepath.Join(dir, "program")
	if runtime.GOOS == "windows" {
		binary += ".exe"
	}
	if err := os.WriteFile(source, program[1], 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", binary, source)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	first := start(ctx, t, binary)
	addr := first.after(t, "join me with ")
	id := addr[strings.LastIndex(addr, "/")+1:]
	// The reader opens the second terminal late: what waits for a peer has given up by then.
	first.after(t, kad.GroupFails.String())
	second := start(ctx, t, binary, addr)
	second.after(t, kad.PeerConnected.String()+" "+id)
	first.after(t, kad.PeerConnected.String()+" ")
}

// A process is the program, running.
type process struct{ out *bufio.Scanner }

func start(ctx context.Context, t *testing.T, binary string, args ...string) process {
	t.Helper()
	cmd := exec.CommandContext(ctx, binary, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return process{bufio.NewScanner(out)}
}

// after returns the rest of the next line that begins with a text. The context of start
// bounds the wait.
func (p process) after(t *testing.T, text string) string {
	t.Helper()
	for p.out.Scan() {
		if rest, ok := strings.CutPrefix(p.out.Text(), text); ok {
			return rest
		}
	}
	t.Fatalf("no line begins with %q: %v", text, p.out.Err())
	return ""
}
