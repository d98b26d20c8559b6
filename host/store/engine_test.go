package store_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"go.etcd.io/bbolt"
)

// An engine holds announcements as a durable store would: a row by key and
// provider, and a row in an index by expiry.
type engine interface {
	put(from, n int) error // n announcements, durable on return
	get(key []byte) (rows int, err error)
	sweep(n int) error
	close() error
}

// fillBatch is how many announcements are committed at once before measuring.
const fillBatch = 500

// row is the i-th announcement, scattered over the key space, and its place in
// the index.
func row(i int) (key, value, index []byte) {
	key = binary.BigEndian.AppendUint64([]byte("p"), uint64(i)*0x9e3779b97f4a7c15)
	key = append(key, "0123456789012345678901234567890123456789012345678901234567890123"...) // rest of the key, and the peer ID
	index = append(binary.BigEndian.AppendUint64([]byte("x"), uint64(i)), key...)
	return key, make([]byte, 120), index
}

// A boltEngine commits what is waiting at once.
type boltEngine struct {
	db    *bbolt.DB
	queue struct {
		sync.Mutex
		ops []*boltOp
	}
	writing sync.Mutex
}

type boltOp struct {
	from, n int
	done    bool
	err     error
}

func openBolt(dir string) (engine, error) {
	db, err := bbolt.Open(filepath.Join(dir, "db"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType, NoStatistics: true})
	if err != nil {
		return nil, err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		for _, name := range []string{"p", "x"} {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		return nil
	})
	return &boltEngine{db: db}, err
}

func (e *boltEngine) put(from, n int) error {
	op := &boltOp{from: from, n: n}
	e.queue.Lock()
	e.queue.ops = append(e.queue.ops, op)
	e.queue.Unlock()
	e.writing.Lock()
	defer e.writing.Unlock()
	if op.done {
		return op.err
	}
	e.queue.Lock()
	ops := e.queue.ops
	e.queue.ops = nil
	e.queue.Unlock()
	err := e.db.Update(func(tx *bbolt.Tx) error {
		rows, index := tx.Bucket([]byte("p")), tx.Bucket([]byte("x"))
		for _, op := range ops {
			for i := range op.n {
				k, v, x := row(op.from + i)
				if err := rows.Put(k, v); err != nil {
					return err
				}
				if err := index.Put(x, nil); err != nil {
					return err
				}
			}
		}
		return nil
	})
	for _, op := range ops {
		op.done, op.err = true, err
	}
	return err
}

func (e *boltEngine) get(key []byte) (rows int, err error) {
	err = e.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket([]byte("p")).Cursor()
		for k, _ := c.Seek(key); k != nil && strings.HasPrefix(string(k), string(key)); k, _ = c.Next() {
			rows++
		}
		return nil
	})
	return rows, err
}

func (e *boltEngine) sweep(n int) error {
	return e.db.Update(func(tx *bbolt.Tx) error {
		rows, index := tx.Bucket([]byte("p")), tx.Bucket([]byte("x"))
		var found [][]byte
		for k, _ := index.Cursor().First(); k != nil && len(found) < n; {
			c := index.Cursor()
			for k, _ = c.First(); k != nil && len(found) < n; k, _ = c.Next() {
				found = append(found, k)
			}
		}
		for _, x := range found {
			if err := index.Delete(x); err != nil {
				return err
			}
			if err := rows.Delete(x[9:]); err != nil {
				return err
			}
		}
		return nil
	})
}

func (e *boltEngine) close() error { return e.db.Close() }

type pebbleEngine struct{ db *pebble.DB }

func openPebble(dir string) (engine, error) {
	opts := &pebble.Options{Logger: silent{}}
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(10)
		opts.Levels[i].FilterType = pebble.TableFilter
	}
	db, err := pebble.Open(dir, opts)
	return &pebbleEngine{db}, err
}

type silent struct{}

func (silent) Infof(string, ...any)              {}
func (silent) Errorf(string, ...any)             {}
func (silent) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (e *pebbleEngine) put(from, n int) error {
	b := e.db.NewBatch()
	for i := range n {
		k, v, x := row(from + i)
		if err := b.Set(k, v, nil); err != nil {
			return err
		}
		if err := b.Set(x, nil, nil); err != nil {
			return err
		}
	}
	return b.Commit(pebble.Sync)
}

func (e *pebbleEngine) get(key []byte) (rows int, err error) {
	upper := append(append([]byte(nil), key...), 0xff)
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: key, UpperBound: upper})
	if err != nil {
		return 0, err
	}
	for ok := it.First(); ok; ok = it.Next() {
		rows++
	}
	return rows, it.Close()
}

