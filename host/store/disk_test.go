package store_test

import (
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/host/store/storetest"
)

// open opens the store in dir, and closes it when the test ends.
func open(tb testing.TB, dir string, l store.Limits) *store.Disk {
	tb.Helper()
	d, err := store.Open(dir, l)
	if err != nil {
		tb.Fatalf("Open() = %v", err)
	}
	tb.Cleanup(func() {
		if err := d.Close(); err != nil {
			tb.Errorf("Close() = %v", err)
		}
	})
	return d
}

func TestDisk(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Store { return open(t, t.TempDir(), store.Limits{}) })
}

func TestDiskLimits(t *testing.T) {
	storetest.RunLimits(t, func(t *testing.T, l store.Limits) store.Store { return open(t, t.TempDir(), l) })
}

func TestDiskAgainstModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		testAgainstModel(rt, func(l store.Limits) store.Store { return open(t, t.TempDir(), l) })
	})
}

func TestDiskDurable(t *testing.T) {
	storetest.RunDurable(t, func(t *testing.T) func(store.Limits) store.Store {
		dir := filepath.Join(t.TempDir(), "made", "by Open")
		return func(l store.Limits) store.Store { return open(t, dir, l) }
	})
}
