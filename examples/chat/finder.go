package main

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
)

const (
	maxDials     = 16 // at the same time
	maxPeople    = 32 // in the room that we connect to ourselves; beyond it, others pass messages on
	maxStrangers = 64 // dialled in one search
	dialTimeout  = 5 * time.Second
)

// A rendezvous is where peers find each other: a [kad.DHT].
type rendezvous interface {
	Announce(ctx context.Context, key cid.Cid) (kad.Receipt, error)
	Providers(ctx context.Context, key cid.Cid, count int) iter.Seq2[peer.AddrInfo, error]
}

// A finder announces us under a key, and connects us to the others who did so,
// for as long as it runs: who comes later searches and finds who came earlier.
type finder struct {
	dht     rendezvous
	key     cid.Cid
	connect func(context.Context, peer.AddrInfo) error
	people  func() int      // who are in the room with us
	left    <-chan struct{} // somebody was, and is not any more
	report  func(error)     // called whenever a search or an announcement ended

	dials sync.WaitGroup
	mu    sync.Mutex
	known map[peer.ID]*acquaintance
}

// An acquaintance is a peer that was found.
type acquaintance struct {
	busy   bool      // being dialled
	failed int       // dials, one after the other
	next   time.Time // not dialled before
}

// newFinder returns a finder for a rendezvous namespace.
func newFinder(dht rendezvous, namespace string) (*finder, error) {
	key, err := kad.NamespaceCID(namespace)
	if err != nil {
		return nil, fmt.Errorf("the key of the room: %w", err)
	}
	return &finder{dht: dht, key: key, report: func(error) {}, known: make(map[peer.ID]*acquaintance)}, nil
}

// run announces and searches until ctx ends.
func (f *finder) run(ctx context.Context) {
	var loops sync.WaitGroup
	loops.Go(func() { f.keepAnnouncing(ctx) })
	loops.Go(func() { f.keepSearching(ctx) })
	loops.Wait()
	f.dials.Wait()
}

// keepAnnouncing announces us again and again: soon after a failure, and long
// before the announcement expires after a success.
func (f *finder) keepAnnouncing(ctx context.Context) {
	good, bad := 0, 0
	for {
		_, err := f.dht.Announce(ctx, f.key)
		if ctx.Err() != nil {
			return
		}
		f.report(err)
		var wait time.Duration
		if err != nil {
			wait = retryAfter(bad)
			good, bad = 0, bad+1
		} else {
			wait = announceAfter(good)
			good, bad = good+1, 0
		}
		if !pause(ctx, wait, nil) {
			return
		}
	}
}

// keepSearching searches again and again: often while nobody is there, or after
// somebody left.
func (f *finder) keepSearching(ctx context.Context) {
	round := 0
	company := false
	for {
		err := f.search(ctx)
		if ctx.Err() != nil {
			return
		}
		f.report(err)
		if now := f.people() > 0; now != company {
			company, round = now, 0
		}
		wait := searchAfter(round, company)
		round++
		before := f.people()
		if !pause(ctx, wait, f.left) {
			return
		}
		if f.people() < before {
			round = 0
		}
	}
}

// search looks once for those who announced themselves, and starts to connect
// to each as it is found. It does not wait for that: run does.
func (f *finder) search(ctx context.Context) error {
	room := make(chan struct{}, maxDials)
	strangers := 0
	for info, err := range f.dht.Providers(ctx, f.key, 0) {
		if err != nil {
			return err
		}
		if f.people() >= maxPeople || strangers == maxStrangers {
			return nil
		}
		if len(info.Addrs) == 0 || !f.begin(info.ID) {
			continue
		}
		strangers++
		f.dials.Go(func() {
			room <- struct{}{} // not before, since the search goes on meanwhile
			defer func() { <-room }()
			dialling, cancel := context.WithTimeout(ctx, dialTimeout)
			defer cancel()
			f.end(info.ID, f.connect(dialling, info))
		})
	}
	return ctx.Err()
}

// begin reports whether a peer is to be dialled now.
func (f *finder) begin(id peer.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.known[id]
	if a == nil {
		f.forget()
		a = &acquaintance{}
		f.known[id] = a
	}
	if a.busy || time.Now().Before(a.next) {
		return false
	}
	a.busy = true
	return true
}

// end notes what became of a dial. Announcements outlive those who made them:
// who cannot be reached is asked ever less often.
func (f *finder) end(id peer.ID, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.known[id]
	a.busy = false
	if err == nil {
		a.failed, a.next = 0, time.Time{}
		return
	}
	a.next = time.Now().Add(deadAfter(a.failed))
	a.failed++
}

// forget makes room for a new acquaintance: there is no more than a thousand.
func (f *finder) forget() {
	for id, a := range f.known {
		if len(f.known) < 1000 {
			return
		}
		if !a.busy {
			delete(f.known, id)
		}
	}
}

// searchAfter is the pause before the next search: while we are alone from half
// a second to 5s, later, for those whom the others have not found, from 5s to
// 30s.
func searchAfter(round int, company bool) time.Duration {
	if company {
		return grow(5*time.Second, 30*time.Second, round)
	}
	// The first ten seconds are those in which a friend starts the other side.
	return grow(500*time.Millisecond, 5*time.Second, max(0, round-20))
}

// retryAfter is the pause after an announcement that failed for the n-th time
// since the last success.
func retryAfter(n int) time.Duration { return grow(250*time.Millisecond, 10*time.Second, n) }

// announceAfter is the pause after the n-th announcement that succeeded: at
// first short, since in a young network those who are to store it still come.
func announceAfter(n int) time.Duration { return grow(10*time.Second, 5*time.Minute, n) }

// deadAfter is how long a peer is left alone that could not be dialled for the
// n-th time.
func deadAfter(n int) time.Duration { return grow(time.Second, 10*time.Minute, n) }

// grow doubles from first, n times, up to limit.
func grow(first, limit time.Duration, n int) time.Duration {
	for range n {
		if first >= limit/2 {
			return limit
		}
		first *= 2
	}
	return first
}

// pause waits for d, more or less, so that those who started together do not
// stay in step. It ends early when interrupt can be read, and is false if ctx
// has ended.
func pause(ctx context.Context, d time.Duration, interrupt <-chan struct{}) bool {
	timer := time.NewTimer(time.Duration(float64(d) * (0.8 + 0.4*rand.Float64())))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-interrupt:
		return true
	case <-ctx.Done():
		return false
	}
}
