package kill_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/itest/internal/program"
)

const (
	// peerCount is how many nodes the keeper has for company: with it, fewer than
	// k, so that every record is for all of them.
	peerCount = 2

	// keeperWriters and peerWriters are how many write at the same time through the
	// keeper, and through each of the peers.
	keeperWriters, peerWriters = 4, 2

	// seedVariable is the environment variable for the seed of a run.
	seedVariable = "KAD_KILL_SEED"
)

// A trial is the keeper, which is killed in each round, and what it has to keep.
type trial struct {
	*ledger

	t       *testing.T
	program string
	dir     string // of the keeper
	id      string // of the keeper, once it has told
	asker   *asker
	rng     *rand.Rand
	number  atomic.Int64
}

// A node that is killed in the midst of writing, again and again, has all that it
// has acknowledged when it is started again.
func TestKill(t *testing.T) {
	skipWindows(t)
	seed := rand.Uint64()
	if s := os.Getenv(seedVariable); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
	}
	t.Logf("%s=%d repeats who is killed when, as far as the scheduler lets it", seedVariable, seed)
	rounds := 50
	if testing.Short() {
		rounds = 5
	}
	tr := &trial{
		ledger: newLedger(), t: t, program: program.Build(t, "./examples/node"), dir: filepath.Join(t.TempDir(), "data"),
		asker: newAsker(t), rng: rand.New(rand.NewPCG(seed, 0)),
	}
	begin := time.Now()
	if err := tr.firstStarts(); err != nil {
		t.Fatalf("killed at its first start: %v", err)
	}
	for round := range rounds {
		if err := tr.round(t.Context()); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	if err := tr.last(t.Context()); err != nil {
		t.Fatalf("after %d rounds: %v", rounds, err)
	}
	t.Logf("%d rounds in %v; %s", rounds, time.Since(begin).Round(time.Millisecond), tr.summary())
	if tr.entries < rounds || len(tr.claims) == 0 || len(tr.withdrawn) == 0 {
		t.Error("hardly anything was acknowledged: this tests nothing")
	}
}

// round starts the keeper, which has been killed before, alone, and looks whether
// all is there. Then it lets others write, and kills it.
func (tr *trial) round(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	if tr.rng.IntN(4) == 0 {
		if err := tr.killStarting(tr.dir); err != nil {
			return fmt.Errorf("killed while starting: %w", err)
		}
	}
	keeper, err := tr.restart(ctx)
	if err != nil {
		return err
	}
	peers, err := tr.company(ctx, keeper)
	if err != nil {
		return err
	}
	if err := tr.writeAndKill(ctx, keeper, peers); err != nil {
		return err
	}
	for _, p := range peers {
		if err := p.end(syscall.SIGTERM); err != nil {
			return fmt.Errorf("a peer: %w", err)
		}
	}
	return nil
}

// firstStarts kills keepers that are just making their directory, each its own, and
// starts them again.
func (tr *trial) firstStarts() error {
	for range 10 {
		dir := filepath.Join(tr.t.TempDir(), "data")
		if err := tr.killStarting(dir); err != nil {
			return err
		}
		n, err := start(tr.t, tr.program, "--data", dir)
		if err != nil {
			return err
		}
		if err := n.end(os.Kill); err != nil {
			return err
		}
	}
	return nil
}

// killStarting starts a keeper, and kills it before it is up, or just after.
func (tr *trial) killStarting(dir string) error {
	n, err := spawn(tr.t, tr.program, "--data", dir)
	if err != nil {
		return err
	}
	<-time.After(time.Duration(tr.rng.Int64N(int64(100 * time.Millisecond)))) // the moment
	if err := n.signal(os.Kill); err != nil {
		return err
	}
	_, _ = n.stdout.ReadString('\n') // which it may have printed
	return n.end(os.Kill)
}

