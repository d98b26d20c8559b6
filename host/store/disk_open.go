package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

const (
	// fileName is the file of a store in its directory.
	fileName = "records.db"

	// newPrefix is what files begin with that are not complete.
	newPrefix = fileName + ".new"

	// lockWait is how long opening waits for another process to let go of the
	// directory: one that is just being closed.
	lockWait = 500 * time.Millisecond
)

// Open opens the store in a directory, which belongs to it alone. The directory
// is made if it does not exist. Zero [Limits] are right for a
// node of a public network.
//
// The error is [ErrLocked] if another process has the directory open,
// [ErrForeign] if it holds something else, or a newer format, [ErrCorrupt] if
// the file is damaged, [ErrNoSpace] if the disk is full, and else that of the
// system: [fs.ErrPermission] for instance. In each case nothing in the
// directory is changed.
func Open(dir string, l Limits) (*Disk, error) {
	d := &Disk{dir: dir, limits: l.onDisk()}
	d.values, d.providers = d.limits.tallies()
	path := filepath.Join(dir, fileName)
	if err := create(dir, path); err != nil {
		return nil, explain(dir, err)
	}
	err := inspect(path)
	if err == nil {
		_, err = guard(func() error { return d.open(path) })
	}
	if err != nil {
		if d.file != nil {
			_ = abandon(d.file) // closed already, unless the engine panicked
		}
		return nil, explain(dir, translate(err))
	}
	removeNew(dir)
	return d, nil
}

// create makes the file if there is none. It appears complete: whatever happens
// before leaves nothing but a file with another name.
func create(dir, path string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), newPrefix) {
			return fmt.Errorf("%w: there is no %s, but %s; give the store a directory of its own", ErrForeign, fileName, e.Name())
		}
	}
	f, err := os.CreateTemp(dir, newPrefix)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if err := f.Close(); err != nil {
		return err
	}
	if err := initialise(f.Name()); err != nil {
		return err
	}
	// Another process may be doing the same: the first one wins. A file system
	// without links has to do without that.
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		if err := os.Rename(f.Name(), path); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

// initialise writes an empty store to a file.
func initialise(path string) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait})
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketValues(), bucketProviders(), bucketExpiry(), bucketPublished()} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		meta, err := tx.CreateBucket(bucketMeta())
		if err != nil {
			return err
		}
		return errors.Join(
			meta.Put([]byte("format"), binary.AppendUvarint(nil, format)),
			meta.Put([]byte("values"), (&tally{}).marshal()),
			meta.Put([]byte("providers"), (&tally{}).marshal()))
	})
	return errors.Join(err, db.Close())
}

// inspect looks at a file without writing to it.
func inspect(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%w: %s is not a file", ErrForeign, fileName)
	}
	if info.Size() < 2*int64(os.Getpagesize()) { // the engine would take an empty one for a new one
		return fmt.Errorf("%w: %s was cut off, it has %d bytes", ErrCorrupt, fileName, info.Size())
	}
	db, err := bbolt.Open(path, 0, &bbolt.Options{ReadOnly: true, Timeout: lockWait})
	if err != nil {
		return err
	}
	_, err = guard(func() error { return db.View(func(tx *bbolt.Tx) error { return inspectTx(tx, info.Size()) }) })
	return errors.Join(err, db.Close())
}

// inspectTx looks at what is in a file of a size.
func inspectTx(tx *bbolt.Tx, size int64) error {
	if tx.Size() > size {
		return fmt.Errorf("%w: %s has %d bytes, and should have %d at least", ErrCorrupt, fileName, size, tx.Size())
	}
	meta := tx.Bucket(bucketMeta())
	if meta == nil {
		return fmt.Errorf("%w: %s belongs to another program", ErrForeign, fileName)
	}
	switch version, n := binary.Uvarint(meta.Get([]byte("format"))); {
	case n <= 0:
		return fmt.Errorf("%w: %s belongs to another program", ErrForeign, fileName)
	case version != format:
		return fmt.Errorf("%w: format %d, this version knows %d; use the version that wrote it, or another directory",
			ErrForeign, version, format)
	}
	for _, name := range [][]byte{bucketValues(), bucketProviders(), bucketExpiry(), bucketPublished()} {
		if tx.Bucket(name) == nil {
			return fmt.Errorf("%w: %s has no %s", ErrCorrupt, fileName, name)
		}
	}
	return nil
}

// open opens the file for good.
func (d *Disk) open(path string) (err error) {
	d.db, err = bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:      lockWait,
		FreelistType: bbolt.FreelistMapType, // the other one is slow once much has expired
		NoStatistics: true,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag&^os.O_CREATE, mode) //nolint:gosec // the name is ours
			d.file = f
			return f, err
		},
	})
	if err != nil {
		return err
	}
	err = d.db.View(func(tx *bbolt.Tx) error {
		meta := tx.Bucket(bucketMeta())
		return errors.Join(d.values.unmarshal(meta.Get([]byte("values"))), d.providers.unmarshal(meta.Get([]byte("providers"))))
	})
	if err != nil {
		return errors.Join(err, d.db.Close())
	}
	return nil
}

// translate returns an error of the engine as one of ours, as far as there is one.
func translate(err error) error {
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return fmt.Errorf("%w: stop that one, or use another directory", ErrLocked)
	case errors.Is(err, ErrCorrupt), errors.Is(err, ErrForeign), errors.Is(err, fs.ErrPermission), errors.Is(err, fs.ErrNotExist):
		return err
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return err
	}
	for _, damaged := range []error{berrors.ErrInvalid, berrors.ErrChecksum, berrors.ErrVersionMismatch} {
		if errors.Is(err, damaged) {
			return fmt.Errorf("%w: %s: %w", ErrCorrupt, fileName, err)
		}
	}
	return err
}

// removeNew removes what processes left that were killed while they created the
// store.
func removeNew(dir string) {
	left, err := filepath.Glob(filepath.Join(dir, newPrefix+"*"))
	if err != nil {
		return
	}
	for _, name := range left {
		_ = os.Remove(name)
	}
}

// syncDir makes a new name in a directory durable, where that is possible.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(dir) //nolint:gosec // the caller's own
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
