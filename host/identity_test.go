package host

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/crypto"
)

// An identity is made once, also by several at the same time, and read from then on. Its file
// is for its owner alone, and nothing else is left beside it.
func TestLoadIdentity(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "deeper")
	file := filepath.Join(dir, "identity.key")
	keys := make([]crypto.PrivKey, 8)
	var all sync.WaitGroup
	for i := range keys {
		all.Go(func() {
			var err error
			if keys[i], err = LoadIdentity(file); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	again, err := LoadIdentity(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		if key == nil || !key.Equals(again) {
			t.Error("there are several identities of one file")
		}
	}
	if runtime.GOOS != "windows" {
		for path, want := range map[string]os.FileMode{file: 0o600, dir: 0o700} {
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
				t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, want)
			}
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%v, %v is in the directory, want the file alone", left, err)
	}
}

// A file that is no key, and one that cannot be made, are errors that name it; the file stays
// as it is.
func TestLoadIdentityFails(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{bad, filepath.Join(bad, "below"), dir} {
		if _, err := LoadIdentity(file); err == nil || !strings.Contains(err.Error(), bad) && !strings.Contains(err.Error(), dir) {
			t.Errorf("LoadIdentity(%s): %v", file, err)
		}
	}
	if data, err := os.ReadFile(bad); err != nil || string(data) != "no key" {
		t.Errorf("%q, %v", data, err)
	}
}
