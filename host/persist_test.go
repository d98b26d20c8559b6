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
	connect(t, d, other)
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

// The contacts are written while the node runs, too, and those of the last time
// stay when there are none now. A file that cannot be read is no obstacle.
func TestContactsAreKept(t *testing.T) { synctest.Test(t, testContactsAreKept) }

func testContactsAreKept(t *testing.T) {
	n := newTestNet(t)
	cfg := Config{Dir: t.TempDir()}
	d, other := n.node(cfg), n.node(Config{})
	connect(t, d, other)
	time.Sleep(2 * settleAfter)
	path := filepath.Join(cfg.Dir, contactsFile)
	kept, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(kept), other.self.String()) {
		t.Fatalf("kept %q, %v", kept, err)
	}

	n.cut(other.host)
	time.Sleep(time.Hour)
	if d.peers.isLive() {
		t.Fatal("it has not noticed")
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if still, err := os.ReadFile(path); err != nil || !strings.Contains(string(still), other.self.String()) {
		t.Errorf("kept %q, %v after an outage", still, err)
	}

	if err := os.WriteFile(path, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	n.attach(d.host, cfg)
	if got := restoreContacts(cfg.Dir); got != nil {
		t.Errorf("restored %v from a damaged file", got)
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

// A node that had many contacts is ready two round trips after it has started, a dial
// and a probe, without a bootstrap peer; and it has most of them soon, though a
// fifth is gone.
func TestRestart(t *testing.T) { synctest.Test(t, testRestart) }

func testRestart(t *testing.T) {
	n := newMemNet(t, link)
	others := n.nodes(fewer(220), Config{})
	cfg := Config{Dir: t.TempDir()}
	first := n.join(cfg)
	time.Sleep(time.Minute)
	kept := first.peers.stats().Contacts
	n.kill(first)
	n.silent.Store(true)
	for _, d := range others[:len(others)/5] {
		n.kill(d)
	}

	if got := len(restoreContacts(cfg.Dir)); kept < len(others)/4 || got != kept {
		t.Fatalf("%d contacts are restored, of %d", got, kept)
	}
	start := time.Now()
	again := n.node(cfg)
	if err := again.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	if spent := time.Since(start); spent > 2*2*link {
		t.Errorf("ready after %v, want two round trips of %v", spent, 2*link)
	}
	time.Sleep(time.Second)
	if got := again.peers.stats().Contacts; got < kept/2 {
		t.Errorf("%d contacts of %d", got, kept)
	}
}
