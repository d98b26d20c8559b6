package host

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	lrouting "github.com/libp2p/go-libp2p/core/routing"

	"github.com/go-kad/kad/host/store"
)

// What a node with a directory held when it was closed, it holds again, and it
// finds its way back through the contacts it had, without a bootstrap peer.
func TestDir(t *testing.T) { synctest.Test(t, testDir) }

func testDir(t *testing.T) {
	n := newTestNet(t)
	cfg := Config{Dir: filepath.Join(t.TempDir(), "new", "dir")}
	d, other := n.node(cfg), n.node(Config{})
	link(t, d, other)
	time.Sleep(time.Second)
	if err := d.PutValue(t.Context(), "/v/key", []byte("1")); err != nil {
		t.Fatal(err)
	}
	if _, err := New(n.host(), testConfig(cfg)); !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), "Config.Dir") {
		t.Errorf("a second node on the directory: %v", err)
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(cfg.Dir, cfg.Dir+".moved"); err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Errorf("Close() once more: %v", err)
	}
	if err := os.Rename(cfg.Dir+".moved", cfg.Dir); err != nil {
		t.Fatal(err)
	}
	n.cut(d.host)
	n.mend(d.host)

	again := n.attach(d.host, cfg)
	if got, err := again.GetValue(t.Context(), "/v/key", lrouting.Offline); err != nil || string(got) != "1" {
		t.Errorf("it holds %q, %v", got, err)
	}
	if err := again.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if !knows(again, other.host) {
		t.Error("it has not found its contact again")
	}
}

// A directory that cannot be one is refused at once.
func TestDirInvalid(t *testing.T) { synctest.Test(t, testDirInvalid) }

func testDirInvalid(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	n := newTestNet(t)
	for _, dir := range []string{file, filepath.Join(file, "below")} {
		if d, err := New(n.host(), testConfig(Config{Dir: dir})); err == nil {
			_ = d.Close()
			t.Errorf("New() with Dir %q succeeds", dir)
		} else if !strings.Contains(err.Error(), "Config.Dir") {
			t.Errorf("error %q does not name Config.Dir", err)
		}
	}
}
