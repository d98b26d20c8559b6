package node

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The identity is made once, and read back afterwards; what is no key is not
// overwritten.
func TestIdentity(t *testing.T) {
	s := settings{data: filepath.Join(t.TempDir(), "new", "dir")}
	if err := openData(&s); err != nil {
		t.Fatal(err)
	}
	again := settings{data: s.data}
	if err := openData(&again); err != nil {
		t.Fatal(err)
	}
	if !s.key.Equals(again.key) || again.dht.Dir == "" {
		t.Error("the identity is another one")
	}
	path := filepath.Join(s.data, identityFile)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
		t.Errorf("the key is for others to read: %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := openData(&again); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v, want one that names the file", err)
	}
	if left, err := os.ReadFile(path); err != nil || string(left) != "no key" {
		t.Errorf("the file is %q, %v now", left, err)
	}
}
