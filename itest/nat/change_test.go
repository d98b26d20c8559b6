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
	"sync/atomic"
	"testing"
	"time"
)

// A recovery is how long it took after a change until B noticed, and until A found
// an address of B that works.
type recovery struct{ noticed, found time.Duration }

// goal is how soon after B has noticed a change A is to find it.
const goal = 5 * time.Second

// A change is what happens to B.
type change struct {
	name   string // for the table
	relays int

	// happen makes it happen, and returns B, which may be another process then, and
	// how B's own addresses look when it has noticed. Nil says that B knows by itself,
	// or need not know.
	happen func(*testing.T, *world, *node) (b *node, noticed func(addrs []string) bool)
}

func changes() []change {
	return []change{
		{"B's NAT gets another public address", 1, func(t *testing.T, w *world, b *node) (*node, func([]string) bool) {
			t.Helper()
			if _, err := w.Rewan(1); err != nil {
				t.Fatal(err)
			}
			return b, nil
		}},
		{"all relays of B are killed, one other is there", 3, func(t *testing.T, w *world, b *node) (*node, func([]string) bool) {
			t.Helper()
			addrs, err := b.addrs(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			held := relays(addrs)
			for _, n := range w.public[:w.relays] {
				if slices.Contains(held, n.ID) {
					n.kill()
				}
			}
			return b, func(addrs []string) bool {
				return !slices.ContainsFunc(relays(addrs), func(id string) bool { return slices.Contains(held, id) })
			}
		}},
		{"B stops and starts again", 1, func(t *testing.T, w *world, b *node) (*node, func([]string) bool) {
			t.Helper()
			b.stop(t)
			return w.begin(t, 1, "--identity-seed", "b"), nil
		}},
		{"B is killed and starts again", 1, func(t *testing.T, w *world, b *node) (*node, func([]string) bool) {
			t.Helper()
			b.kill()
			return w.begin(t, 1, "--identity-seed", "b"), nil
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
			record(4, "Changes", describeChanges(recovered))
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
			b, noticed := c.happen(t, w, b)
			r := regain(t, a, b, stranger, noticed)
			t.Logf("noticed after %v, found after %v", r.noticed, r.found)
			mu.Lock()
			defer mu.Unlock()
			recovered[c.name] = r
		})
	}
}

// regain waits until B has noticed what has changed, if it can, and until A finds
// an address of B by which a stranger reaches B.
func regain(t *testing.T, a, b, stranger *node, noticed func(addrs []string) bool) (r recovery) {
	t.Helper()
	changed := time.Now()
	eventually(t, "A finds an address of B that works", func(ctx context.Context) bool {
		if noticed != nil && r.noticed == 0 {
			if addrs, err := b.addrs(ctx); err != nil || !noticed(addrs) {
				return false
			}
			r.noticed = time.Since(changed)
		}
		addrs, err := a.find(ctx, b.ID)
		if err != nil {
			return false
		}
		found, ok := time.Since(changed), stranger.reaches(ctx, t, b.ID, addrs)
		t.Logf("%v: found %q, which work: %v", found, addrs, ok)
		r.found = found
		return ok
	})
	return r
}

// reaches reports whether one of the addresses of a peer at a relay works. It dials the
// relay first: libp2p tries one relay of a peer at a time, and a dead one holds up the
// others.
func (n *node) reaches(ctx context.Context, t *testing.T, id string, addrs []string) bool {
	t.Helper()
	var dials sync.WaitGroup
	var reached atomic.Bool
	for _, addr := range addrs {
		relay, _, ok := strings.Cut(addr, "/p2p-circuit")
		if !ok {
			continue
		}
		dials.Go(func() {
			err := n.dial(ctx, relay)
			if err == nil {
				err = n.dial(ctx, addr+"/p2p/"+id)
			}
			if err != nil {
				t.Logf("%s: %v", addr, err)
			} else {
				reached.Store(true)
			}
		})
	}
	dials.Wait()
	return reached.Load()
}

// describeChanges returns the table of results.
func describeChanges(recovered map[string]recovery) string {
	var b strings.Builder
	fmt.Fprintf(&b, `A and B are behind a NAT (%s) each. Noticed is when B no longer names what is gone, if there is something that B
does not know at once; found is when A finds an address of B by which a node that has met neither reaches B. The goal
is %v from one to the other; **bold** is what misses it.

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
			noticed = ""
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
	record(5, "Vanished", fmt.Sprintf("B is cut off without a word. Connect with a deadline of %v fails after %s, with this:\n\n```\n%s\n```\n",
		deadline, seconds(took), answer.body))
}
