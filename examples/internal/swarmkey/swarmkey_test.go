package swarmkey

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A key that was made can be read, and no two are the same; anything else is an error that
// says what a key is.
func TestRead(t *testing.T) {
	dir := t.TempDir()
	read := func(text string) (string, error) {
		file := filepath.Join(dir, "swarm.key")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		key, err := Read(file)
		return string(key), err
	}
	one, err := read(New())
	other, err2 := read("\n" + New() + "\n")
	if err != nil || err2 != nil || len(one) != 32 || len(other) != 32 || one == other {
		t.Errorf("%q, %v and %q, %v; want two keys", one, err, other, err2)
	}
	for name, text := range map[string]string{
		"empty": "", "other": "hello", "short": "/key/swarm/psk/1.0.0/\n/base16/\nabcd\n",
		"no digits": "/key/swarm/psk/1.0.0/\n/base16/\n" + strings.Repeat("x", 64),
		"long":      New() + strings.Repeat(" ", 1<<20),
	} {
		if key, err := read(text); err == nil || !strings.Contains(err.Error(), "64 hexadecimal digits") {
			t.Errorf("%s: %q, %v", name, key, err)
		}
	}
	if _, err := Read(filepath.Join(dir, "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that there is not: %v", err)
	}
}

// Addresses without TCP cannot have a key.
func TestRefuse(t *testing.T) {
	good, bad := multiaddr.StringCast("/ip4/0.0.0.0/tcp/1/ws"), multiaddr.StringCast("/ip4/0.0.0.0/udp/1/quic-v1")
	if err := Refuse("--listen", []multiaddr.Multiaddr{good}); err != nil {
		t.Error(err)
	}
	if err := Refuse("--listen", []multiaddr.Multiaddr{good, bad}); err == nil || !strings.Contains(err.Error(), "--listen: \""+bad.String()) {
		t.Errorf("%v does not name the flag and the address", err)
	}
}