// restart starts the keeper, alone, and looks whether all is there.
func (tr *trial) restart(ctx context.Context) (*node, error) {
	keeper, err := start(tr.t, tr.program, "--data", tr.dir)
	if err != nil {
		return nil, err
	}
	if tr.id == "" {
		tr.id = keeper.ID
	}
	if keeper.ID != tr.id {
		return nil, fmt.Errorf("the keeper is %s now, and was %s", keeper.ID, tr.id)
	}
	wrong, err := tr.asker.ask(ctx, keeper, tr.questions())
	if err != nil {
		return nil, err
	}
	for _, w := range wrong {
		tr.t.Error(w)
	}
	g, err := keeper.stats(ctx)
	if err != nil {
		return nil, err
	}
	if g.Contacts > 0 {
		return nil, fmt.Errorf("the keeper has %d contacts: what it holds may come from them", g.Contacts)
	}
	if g.Publications < len(tr.publications) {
		tr.t.Errorf("the keeper has %d publications, and has acknowledged %d", g.Publications, len(tr.publications))
	}
	if tr.t.Failed() {
		return nil, fmt.Errorf("the keeper has lost something; its directory was %s", tr.dir)
	}
	return keeper, nil
}

// company starts the peers of the keeper, and waits until all know each other.
func (tr *trial) company(ctx context.Context, keeper *node) ([]*node, error) {
	peers := make([]*node, peerCount)
	var starts errgroup.Group
	for i := range peers {
		starts.Go(func() (err error) {
			if peers[i], err = start(tr.t, tr.program, "--join", keeper.Addrs[0]); err != nil {
				return err
			}
			return peers[i].ready(ctx)
		})
	}
	if err := starts.Wait(); err != nil {
		return nil, fmt.Errorf("a peer: %w", err)
	}
	return peers, keeper.ready(ctx)
}

// writeAndKill lets writers write, kills the keeper at some moment, and waits until
// the writers have heard what becomes of what they have begun.
func (tr *trial) writeAndKill(ctx context.Context, keeper *node, peers []*node) error {
	quota := 1 + tr.rng.IntN(60)
	moment := time.Duration(tr.rng.Int64N(int64(3 * time.Millisecond))) // a few commits of the store
	acks, stop := make(chan struct{}, quota), make(chan struct{})
	var writers sync.WaitGroup
	defer writers.Wait()
	defer close(stop)
	write := func(via *node, n int) {
		for range n {
			w := &writer{via: via, keeper: keeper, ledger: tr.ledger, number: &tr.number, acks: acks}
			writers.Go(func() { w.run(ctx, stop) })
		}
	}
	write(keeper, keeperWriters)
	for _, p := range peers {
		write(p, peerWriters)
	}
	deadline := time.After(patience)
	for i := range quota {
		select {
		case <-acks:
		case <-deadline:
			tr.mu.Lock()
			defer tr.mu.Unlock()
			return fmt.Errorf("%d of %d acknowledgements in %v; the last failure is: %w", i, quota, patience, tr.failure)
		}
	}
	<-time.After(moment)
	return keeper.end(os.Kill)
}

// last starts the keeper once more, stops it as it should be, and looks at what it
// is to publish again.
func (tr *trial) last(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	keeper, err := tr.restart(ctx)
	if err != nil {
		return err
	}
	if err := keeper.end(syscall.SIGTERM); err != nil {
		return err
	}
	disk, err := store.Open(filepath.Join(tr.dir, "dht", "records"), store.Limits{})
	if err != nil {
		return err
	}
	defer disk.Close()
	for p := range tr.publications {
		got, err := disk.Publication(ctx, p.kind, []byte(p.key))
		if err == nil && p.kind == store.KindValue && p.key != sharedKey {
			err = checkValue(string(got.Data), tr.values[p.key])
		}
		if err != nil {
			tr.t.Errorf("publication of kind %d, %q: %v", p.kind, p.key, err)
		}
	}
	for c := range tr.withdrawn {
		if _, err := disk.Publication(ctx, store.KindProvider, []byte(c.hash)); !errors.Is(err, store.ErrNotFound) {
			tr.t.Errorf("publication of %x, which was withdrawn: %v; want %v", c.hash, err, store.ErrNotFound)
		}
	}
	return nil
}
