package interop_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Programs that use go-libp2p-kad-dht do the same with host/compat, when their import is
// another one.
func TestMigrate(t *testing.T) {
	if testing.Short() {
		t.Skip("builds programs")
	}
	const theirImport, ourImport = `"github.com/libp2p/go-libp2p-kad-dht"`, `"github.com/go-kad/kad/host/compat"`
	dir := filepath.Join("testdata", "programs")
	source, err := os.ReadFile(filepath.Join(dir, "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	tmp := t.TempDir()
	changed := bytes.Replace(source, []byte(theirImport), []byte(ourImport), 1)
	if bytes.Equal(changed, source) {
		t.Fatalf("the programs do not import %s", theirImport)
	}
	migrated := filepath.Join(tmp, "main.go")
	if err := os.WriteFile(migrated, changed, 0o600); err != nil {
		t.Fatal(err)
	}
	original, err := filepath.Abs(filepath.Join(dir, "main.go"))
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{original: migrated}})
	if err != nil {
		t.Fatal(err)
	}
	overlayFile := filepath.Join(tmp, "overlay.json")
	if err := os.WriteFile(overlayFile, overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	before := outputOf(t, tmp, "before", "./"+dir)
	after := outputOf(t, tmp, "after", "-overlay", overlayFile, "./"+dir)
	if before != after || strings.Count(before, "done") != 5 {
		t.Errorf("with go-libp2p-kad-dht:\n%s\nwith host/compat:\n%s", before, after)
	}
}

// outputOf builds a program, runs it, and returns what it prints.
func outputOf(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	program := filepath.Join(dir, name)
	if out, err := exec.CommandContext(t.Context(), "go", append([]string{"build", "-o", program}, args...)...).CombinedOutput(); err != nil {
		t.Fatalf("go build %v: %v\n%s", args, err, out)
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", name, err, out, &stderr)
	}
	return string(out)
}
