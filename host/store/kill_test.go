package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-kad/kad/host/store"
)

// killRounds is the environment variable that says how often [TestDiskKill] kills.
const killRounds = "KAD_STORE_KILL_ROUNDS"

// writers is how many goroutines write before the process is killed.
const writers = 8

// childWrite writes without end, and prints the number of each write that was
// acknowledged.
func childWrite(dir string, from int) error {
	d, err := store.Open(dir, store.Limits{})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	failed := make(chan error)
	for w := range writers {
		go func() {
			for i := from + w; ; i += writers {
				if err := writeNumber(d, i); err != nil {
					failed <- err
				}
				fmt.Println(i) // one write to the pipe
			}
		}()
	}
	go func() {
		for { // what expires, goes
			if _, _, err := d.Expire(context.Background(), epoch.Add(time.Hour), 100); err != nil {
				failed <- err
			}
		}
	}()
	return <-failed
}

// writeNumber does the i-th write: one of each kind in turn.
func writeNumber(d *store.Disk, i int) error {
	ctx, key, data := context.Background(), []byte(strconv.Itoa(i)), []byte(strings.Repeat(strconv.Itoa(i), 50))
	switch i / writers % 4 {
	case 0:
		return d.UpdateValue(ctx, key, epoch, func(store.Value, bool) (store.Value, error) {
			return store.Value{Data: data, Received: epoch, Expires: epoch.Add(2 * time.Hour)}, nil
		})
	case 1:
		p := store.Provider{ID: "gone", Received: epoch, Expires: epoch.Add(time.Minute)}
		return errors.Join(
			d.AddProvider(ctx, key, p),
			d.AddProvider(ctx, key, store.Provider{ID: "ann", Addrs: data, Received: epoch, Expires: epoch.Add(2 * time.Hour)}))
	case 2:
		return d.Publish(ctx, store.Publication{Kind: store.KindValue, Key: key, Data: data, Next: epoch})
	default: // a key that all write, and that only grows
		return d.UpdateValue(ctx, []byte("newest"), epoch, func(current store.Value, ok bool) (store.Value, error) {
			if n, err := strconv.Atoi(string(current.Data)); ok && err == nil && n > i {
				return current, nil
			}
			return store.Value{Data: key, Received: epoch}, nil
		})
	}
}

// checkNumber checks that the i-th write is there.
func checkNumber(d *store.Disk, published map[string]string, i int) error {
	ctx, key, data := context.Background(), []byte(strconv.Itoa(i)), strings.Repeat(strconv.Itoa(i), 50)
	switch i / writers % 4 {
	case 0:
		if v, err := d.Value(ctx, key, epoch); err != nil || string(v.Data) != data {
			return fmt.Errorf("Value(%d) = %q, %w", i, v.Data, err)
		}
	case 1:
		ps, err := d.Providers(ctx, key, epoch.Add(time.Hour), 0)
		if err != nil || len(ps) != 1 || string(ps[0].Addrs) != data {
			return fmt.Errorf("Providers(%d) = %v, %w", i, ps, err)
		}
	case 2:
		if published[string(key)] != data {
			return fmt.Errorf("publication %d is %q", i, published[string(key)])
		}
	default:
		v, err := d.Value(ctx, []byte("newest"), epoch)
		if n, _ := strconv.Atoi(string(v.Data)); err != nil || n < i {
			return fmt.Errorf("the newest is %q, %w; want %d at least", v.Data, err, i)
		}
	}
	return nil
}

// publications returns the data of all publications by key.
func publications(t *testing.T, s store.Store) map[string]string {
	t.Helper()
	found := make(map[string]string)
	var after []byte
	for {
		batch, err := s.Publications(t.Context(), store.KindValue, after, 0)
		if err != nil {
			t.Fatalf("Publications() = %v", err)
		}
		if len(batch) == 0 {
			return found
		}
		for _, p := range batch {
			found[string(p.Key)] = string(p.Data)
			after = p.Key
		}
	}
}

// A process is killed in the midst of writing, again and again: what it has
// acknowledged is there, and the counts are right.
func TestDiskKill(t *testing.T) {
	rounds := 20
	if s := os.Getenv(killRounds); s != "" {
		var err error
		if rounds, err = strconv.Atoi(s); err != nil {
			t.Fatalf("%s: %v", killRounds, err)
		}
	}
	if testing.Short() {
		rounds = 3
	}
	dir := t.TempDir()
	var acknowledged []int
	for round := range rounds {
		from := 0
		if len(acknowledged) > 0 {
			from = (slices.Max(acknowledged)/writers + 2) * writers
		}
		c := start(t, "write", dir, from)
		var wg sync.WaitGroup
		wg.Go(func() {
			time.Sleep(time.Duration(rand.IntN(100)) * time.Millisecond)
			if err := c.Process.Kill(); err != nil {
				t.Errorf("Kill() = %v", err)
			}
		})
		for {
			line, err := c.lines.ReadString('\n')
			if err != nil {
				break
			}
			i, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil {
				t.Errorf("the child printed %q", line)
			}
			acknowledged = append(acknowledged, i)
		}
		wg.Wait()
		_ = c.Wait()
		checkKilled(t, dir, acknowledged)
		if t.Failed() {
			t.Fatalf("in round %d", round)
		}
	}
	t.Logf("%d rounds, %d writes acknowledged", rounds, len(acknowledged))
	if len(acknowledged) < rounds {
		t.Errorf("only %d writes were acknowledged: this tests nothing", len(acknowledged))
	}
}

// checkKilled checks that what was acknowledged is there, and that the counts are
// those of what is there.
func checkKilled(t *testing.T, dir string, acknowledged []int) {
	t.Helper()
	d, err := store.Open(dir, store.Limits{})
	if err != nil {
		t.Fatalf("Open() = %v", err)
	}
	defer d.Close()
	published := publications(t, d)
	for _, i := range acknowledged {
		if err := checkNumber(d, published, i); err != nil {
			t.Errorf("an acknowledged write is lost: %v", err)
		}
	}
	values, providers := d.Len()
	swept, _, err := d.Expire(t.Context(), epoch.Add(30*time.Minute), 0)
	if err != nil {
		t.Errorf("Expire() = %v", err)
	}
	if v, p := d.Len(); v != values || p != providers-swept {
		t.Errorf("Len() = %d, %d after %d, %d and a sweep of %d", v, p, values, providers, swept)
	}
	n, m := 0, 0
	for from := []byte(nil); ; {
		batch, err := d.Values(t.Context(), epoch, from, 0)
		if err != nil {
			t.Fatalf("Values() = %v", err)
		}
		if len(batch) == 0 {
			break
		}
		n += len(batch)
		from = store.After(batch[len(batch)-1].Key)
	}
	for from := []byte(nil); ; {
		keys, err := d.ProviderKeys(t.Context(), epoch, from, 0)
		if err != nil {
			t.Fatalf("ProviderKeys() = %v", err)
		}
		if len(keys) == 0 {
			break
		}
		m += len(keys)
		from = store.After(keys[len(keys)-1])
	}
	if v, p := d.Len(); v != n || p != m {
		t.Errorf("Len() = %d, %d; there are %d, %d", v, p, n, m)
	}
}
