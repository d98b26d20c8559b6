package store_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-kad/kad/host/store"
)

// benchMillion is the environment variable that adds a million entries to the sizes
// of the durable benchmarks: filling that store takes a minute or two.
const benchMillion = "KAD_STORE_BENCH_MILLION"

// diskSizes are the sizes that the durable store is measured at.
func diskSizes() []int {
	if os.Getenv(benchMillion) != "" {
		return []int{10_000, million}
	}
	return []int{10_000}
}

// together calls f with 0 to n-1, from so many goroutines that writes are
// committed together.
func together(b *testing.B, n int, f func(key []byte, i int) error) {
	b.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 256 {
		wg.Go(func() {
			key := make([]byte, 0, 34)
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := f(scattered(key, i), i); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// scattered is benchKey with neighbours far from each other, as hashes are.
func scattered(buf []byte, i int) []byte {
	h := uint64(i) * 0x9e3779b97f4a7c15
	for range 4 {
		h ^= h >> 29
		h *= 0xbf58476d1ce4e5b9
	}
	return fmt.Appendf(buf[:0], "\x12\x20%016x%016x", h, i)
}

// resident returns the memory of the process in megabytes: all, and what is not
// just a part of a file that happens to be in memory. Zero where there is no /proc.
func resident() (all, anonymous float64) {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kb); n == 1 {
			all = kb / 1024
		}
		if n, _ := fmt.Sscanf(line, "RssAnon: %f kB", &kb); n == 1 {
			anonymous = kb / 1024
		}
	}
	return all, anonymous
}

// cpu returns the time that processors have spent on this process, in steps of 10 ms.
// Zero where there is no /proc.
func cpu() time.Duration {
	b, _ := os.ReadFile("/proc/self/stat")
	var user, system int64
	if fields := strings.Fields(string(b)); len(fields) > 14 {
		user, _ = strconv.ParseInt(fields[13], 10, 64)
		system, _ = strconv.ParseInt(fields[14], 10, 64)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// benchCPU measures the processor time of f, which waits for a disk.
func benchCPU(b *testing.B, f func(key []byte, i int) error) {
	key, i, before := make([]byte, 0, 34), 0, cpu()
	for b.Loop() {
		i++
		if err := f(key, i); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op")
}

// reopen opens the store in dir and reports how long that takes, and how much
// memory.
func reopen(b *testing.B, dir string, l store.Limits) *store.Disk {
	b.Helper()
	runtime.GC()
	allBefore, before := resident()
	start := time.Now()
	d, err := store.Open(dir, l)
	if err != nil {
		b.Fatal(err)
	}
	took := time.Since(start)
	allAfter, after := resident()
	b.Run("open", func(b *testing.B) {
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(float64(took.Microseconds())/1000, "ms")
		b.ReportMetric(max(0, allAfter-allBefore), "MB")
		b.ReportMetric(max(0, after-before), "anonymous-MB")
		if info, err := os.Stat(dir + "/records.db"); err == nil {
			b.ReportMetric(float64(info.Size())/(1<<20), "file-MB")
		}
	})
	return d
}

func BenchmarkDiskValues(b *testing.B) {
	for _, n := range diskSizes() {
		b.Run(strconv.Itoa(n), func(b *testing.B) { benchValues(b, n) })
	}
}

func benchValues(b *testing.B, n int) {
	dir := b.TempDir()
	d, err := store.Open(dir, roomy)
	if err != nil {
		b.Fatal(err)
	}
	put := func(key []byte, i int) error {
		v := store.Value{Data: make([]byte, 300), Received: epoch, Expires: epoch.Add(time.Duration(i) * time.Millisecond)}
		return d.UpdateValue(b.Context(), key, epoch, func(store.Value, bool) (store.Value, error) { return v, nil })
	}
	together(b, n, put)
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
	d = reopen(b, dir, roomy)
	b.Run("put", func(b *testing.B) {
		key := make([]byte, 0, 34)
		for b.Loop() {
			if err := put(scattered(key, rand.IntN(n)), n); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
	})
	b.Run("put-by-64", func(b *testing.B) {
		b.SetParallelism(64 / runtime.GOMAXPROCS(0))
		b.RunParallel(func(pb *testing.PB) {
			key := make([]byte, 0, 34)
			for pb.Next() {
				if err := put(scattered(key, rand.IntN(n)), n); err != nil {
					b.Error(err)
					return
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
	})
	b.Run("get", func(b *testing.B) {
		key := make([]byte, 0, 34)
		for b.Loop() {
			if _, err := d.Value(b.Context(), scattered(key, rand.IntN(n)), epoch.Add(-time.Hour)); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "gets/s")
	})
	b.Run("batch-of-100", func(b *testing.B) {
		var from []byte
		for b.Loop() {
			batch, err := d.Values(b.Context(), time.Time{}, from, 100)
			if err != nil {
				b.Fatal(err)
			}
			if from = nil; len(batch) > 0 {
				from = store.After(batch[len(batch)-1].Key)
			}
		}
	})
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkDiskProviders(b *testing.B) {
	for _, n := range diskSizes() {
		b.Run(strconv.Itoa(n), func(b *testing.B) { benchProviders(b, n) })
	}
}

func benchProviders(b *testing.B, n int) {
	dir := b.TempDir()
	d, err := store.Open(dir, roomy)
	if err != nil {
		b.Fatal(err)
	}
	add := func(key []byte, i int) error {
		return d.AddProvider(b.Context(), key, store.Provider{
			ID: "0123456789012345678901234567890123456789"[:38], Addrs: make([]byte, 80),
			Received: epoch, Expires: epoch.Add(time.Duration(i) * time.Millisecond),
		})
	}
	together(b, n, add)
	var popular atomic.Int64
	addPopular := func() error {
		i := popular.Add(1)
		return d.AddProvider(b.Context(), []byte("popular"), store.Provider{
			ID: fmt.Sprintf("the announcement of peer %012d", i), Addrs: make([]byte, 80),
			Received: epoch.Add(time.Duration(i)), Expires: epoch.Add(1000*time.Hour + time.Duration(i)),
		})
	}
	together(b, 1000, func([]byte, int) error { return addPopular() })
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
	d = reopen(b, dir, roomy)
	b.Run("miss", func(b *testing.B) {
		key := make([]byte, 0, 34)
		for b.Loop() {
			if ps, err := d.Providers(b.Context(), scattered(key, n+rand.IntN(n)), epoch, 20); err != nil || ps != nil {
				b.Fatal(ps, err)
			}
		}
	})
	b.Run("hit-20-of-1000", func(b *testing.B) {
		for b.Loop() {
			if ps, err := d.Providers(b.Context(), []byte("popular"), epoch, 20); err != nil || len(ps) != 20 {
				b.Fatal(len(ps), err)
			}
		}
	})
	b.Run("add-1", func(b *testing.B) {
		benchCPU(b, func(key []byte, i int) error { return add(scattered(key, -i), n) })
	})
	b.Run("add-1-to-1000", func(b *testing.B) { // one yields
		benchCPU(b, func([]byte, int) error { return addPopular() })
	})
	b.Run("add-by-64", func(b *testing.B) {
		b.SetParallelism(64 / runtime.GOMAXPROCS(0))
		b.RunParallel(func(pb *testing.PB) {
			key := make([]byte, 0, 34)
			for pb.Next() {
				if err := add(scattered(key, rand.IntN(n)), n); err != nil {
					b.Error(err)
					return
				}
			}
		})
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
	})
	all, anonymous := resident()
	b.Run("no-sweep", func(b *testing.B) { benchNoSweep(b, dir, d) })
	b.Run("sweep", func(b *testing.B) { benchSweep(b, d) })
	b.Run("add-after-sweep", func(b *testing.B) { // the file has many free pages now
		key := make([]byte, 0, 34)
		for b.Loop() {
			if err := add(scattered(key, rand.IntN(n)), n); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
	})
	b.Run("memory", func(b *testing.B) {
		b.ReportMetric(0, "ns/op")
		b.ReportMetric(all, "MB")
		b.ReportMetric(anonymous, "anonymous-MB")
	})
	if err := d.Close(); err != nil {
		b.Fatal(err)
	}
}

// benchWriter reports how long a lone writer and a reader wait until done is
// closed.
func benchWriter(b *testing.B, d *store.Disk, done <-chan struct{}) {
	b.Helper()
	var writes, reads []time.Duration
	for i := 0; ; i++ {
		start := time.Now()
		p := store.Provider{ID: "x", Received: epoch}
		if err := d.AddProvider(b.Context(), scattered(nil, -i), p); err != nil {
			b.Error(err)
		}
		writes = append(writes, time.Since(start))
		start = time.Now()
		if _, err := d.Providers(b.Context(), []byte("popular"), epoch, 1); err != nil {
			b.Error(err)
		}
		reads = append(reads, time.Since(start))
		select {
		case <-done:
			reportWaits(b, "write", writes)
			reportWaits(b, "read", reads)
			return
		default:
		}
	}
}

// reportWaits reports the median, the 99th percentile and the longest of times.
func reportWaits(b *testing.B, name string, waits []time.Duration) {
	b.Helper()
	slices.Sort(waits)
	for what, d := range map[string]time.Duration{
		"p50": waits[len(waits)/2], "p99": waits[len(waits)*99/100], "max": waits[len(waits)-1],
	} {
		b.ReportMetric(float64(d.Microseconds())/1000, name+"-"+what+"-ms")
	}
}

// benchNoSweep measures how long a writer waits, and a reader, while nobody
// else does anything, and how long the disk takes to synchronise a page of a
// file that nobody else uses.
func benchNoSweep(b *testing.B, dir string, d *store.Disk) {
	done := make(chan struct{})
	time.AfterFunc(10*time.Second, func() { close(done) })
	benchWriter(b, d, done)
	f, err := os.Create(dir + "/idle")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	var syncs []time.Duration
	for range 2000 {
		start := time.Now()
		if _, err := f.WriteAt(page, 0); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		syncs = append(syncs, time.Since(start))
	}
	reportWaits(b, "sync", syncs)
	b.ReportMetric(0, "ns/op")
}

// benchSweep removes a tenth of what d holds, or as much as it can in 20
// seconds, and measures how long a writer waits meanwhile, and a reader.
func benchSweep(b *testing.B, d *store.Disk) {
	_, n := d.Len()
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() { benchWriter(b, d, done) })
	start, removed := time.Now(), 0
	for now := epoch; removed < n/10 && time.Since(start) < 20*time.Second; now = now.Add(time.Second) {
		swept, _, err := d.Expire(b.Context(), now, 1000)
		if err != nil {
			b.Error(err)
			break
		}
		removed += swept
	}
	took := time.Since(start)
	close(done)
	wg.Wait()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(removed)/took.Seconds(), "removed/s")
}
