// Package program builds the programs of the module for tests that run them.
package program

import (
	"os/exec"
	"path"
	"path/filepath"
	"testing"
)

// Build builds a program, such as "./examples/node", and returns its path. It is to be called
// by a test of a package that lies two folders below that of the module.
func Build(t *testing.T, source string) string {
	t.Helper()
	built := filepath.Join(t.TempDir(), path.Base(source))
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", built, source) //nolint:gosec // a program of the module
	cmd.Dir = filepath.Join("..", "..")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return built
}
