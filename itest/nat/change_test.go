//go:build linux

package nat

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A recovery is how long it took after a change until B announced other addresses
// than before, and until A found an address of B that works.
type recovery struct {
	noticed time.Duration // 0 if the addresses need not change
	found   time.Duration
}

// goal is how soon after B has noticed a change A is to find it.
const goal = 5 * time.Second

// changes are what happens to B, each with the text for the table. A change
// returns B, which may be another process then.
func changes() []struct {
	name   string
	relays int
	happen func(*testing.T, *world, *node) *node
} {
	return []struct {
		name   string
		relays int
		happen func(*testing.T, *world, *node) *node
	}{
		{"B's NAT gets another public address", 1, func(t *testing.T, w *world, b *node) *node {
			t.Helper()
			if _, err := w.Rewan(1); err != nil {
				t.Fatal(err)
			}
			return b
		}},
		{"all relays of B are killed, one other is there", 3, func(t *testing.T, w *world, b *node) *node {
			t.Helper()
			addrs, err := b.addrs(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			held := relays(addrs)
			for _, n := range w.public[:w.relays] {
				if slices.Contains(held, n.ID) && len(held) < w.relays {
					n.kill()
				}
			}
			return b
		}},
		{"B is killed and starts again", 1, func(t *testing.T, w *world, b *node) *node {
			t.Helper()
			b.kill()
			return w.begin(t, 1, "--identity-seed", "b")
		}},
	}
}

// After each change of where B is, A finds an address of it again by which a
// stranger reaches it.
func TestChanges(t *testing.T) {
	var mu sync.Mutex
	recovered := make(map[string]recovery)
	t.Cleanup(func() {
		if len(recovered) > 0 {
			record(3, "Changes", describeChanges(recovered))
		}
	})
	for _, c := range changes() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, c.relays, Cone, Cone)
			a, b := w.begin(t, 0), w.begin(t, 1, "--identity-seed", "b")
			stranger := w.outsider(t)
			eventually(t, "A finds B through as many relays as B holds", func(ctx context.Context) bool {
				addrs, err := a.find(ctx, b.ID)
				return err == nil && len(relays(addrs)) == min(c.relays, 2)
			})
			before, err := b.addrs(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			b = c.happen(t, w, b)
			r := await(t, a, b, stranger, before)
			t.Logf("%+v", r)
			mu.Lock()
			defer mu.Unlock()
			recovered[c.name] = r
		})
	}
}

// await waits until A finds an address of B by which a stranger reaches B.
func await(t *testing.T, a, b, stranger *node, before []string) (r recovery) {
	t.Helper()
	changed := time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	var watching sync.WaitGroup
	watching.Go(func() {
		for ctx.Err() == nil {
			if now, err := b.addrs(ctx); err == nil && !sameSet(now, before) {
				r.noticed = time.Since(changed)
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	eventually(t, "A finds an address of B that works", func(ctx context.Context) bool {
		addrs, err := a.find(ctx, b.ID)
		return err == nil && slices.ContainsFunc(addrs, func(addr string) bool {
			return strings.Contains(addr, "/p2p-circuit") && stranger.dial(ctx, addr+"/p2p/"+b.ID) == nil
		})
	})
	r.found = time.Since(changed)
	cancel()
	watching.Wait()
	return r
}

// sameSet reports whether a and b are the same in any order.
func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// describeChanges returns the table of results.
func describeChanges(recovered map[string]recovery) string {
	var b strings.Builder
	fmt.Fprintf(&b, `A and B are behind a NAT (%s) each. Noticed is when B announces other addresses than before; found is when A finds an
address of B by which a node that has met neither reaches B. The goal is %v between the two; **bold** is what
misses it.

| what happens | noticed after | found after |
|---|---|---|
`, Cone, goal)
	for _, c := range changes() {
		r, ok := recovered[c.name]
		if !ok {
			continue
		}
		found, noticed := seconds(r.found), seconds(r.noticed)
		if r.found-r.noticed > goal {
			found = "**" + found + "**"
		}
		if r.noticed == 0 {
			noticed = "nothing to notice"
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", c.name, noticed, found)
	}
	return b.String()
}

// Connect to who has vanished ends within its deadline, and says what it tried.
func TestVanished(t *testing.T) {
	w := newWorld(t, 1, Cone, Cone)
	a, b := w.begin(t, 0), w.begin(t, 1)
	eventually(t, "A finds B", func(ctx context.Context) bool {
		addrs, err := a.find(ctx, b.ID)
		return err == nil && len(relays(addrs)) > 0
	})
	if err := w.Hosts[1].Cut(true); err != nil {
		t.Fatal(err)
	}
	const deadline = 10 * time.Second
	began := time.Now()
	c, err := a.connect(t.Context(), b.ID, deadline)
	took := time.Since(began)
	t.Logf("after %v: %v", took, err)
	answer, ok := errors.AsType[*apiError](err)
	if !ok || answer.status == http.StatusBadRequest {
		t.Fatalf("Connect = %+v, %v; want that it failed", c, err)
	}
	if took > 2*deadline {
		t.Errorf("it took %v, want no more than the deadline of %v", took, deadline)
	}
	if !strings.Contains(answer.body, w.public[0].ID) {
		t.Errorf("it does not say that it tried the relay %s: %s", w.public[0].ID, answer.body)
	}
	record(4, "Vanished", fmt.Sprintf("B is cut off without a word. Connect with a deadline of %v fails after %s, with this:\n\n```\n%s\n```\n",
		deadline, seconds(took), answer.body))
}
