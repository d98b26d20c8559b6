package net_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"

	kad "github.com/go-kad/kad/host"
)

// burstSize returns how many operations begin at once, as KAD_BURST says.
func burstSize(t *testing.T) int {
	t.Helper()
	s := os.Getenv("KAD_BURST")
	if s == "" {
		t.Skip("KAD_BURST is not set: make stress sets it; it needs the machine for itself")
	}
	operations, err := strconv.Atoi(s)
	if err != nil || operations < 1 {
		t.Fatalf("KAD_BURST: %q is not a number of operations, 1 or more", s)
	}
	return operations
}

// A kept is a value, and a content, that one node has put and announced.
type kept struct {
	by      *kad.DHT
	key     string
	value   []byte
	content cid.Cid
}

// keep puts and announces something at each of the first nodes.
func (f *fleet) keep(ctx context.Context, t *testing.T, n int) []kept {
	t.Helper()
	all := make([]kept, n)
	for i := range all {
		name := fmt.Append(nil, "burst ", i)
		hash, err := multihash.Sum(name, multihash.SHA2_256, -1)
		if err != nil {
			t.Fatal(err)
		}
		k := kept{f.nodes[i], "/v/" + string(name), name, cid.NewCidV1(cid.Raw, hash)}
		if _, err := k.by.Announce(ctx, k.content); err != nil {
			t.Fatal(err)
		}
		if _, err := k.by.Put(ctx, k.key, k.value); err != nil {
			t.Fatal(err)
		}
		all[i] = k
	}
	return all
}

var (
	// errNotClosest reports that a lookup did not find all of the closest peers.
	errNotClosest = errors.New("not the closest peers")

	// errUnsure reports that it says so: peers were late when it ended, or it is not sure.
	errUnsure = errors.New("it is not sure")
)

const (
	// sure is the confidence of a lookup that is to be right in 99 of 100 cases.
	sure = 0.99

	// mostUnsure is the share of the lookups that may lack closest peers, and say so: it was 86 %
	// before lookups on a late machine waited for all. On 2 processors, 1 and 2 % do.
	mostUnsure = 0.1
)

// seek looks for one of what is kept, and returns what is wrong with the answer. It asks for
// the provider, the value, or the closest of all nodes, by turns.
func (f *fleet) seek(ctx context.Context, k kept, seeker *kad.DHT, n int) error {
	switch n % 4 {
	default:
		return finds(seeker, k.by, seeker.Providers(ctx, k.content, 1))
	case 2:
		value, err := seeker.GetValue(ctx, k.key)
		if err == nil && !bytes.Equal(value, k.value) {
			err = fmt.Errorf("the value is %q", value)
		}
		return err
	case 3:
		ctx, trace := kad.WithTrace(ctx)
		found, err := seeker.ClosestPeers(ctx, []byte(k.key))
		if err != nil {
			return err
		}
		var others []peer.ID
		for _, d := range f.nodes {
			if d != seeker {
				others = append(others, d.ID())
			}
		}
		if err := areClosest(found, closestOf(others, []byte(k.key))); err != nil {
			stats := trace.Stats()
			if stats.Late > 0 || stats.Confidence < sure {
				err = fmt.Errorf("%w: %w", errUnsure, err)
			}
			return fmt.Errorf("%w, with %d late, and confidence %.4f", err, stats.Late, stats.Confidence)
		}
		return nil
	}
}

// areClosest returns nil if what was found is exactly the peers that are the closest.
func areClosest(found []peer.AddrInfo, want []peer.ID) error {
	missing := slices.DeleteFunc(slices.Clone(want), func(id peer.ID) bool {
		return slices.ContainsFunc(found, func(p peer.AddrInfo) bool { return p.ID == id })
	})
	if len(missing) > 0 || len(found) != len(want) {
		return fmt.Errorf("%w: %d of %d are missing, of %d that were found", errNotClosest, len(missing), len(want), len(found))
	}
	return nil
}

// A peer that is missing among the closest, or does not belong there, is found by the check of
// [TestBurst].
func TestAreClosest(t *testing.T) {
	var ids []peer.ID
	var found []peer.AddrInfo
	for i := range k + 1 {
		ids = append(ids, peer.ID(fmt.Sprint("peer ", i)))
	}
	want := closestOf(ids, []byte("key"))
	for _, id := range want {
		found = append(found, peer.AddrInfo{ID: id})
	}
	farther := peer.AddrInfo{ID: ids[k]} // they are sorted now
	if err := areClosest(found, want); err != nil || len(found) != k {
		t.Errorf("%d of the closest: %v", len(found), err)
	}
	for name, wrong := range map[string][]peer.AddrInfo{
		"nothing":         nil,
		"one too few":     found[1:],
		"one too many":    append(slices.Clone(found), farther),
		"another for one": append(slices.Clone(found[1:]), farther),
	} {
		if err := areClosest(wrong, want); !errors.Is(err, errNotClosest) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Operations of all nodes of one process that begin at the same moment are slow where there is
// too little processor time, and none fails or is wrong. A lookup that does not find the closest of
// all nodes says so.
// The test of a limiter in package lookup is the quick form of it.
func TestBurst(t *testing.T) {
	const size, seed = 40, 1
	operations := burstSize(t)
	f := launch(t, size, seed)
	if t.Failed() {
		t.FailNow() // nodes that have not joined know too little
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	there := f.keep(ctx, t, size/2)
	rng := rand.New(rand.NewPCG(seed, 2))
	start := time.Now()
	var wrong, notClosest, unsure, latest atomic.Int64
	var all sync.WaitGroup
	for n := range operations {
		what, seeker := there[rng.IntN(len(there))], f.nodes[size/2+rng.IntN(size/2)]
		all.Go(func() {
			err := f.seek(ctx, what, seeker, n)
			switch {
			case errors.Is(err, errUnsure):
				unsure.Add(1)
			case errors.Is(err, errNotClosest):
				notClosest.Add(1)
			case err != nil && wrong.Add(1) <= 10:
				t.Log(err)
			}
			late := int64(seeker.Stats().Lateness)
			for most := latest.Load(); late > most && !latest.CompareAndSwap(most, late); most = latest.Load() {
			}
		})
	}
	all.Wait()
	t.Logf("%d operations took %v; timers were late by up to %v", operations, time.Since(start).Round(time.Millisecond), time.Duration(latest.Load()).Round(time.Millisecond))
	lookups := float64(operations / 4)
	t.Logf("%d of %.0f lookups lack closest peers; of these, %d do not say so", unsure.Load()+notClosest.Load(), lookups, notClosest.Load())
	if float64(unsure.Load()) > mostUnsure*lookups || float64(notClosest.Load()) > (1-sure)*lookups {
		t.Error("too many lookups lack closest peers")
	}
	if wrong.Load() > 0 {
		t.Errorf("%d of %d operations failed, or were wrong", wrong.Load(), operations)
	}
}
