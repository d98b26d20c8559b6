package store_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/go-kad/kad/host/store"
)

// childHold holds a store until its standard input ends.
func childHold(dir string, _ int) error {
	d, err := store.Open(dir, store.Limits{})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	return d.Close()
}

// wantNoOpen checks that dir cannot be opened, that the error says why and names
// the directory, and that nothing in it has changed.
func wantNoOpen(t *testing.T, dir string, want error, says string) {
	t.Helper()
	before := contents(t, dir)
	d, err := store.Open(dir, store.Limits{})
	if err == nil {
		_ = d.Close()
	}
	if !errors.Is(err, want) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), says) {
		t.Errorf("Open() = %v, want %v that names %s and says %q", err, want, dir, says)
	}
	t.Log(err)
	if after := contents(t, dir); after != before {
		t.Errorf("Open() has changed the directory")
	}
}

// contents returns what is in a directory: the names, and the hashes of the files.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s %x\n", path, sha256.Sum256(data))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// filled returns the directory of a closed store that holds n values and as many
// announcements.
func filled(t *testing.T, n int) string {
	t.Helper()
	dir := t.TempDir()
	d, err := store.Open(dir, store.Limits{})
	if err != nil {
		t.Fatalf("Open() = %v", err)
	}
	const together = 32 // are on the disk at once
	var wg sync.WaitGroup
	for w := range together {
		wg.Go(func() {
			for i := w; i < n; i += together {
				key := []byte(strconv.Itoa(i))
				err := d.UpdateValue(t.Context(), key, epoch, func(store.Value, bool) (store.Value, error) {
					return store.Value{Data: make([]byte, 300), Received: epoch}, nil
				})
				p := store.Provider{ID: "ann", Received: epoch, Expires: epoch.Add(time.Duration(i) * time.Second)}
				if err := errors.Join(err, d.AddProvider(t.Context(), key, p)); err != nil {
					t.Errorf("UpdateValue(), AddProvider() = %v", err)
				}
			}
		})
	}
	wg.Wait()
	if err := d.Close(); err != nil {
		t.Fatalf("Close() = %v", err)
	}
	return dir
}

func TestOpenLocked(t *testing.T) {
	dir := filled(t, 3)
	c := start(t, "hold", dir, 0)
	wantNoOpen(t, dir, store.ErrLocked, "use another directory")
	if err := errors.Join(c.stdin.Close(), c.Wait()); err != nil {
		t.Errorf("the other process: %v", err)
	}
	d := open(t, dir, store.Limits{})
	if v, p := d.Len(); v != 3 || p != 3 {
		t.Errorf("Len() = %d, %d afterwards", v, p)
	}
	wantNoOpen(t, dir, store.ErrLocked, "use another directory") // nor twice in one process
}

func TestOpenForeign(t *testing.T) {
	t.Run("other files", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), []byte("do not lose"), 0o600); err != nil {
			t.Fatal(err)
		}
		wantNoOpen(t, dir, store.ErrForeign, "thesis.txt")
	})
	t.Run("file of another program", func(t *testing.T) {
		dir := t.TempDir()
		db, err := bbolt.Open(filepath.Join(dir, "records.db"), 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		wantNoOpen(t, dir, store.ErrForeign, "another program")
	})
	for name, format := range map[string]byte{"older format": 1, "newer format": 3} {
		t.Run(name, func(t *testing.T) {
			dir := filled(t, 1)
			db, err := bbolt.Open(filepath.Join(dir, "records.db"), 0o600, nil)
			if err != nil {
				t.Fatal(err)
			}
			err = db.Update(func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("format"), []byte{format}) })
			if err := errors.Join(err, db.Close()); err != nil {
				t.Fatal(err)
			}
			wantNoOpen(t, dir, store.ErrForeign, fmt.Sprintf("format %d", format))
		})
	}
	t.Run("directory in the place of the file", func(t *testing.T) {
		dir := t.TempDir()
		if err := os.Mkdir(filepath.Join(dir, "records.db"), 0o700); err != nil {
			t.Fatal(err)
		}
		wantNoOpen(t, dir, store.ErrForeign, "not a file")
	})
	t.Run("file in the place of the directory", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(path, []byte("do not lose"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := store.Open(path, store.Limits{}); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("Open() = %v, want an error that names %s", err, path)
		}
	})
}

