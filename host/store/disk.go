package store

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// A Disk is a [Store] in a directory of its own. What a method has accepted is on
// the disk when it returns, whatever ends the process or the machine afterwards;
// opening it again needs no repair.
//
// Readers do not wait. Writes that are requested while a write is under way are
// written together, with one synchronisation of the disk. A write that has begun
// is not cut short by its context.
//
// When the disk is full, writes return [ErrNoSpace], and work again once there is
// space; until then sweeps may fail too. The file does not shrink when entries go:
// the space is used again.
//
// A damaged entry is [ErrCorrupt] to Value, and passed over by Providers and by
// iterations; the next write of its key replaces it. If the file itself is
// damaged so that a write cannot be done, that and all later calls return
// ErrCorrupt.
type Disk struct {
	dir    string
	limits Limits
	db     *bbolt.DB
	file   *os.File // of db

	queue struct {
		sync.Mutex
		writes []*write // the ones that no writer has taken yet
	}
	writing sync.Mutex // held by the one that writes what is queued

	mu                sync.RWMutex
	closed            bool
	failed            error // the file broke in the midst of a write
	values, providers tally // of what is committed
}

var _ Store = (*Disk)(nil)

const (
	// maxTogether is how many writes are committed together, because all wait for
	// the last of them.
	maxTogether = 256

	// sweepBatch is how many entries a sweep removes in one commit, because writers
	// wait for it. Each is three pages to be written in a store of a million.
	sweepBatch = 8

	// sweepRest is how long a sweep rests at most after a commit, so that writers
	// that come meanwhile take its next part along.
	sweepRest = 8 * time.Millisecond

	// chunkRows is how many rows a reader visits at once, because a file that
	// grows waits for readers.
	chunkRows = 512

	// maxRowKey is how many bytes key and peer ID of an entry have, because the
	// engine has a limit of 32 KiB on what is a key to it.
	maxRowKey = 32_000
)

// Close implements [Store].
func (d *Disk) Close() error {
	d.mu.Lock()
	closed, failed := d.closed, d.failed
	d.closed = true
	d.mu.Unlock()
	if closed {
		return nil
	}
	if failed != nil {
		return abandon(d.file) // the engine may hold its locks
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	return d.db.Close()
}

// Len implements [Store].
func (d *Disk) Len() (values, providers int) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return 0, 0
	}
	return d.values.entries, d.providers.entries
}

// Filled implements [Gauge].
func (d *Disk) Filled(kind Kind) float64 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return filled(kind, &d.values, &d.providers)
}

// usable returns the cause of ctx if that has ended, and else why d cannot be
// used, if so.
func (d *Disk) usable(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return d.state()
}

// state returns why d cannot be used, if so.
func (d *Disk) state() error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.closed {
		return ErrClosed
	}
	return d.failed
}

// view lets read look at what is committed. What it finds is not valid
// afterwards: it has to be copied.
func (d *Disk) view(ctx context.Context, read func(tx *bbolt.Tx) error) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	_, err := guard(func() error { return d.db.View(read) })
	return d.explain(err)
}

// A write is a change that waits to be written, with others.
type write struct {
	apply func(b *batch) error
	done  bool
	err   error
	took  time.Duration // the commit
}

// write changes the store by what apply does to a batch, and returns once that is
// on the disk. If apply returns an error, it must not have changed anything but
// dropped what has expired.
func (d *Disk) write(ctx context.Context, apply func(b *batch) error) error {
	w := &write{apply: apply}
	if err := d.enqueue(ctx, w); err != nil {
		return err
	}
	return d.await(w)
}

// enqueue lets the next one that writes write w too.
func (d *Disk) enqueue(ctx context.Context, w *write) error {
	if err := d.usable(ctx); err != nil {
		return err
	}
	d.queue.Lock()
	defer d.queue.Unlock()
	d.queue.writes = append(d.queue.writes, w)
	return nil
}

// await returns once w is written, if need be by writing what is queued.
func (d *Disk) await(w *write) error {
	d.writing.Lock()
	defer d.writing.Unlock()
	for !w.done { // else somebody before us has written it
		d.queue.Lock()
		n := min(len(d.queue.writes), maxTogether)
		writes := d.queue.writes[:n:n]
		d.queue.writes = d.queue.writes[n:]
		d.queue.Unlock()
		d.commit(writes)
	}
	return w.err
}

// commit writes writes together.
func (d *Disk) commit(writes []*write) {
	start := time.Now()
	b := batch{limits: d.limits, valueTally: d.values, provTally: d.providers} // nobody else changes them
	err := d.state()
	if err == nil {
		var broken bool
		broken, err = guard(func() error {
			return d.db.Update(func(tx *bbolt.Tx) error { return b.apply(tx, writes) })
		})
		if errors.Is(err, errUnchanged) {
			err = nil
		}
		if err = d.explain(err); broken {
			d.mu.Lock()
			d.failed = err
			d.mu.Unlock()
		}
	}
	if err == nil {
		d.mu.Lock()
		d.values, d.providers = b.valueTally, b.provTally
		d.mu.Unlock()
	}
	took := time.Since(start)
	for _, w := range writes {
		if w.done, w.took = true, took; err != nil {
			w.err = err
		}
	}
}

// guard calls f. The engine trusts its file: if it is damaged, or gone from under
// it, that shows as a panic or a fault. Guard returns it as [ErrCorrupt], and
// says that it was one.
func guard(f func() error) (broken bool, err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			broken, err = true, fmt.Errorf("%w: %v", ErrCorrupt, p)
		}
	}()
	return false, f()
}

// explain returns err as one that says what can be done.
func (d *Disk) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, berrors.ErrDatabaseNotOpen):
		return ErrClosed
	default:
		return explain(d.dir, err)
	}
}

func explain(dir string, err error) error {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		if errors.Is(err, full) || strings.Contains(err.Error(), full.Error()) { // the engine does not wrap all
			return fmt.Errorf("%w: %s: %w; make space, nothing stored is lost", ErrNoSpace, dir, err)
		}
	}
	switch {
	case errors.Is(err, ErrCorrupt):
		return fmt.Errorf("%w (%s: move it away, and start with an empty one or a copy)", err, dir)
	case errors.Is(err, ErrLocked), errors.Is(err, ErrForeign):
		return fmt.Errorf("%w (%s)", err, dir)
	}
	return fmt.Errorf("kad: store: %s: %w", dir, err)
}