func (e *pebbleEngine) sweep(n int) error {
	b := e.db.NewBatch()
	it, err := e.db.NewIter(&pebble.IterOptions{LowerBound: []byte("x"), UpperBound: []byte("y")})
	if err != nil {
		return err
	}
	found := 0
	for ok := it.First(); ok && found < n; ok = it.Next() {
		found++
		if err := b.Delete(it.Key(), nil); err != nil {
			return err
		}
		if err := b.Delete(it.Key()[9:], nil); err != nil {
			return err
		}
	}
	if err := it.Close(); err != nil {
		return err
	}
	return b.Commit(pebble.Sync)
}

func (e *pebbleEngine) close() error { return e.db.Close() }

// resident returns the memory of the process, in MB: all, and without the pages
// that are the file's.
func resident() (all, anonymous float64) {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		var kb int
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kb); n == 1 {
			all = float64(kb) / 1024
		}
		if n, _ := fmt.Sscanf(line, "RssAnon: %d kB", &kb); n == 1 {
			anonymous = float64(kb) / 1024
		}
	}
	return all, anonymous
}

func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkEngines compares the engines. Run it with -benchtime=1x.
func BenchmarkEngines(b *testing.B) {
	for name, open := range map[string]func(string) (engine, error){"bolt": openBolt, "pebble": openPebble} {
		for _, n := range []int{10_000, 1_000_000} {
			b.Run(name+"/"+strconv.Itoa(n), func(b *testing.B) {
				for range b.N {
					benchEngine(b, open, n)
				}
			})
		}
	}
}

func benchEngine(b *testing.B, open func(string) (engine, error), n int) {
	dir := b.TempDir()
	e, err := open(dir)
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	must(err)
	start := time.Now()
	for i := 0; i < n; i += fillBatch {
		must(e.put(i, fillBatch))
	}
	b.ReportMetric(float64(n)/time.Since(start).Seconds(), "fill/s")
	must(e.close())
	all0, anon0 := resident()
	start = time.Now()
	e, err = open(dir)
	must(err)
	_, err = e.get([]byte("p-nothing"))
	must(err)
	b.ReportMetric(float64(time.Since(start).Microseconds())/1000, "open-ms")
	all, anon := resident()
	b.ReportMetric(all-all0, "open-MB")
	b.ReportMetric(anon-anon0, "open-anon-MB")

	next := n
	for _, writers := range []int{1, 64} {
		const puts = 6400
		var seq atomic.Int64
		seq.Store(int64(next))
		start, used := time.Now(), cpu()
		var wg sync.WaitGroup
		for range writers {
			wg.Go(func() {
				for range puts / writers {
					if err := e.put(int(seq.Add(1)), 1); err != nil {
						b.Error(err)
					}
				}
			})
		}
		wg.Wait()
		next += puts + 1
		b.ReportMetric(puts/time.Since(start).Seconds(), fmt.Sprintf("put%d/s", writers))
		b.ReportMetric(float64((cpu()-used).Microseconds())/puts, fmt.Sprintf("put%d-cpu-us", writers))
	}
	read := func(name string, key func() []byte, want int) {
		const gets = 50_000
		start := time.Now()
		for range gets {
			if rows, err := e.get(key()); err != nil || rows != want {
				b.Fatal(rows, err)
			}
		}
		b.ReportMetric(float64(time.Since(start).Nanoseconds())/gets/1000, name+"-us")
	}
	read("hit", func() []byte { k, _, _ := row(rand.IntN(n)); return k[:35] }, 1)
	read("miss", func() []byte { return binary.BigEndian.AppendUint64([]byte("p"), rand.Uint64()|1<<63) }, 0)
	var worst time.Duration
	for range 20 {
		start := time.Now()
		must(e.sweep(100))
		worst = max(worst, time.Since(start))
	}
	b.ReportMetric(float64(worst.Microseconds())/1000, "sweep100-worst-ms")
	all, anon = resident()
	b.ReportMetric(all-all0, "used-MB")
	b.ReportMetric(anon-anon0, "used-anon-MB")
	size := 0.0
	must(filepath.Walk(dir, func(_ string, info os.FileInfo, _ error) error {
		if !info.IsDir() {
			size += float64(info.Size())
		}
		return nil
	}))
	b.ReportMetric(size/(1<<20), "disk-MB")
	must(e.close())
}
