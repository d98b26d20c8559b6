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

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	first := start(ctx, t, binary)
	addr := strings.TrimPrefix(first.line(t), "join me with ")
	id := addr[strings.LastIndex(addr, "/")+1:]
	second := start(ctx, t, binary, addr)
	second.line(t) // join me
	if found := second.line(t); !strings.Contains(found, id) {
		t.Errorf("the second program says %q, want that it found %s", found, id)
	}
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

// line returns the next line that the process prints. The context of start
// bounds the wait.
func (p process) line(t *testing.T) string {
	t.Helper()
	if !p.out.Scan() {
		t.Fatalf("the program ended: %v", p.out.Err())
	}
	return p.out.Text()
}