func TestOpenCorrupt(t *testing.T) {
	for name, damage := range map[string]func(b []byte) []byte{
		"text":          func([]byte) []byte { return []byte(strings.Repeat("not a store\n", 10_000)) },
		"empty":         func([]byte) []byte { return nil },
		"a few bytes":   func(b []byte) []byte { return b[:100] },
		"cut off":       func(b []byte) []byte { return b[:64<<10] },
		"zeros":         func(b []byte) []byte { return make([]byte, len(b)) },
		"first 16 KiB":  func(b []byte) []byte { return append(make([]byte, 16<<10), b[16<<10:]...) },
		"a single page": func(b []byte) []byte { return b[:os.Getpagesize()] },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filled(t, 300)
			path := filepath.Join(dir, "records.db")
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			wantNoOpen(t, dir, store.ErrCorrupt, "move it away")
		})
	}
}

// Whatever page is damaged, nothing worse happens than [store.ErrCorrupt], or an
// entry that is not found: no panic, no endless wait, nothing that was not put in. Pages are
// damaged in three ways by turns.
func TestDiskDamagedPages(t *testing.T) {
	dir := filled(t, 300)
	path := filepath.Join(dir, "records.db")
	intact, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	size := os.Getpagesize()
	for page := 2; page*size < len(intact); page++ {
		if strings.Trim(string(intact[page*size:(page+1)*size]), "\x00") == "" {
			continue // never used
		}
		fill := []byte{0, 0xff, 0x5a}[page%3]
		b := []byte(string(intact))
		for i := range size - 16 { // the page keeps its header, or not
			if fill == 0x5a {
				b[page*size+16+i] = fill
			} else {
				b[page*size+i] = fill
			}
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		useDamaged(t, dir, fmt.Sprintf("page %d, %#x", page, fill))
	}
}

// useDamaged uses a store that may be damaged anywhere.
func useDamaged(t *testing.T, dir, what string) {
	t.Helper()
	d, err := store.Open(dir, store.Limits{})
	if err != nil {
		if !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrForeign) {
			t.Errorf("%s: Open() = %v", what, err)
		}
		return
	}
	check := func(method string, err error) {
		if err != nil && !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %s = %v", what, method, err)
		}
	}
	for i := range 300 {
		key := []byte(strconv.Itoa(i))
		v, err := d.Value(t.Context(), key, epoch)
		if check("Value()", err); err == nil && len(v.Data) != 300 {
			t.Errorf("%s: Value() has %d bytes", what, len(v.Data))
		}
		_, err = d.Providers(t.Context(), key, epoch, 0)
		check("Providers()", err)
	}
	_, err = d.Values(t.Context(), epoch, nil, 0)
	check("Values()", err)
	_, err = d.ProviderKeys(t.Context(), epoch, nil, 0)
	check("ProviderKeys()", err)
	check("UpdateValue()", d.UpdateValue(t.Context(), []byte("7"), epoch, func(store.Value, bool) (store.Value, error) {
		return store.Value{Data: make([]byte, 300), Received: epoch}, nil
	}))
	check("AddProvider()", d.AddProvider(t.Context(), []byte("7"), store.Provider{ID: "bob", Received: epoch}))
	_, _, err = d.Expire(t.Context(), epoch.Add(100*time.Second), 0)
	check("Expire()", err)
	if err := d.Close(); err != nil {
		t.Errorf("%s: Close() = %v", what, err)
	}
}

// A process that was killed while it created the store leaves a file behind.
func TestOpenUnfinished(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "records.db.new123"), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, dir, store.Limits{})
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || entries[0].Name() != "records.db" {
		t.Errorf("ReadDir() = %v, %v; want the store alone", entries, err)
	}
}
