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
		var after []byte
		for b.Loop() {
			batch, err := d.Values(b.Context(), time.Time{}, after, 100)
			if err != nil {
				b.Fatal(err)
			}
			if after = nil; len(batch) > 0 {
				after = batch[len(batch)-1].Key
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
	for i := range 256 {
		p := store.Provider{ID: "popular" + strconv.Itoa(i), Addrs: make([]byte, 80), Received: epoch}
		if err := d.AddProvider(b.Context(), []byte("popular"), p); err != nil {
			b.Fatal(err)
		}
	}
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
	b.Run("hit-20-of-256", func(b *testing.B) {
		for b.Loop() {
			if ps, err := d.Providers(b.Context(), []byte("popular"), epoch, 20); err != nil || len(ps) != 20 {
				b.Fatal(len(ps), err)
			}
		}
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

// benchSweep removes a tenth of what d holds, as fast as it can, and measures how
// long a writer waits meanwhile, and a reader.
func benchSweep(b *testing.B, d *store.Disk) {
	_, n := d.Len()
	done := make(chan struct{})
	var wg sync.WaitGroup
	var writes, reads []time.Duration
	wg.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
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
		}
	})
	start, removed := time.Now(), 0
	for now := epoch; removed < n/10; now = now.Add(10 * time.Second) {
		swept, _, err := d.Expire(b.Context(), now, 1000)
		if err != nil {
			b.Fatal(err)
		}
		removed += swept
	}
	took := time.Since(start)
	close(done)
	wg.Wait()
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(removed)/took.Seconds(), "removed/s")
	slices.Sort(writes)
	slices.Sort(reads)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	b.ReportMetric(ms(writes[len(writes)*99/100]), "write-p99-ms")
	b.ReportMetric(ms(writes[len(writes)-1]), "write-max-ms")
	b.ReportMetric(ms(reads[len(reads)*99/100]), "read-p99-ms")
}
