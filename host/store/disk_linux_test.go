package store_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-kad/kad/host/store"
)

// fillUp puts values until one is refused because the disk is full, and checks
// that nothing is lost by it.
func fillUp(d *store.Disk) (n int, err error) {
	ctx := context.Background()
	put := func(i int) error {
		return d.UpdateValue(ctx, []byte(strconv.Itoa(i)), epoch, func(store.Value, bool) (store.Value, error) {
			return store.Value{Data: make([]byte, 50_000), Received: epoch, Expires: epoch.Add(time.Hour)}, nil
		})
	}
	for failed := 0; failed < 2 && n < 10_000; { // once is not enough: the pages that the last write freed may do for one more
		if err = put(n); err == nil {
			n++
			failed = 0
			continue
		}
		if !errors.Is(err, store.ErrNoSpace) || errors.Is(err, store.ErrFull) || n == 0 || !strings.Contains(err.Error(), "make space") {
			return n, fmt.Errorf("put %d = %w, want ErrNoSpace", n, err)
		}
		failed++
	}
	if err == nil {
		return n, fmt.Errorf("%d puts found space", n)
	}
	return n, checkFull(d, n)
}

// checkFull checks that d holds what fillUp has put.
func checkFull(d *store.Disk, n int) error {
	if v, _ := d.Len(); v != n {
		return fmt.Errorf("Len() = %d, want %d", v, n)
	}
	for i := range n {
		if v, err := d.Value(context.Background(), []byte(strconv.Itoa(i)), epoch); err != nil || len(v.Data) != 50_000 {
			return fmt.Errorf("Value(%d) = %d bytes, %w", i, len(v.Data), err)
		}
	}
	return nil
}

func TestDiskNoSpace(t *testing.T) {
	mnt := t.TempDir()
	if err := syscall.Mount("tmpfs", mnt, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("a small file system cannot be mounted: %v; TestDiskFileLimit tests the same", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(mnt, 0); err != nil {
			t.Errorf("Unmount() = %v", err)
		}
	})
	ballast := filepath.Join(mnt, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(mnt, "store")
	d := open(t, dir, store.Limits{})
	n, err := fillUp(d)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatalf("Close() = %v", err)
	}
	if _, err := store.Open(filepath.Join(mnt, "another"), store.Limits{}); !errors.Is(err, store.ErrNoSpace) {
		t.Errorf("Open() of a new store = %v, want ErrNoSpace", err)
	}
	d = open(t, dir, store.Limits{}) // a full disk does not keep it from being opened
	if err := checkFull(d, n); err != nil {
		t.Error(err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	set(t, d, "more", store.Value{Data: make([]byte, 50_000), Received: epoch})
	if removed, _, err := d.Expire(t.Context(), epoch.Add(time.Hour), 0); err != nil || removed != n {
		t.Errorf("Expire() = %d, %v; want %d", removed, err, n)
	}
}

// childFill fills a store whose file may have four megabytes.
func childFill(dir string, _ int) error {
	signal.Ignore(syscall.SIGXFSZ)
	limit := &syscall.Rlimit{Cur: 4 << 20, Max: 4 << 20}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, limit); err != nil {
		return err
	}
	fmt.Println("ready")
	d, err := store.Open(dir, store.Limits{})
	if err != nil {
		return err
	}
	n, err := fillUp(d)
	if err != nil {
		return err
	}
	if err := d.Close(); err != nil {
		return err
	}
	if d, err = store.Open(dir, store.Limits{}); err != nil {
		return err
	}
	return errors.Join(checkFull(d, n), d.Close())
}

func TestDiskFileLimit(t *testing.T) {
	if err := start(t, "fill", t.TempDir(), 0).Wait(); err != nil {
		t.Errorf("the child says: %v", err)
	}
}

func TestOpenNotWritable(t *testing.T) {
	dir := filled(t, 3)
	empty := t.TempDir()
	if err := errors.Join(os.Chmod(dir, 0o500), os.Chmod(filepath.Join(dir, "records.db"), 0o400), os.Chmod(empty, 0o500)); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		// Root may write anywhere; as nobody, this thread may not.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		for _, path := range []string{dir, filepath.Join(dir, "records.db"), empty} {
			if err := os.Chown(path, 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(filepath.Dir(empty), 0o755)); err != nil {
			t.Fatal(err)
		}
		if err := syscall.Setfsuid(65534); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = syscall.Setfsuid(0) }()
	}
	wantNoOpen(t, dir, fs.ErrPermission, "denied")
	wantNoOpen(t, empty, fs.ErrPermission, "denied")
	if _, err := store.Open(filepath.Join(empty, "new"), store.Limits{}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("Open() in a directory that is not writable = %v", err)
	}
}
