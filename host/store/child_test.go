package store_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"go.uber.org/goleak"
)

// childMode is the environment variable that makes the test binary do one thing
// for a test that needs another process. Its first argument is a directory.
const childMode = "KAD_STORE_TEST_CHILD"

func TestMain(m *testing.M) {
	modes := map[string]func(dir string, from int) error{"write": childWrite, "hold": childHold, "fill": childFill}
	if f := modes[os.Getenv(childMode)]; f != nil {
		from, _ := strconv.Atoi(os.Args[2])
		if err := f(os.Args[1], from); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// A child is another process of this binary.
type child struct {
	*exec.Cmd
	lines *bufio.Reader // what it prints
	stdin io.Closer
}

// start starts a child, and returns when it has printed "ready".
func start(t *testing.T, mode, dir string, from int) *child {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{Cmd: exec.CommandContext(t.Context(), self, dir, strconv.Itoa(from))}
	c.Env = append(os.Environ(), childMode+"="+mode)
	c.Stderr = os.Stderr
	if c.stdin, err = c.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.lines = bufio.NewReader(out)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := c.lines.ReadString('\n'); line != "ready\n" {
		t.Fatalf("the child printed %q, %v", line, err)
	}
	return c
}
