//go:build unix

package stress

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	kad "github.com/go-kad/kad/host"
)

// A role is what is particular about a node.
type role int

const (
	firm           role = iota // is neither killed nor stopped, so that others can join
	lasting                    // has a directory, and comes back as the same peer
	forgetful                  // has none, and comes back as another peer
	ahead                      // its clock is 50 min ahead
	behind                     // its clock is 50 min behind
	jumping                    // its clock jumps between the two every 20 s
	client                     // does not serve
	fewDescriptors             // may have few files and connections open
	fewStreams                 // may have few streams open
	uselessAddrs               // has 33 addresses, of which the last one works
)

// String returns the role in words.
func (r role) String() string {
	return [...]string{
		"firm", "lasting", "forgetful", "clock ahead", "clock behind", "clock that jumps", "client",
		"few descriptors", "few streams", "33 addresses",
	}[r]
}

// clock returns the offset of the clock.
func (r role) clock() string {
	switch r {
	case ahead:
		return "50m"
	case behind:
		return "-50m"
	case jumping:
		return "50m/20s"
	default:
		return "0s"
	}
}

// MinNodes is how many nodes a network has at least: one of each role, and a second firm one.
const MinNodes = 11

// descriptors is how many files a node that lacks them may have open: without connections, it has
// about 12.
const descriptors = 30

// rolesOf returns the roles of n nodes.
func rolesOf(n int) []role {
	roles := []role{firm, firm, fewStreams, uselessAddrs, fewDescriptors, ahead, behind, jumping, client}
	for i := len(roles); i < n; i++ {
		roles = append(roles, []role{lasting, forgetful}[i%2])
	}
	return roles
}

// A slot is a place for a node. While it is down, it has none.
type slot struct {
	number int
	role   role

	busy    sync.Mutex // one change of the node at a time; also guards starts
	starts  int
	node    node     // under the lock of the lab; nil while it is down
	history *history // of the latest peer
	paused  bool
	joined  bool // it was ready since it was started
	trouble bool // it is in trouble, or coming back
}

// A lab is a network of nodes.
type lab struct {
	name    string
	k       int
	dir     string
	program string
	ledger  *ledger
	asker   *asker

	join []string // addresses of the firm nodes

	mu    sync.Mutex
	slots []*slot
}

// newLab builds the program, unless there is one, and starts all nodes.
func newLab(ctx context.Context, cfg Config) (*lab, error) {
	l := &lab{
		name: "/stress-" + strconv.FormatUint(cfg.Seed, 36), k: cfg.K, dir: cfg.Dir, program: cfg.Program,
		ledger: newLedger(cfg.K, cfg.Settling),
	}
	var err error
	if l.program == "" {
		if l.program, err = build(ctx, cfg.Dir, "github.com/go-kad/kad/examples/node"); err != nil {
			return nil, err
		}
	}
	if l.asker, err = newAsker(l.name); err != nil {
		return nil, err
	}
	for i, r := range rolesOf(cfg.Nodes) {
		l.slots = append(l.slots, &slot{number: i, role: r})
	}
	if err := l.startAll(ctx); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// startAll starts the firm nodes, and then the others.
func (l *lab) startAll(ctx context.Context) error {
	var starts errgroup.Group
	starts.SetLimit(4)
	for _, s := range l.slots {
		if s.role != firm {
			starts.Go(func() error { return l.start(ctx, s) })
			continue
		}
		if err := l.start(ctx, s); err != nil {
			return err
		}
		l.join = append(l.join, s.node.(*process).Addrs[0])
	}
	return starts.Wait()
}

// start starts the node of a slot that is down, and waits until it is ready.
func (l *lab) start(ctx context.Context, s *slot) error {
	s.busy.Lock()
	defer s.busy.Unlock()
	if s.role == fewStreams || s.role == uselessAddrs {
		return l.startLocal(ctx, s)
	}
	p, err := l.spawn(ctx, s)
	if err != nil {
		return fmt.Errorf("node %d, %v: %w", s.number, s.role, err)
	}
	if len(l.join) > 0 {
		err = p.ready(ctx)
	}
	return l.joined(s, err)
}

// joined says that operations may go through a node, which is ready, unless there is an error.
func (l *lab) joined(s *slot, err error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.joined = true
	if err != nil {
		return fmt.Errorf("node %d, %v: %w", s.number, s.role, err)
	}
	return nil
}

// startLocal starts a node in this process.
func (l *lab) startLocal(ctx context.Context, s *slot) error {
	peers, err := kad.ParseAddrs(l.join...)
	if err != nil {
		return err
	}
	began := time.Now()
	n, err := newLocal(kad.Config{
		Network: l.name, K: l.k, Bootstrap: peers, Mode: kad.ModeServer, Validators: map[string]record.Validator{"v": greatest{}},
	}, s.role)
	if err != nil {
		return err
	}
	l.place(s, n, l.enter(s, n.host.ID().String(), &life{addrs: n.listens(), began: began, up: time.Now()}))
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return l.joined(s, n.dht.Ready(ctx))
}

// enter puts a life of a peer into the ledger, and returns the history of the peer.
func (l *lab) enter(s *slot, id string, lf *life) (h *history) {
	l.ledger.note(func() {
		if h = l.ledger.peers[id]; h == nil {
			h = &history{
				id: id, server: s.role != client, keeps: s.role != forgetful,
				narrow: s.role == fewStreams || s.role == fewDescriptors,
			}
			l.ledger.peers[id] = h
		}
		h.lives = append(h.lives, lf)
	})
	return h
}

// place puts a node that is up into its slot.
func (l *lab) place(s *slot, n node, h *history) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.node, s.history, s.joined = n, h, false
}

// end ends the process of a slot with a signal, and leaves the slot down.
func (l *lab) end(s *slot, signal os.Signal) {
	s.busy.Lock()
	defer s.busy.Unlock()
	l.mu.Lock()
	n := s.node
	s.node = nil
	l.mu.Unlock()
	p, ok := n.(*process)
	if !ok {
		return
	}
	last := s.history.last()
	l.ledger.note(func() { last.ending = time.Now() })
	p.end(signal)
	l.ledger.note(func() { last.ended = time.Now() })
}

// dead returns the slots whose process has ended by itself, and leaves them down.
func (l *lab) dead() []*slot {
	l.mu.Lock()
	defer l.mu.Unlock()
	var dead []*slot
	for _, s := range l.slots {
		p, ok := s.node.(*process)
		if !ok {
			continue
		}
		select {
		case <-p.ended:
			s.node = nil
			dead = append(dead, s)
		default:
		}
	}
	return dead
}

// pause stops the process of a slot for a time, or until ctx ends.
func (l *lab) pause(ctx context.Context, s *slot, d time.Duration) {
	s.busy.Lock()
	defer s.busy.Unlock()
	p, ok := s.node.(*process)
	if !ok {
		return
	}
	last := s.history.last()
	l.setPaused(s, true)
	at := pause{stopping: time.Now()}
	p.stop()
	at.stopped = time.Now()
	i := len(last.pauses)
	l.ledger.note(func() { last.pauses = append(last.pauses, at) })
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
	l.ledger.note(func() { last.pauses[i].continuing = time.Now() })
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
	l.ledger.note(func() { last.pauses[i].resumed = time.Now() })
	l.setPaused(s, false)
}

func (l *lab) setPaused(s *slot, paused bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.paused = paused
}

// A chosen is a node that was picked, and the peer that it is.
type chosen struct {
	node node
	id   string
	role role
}

// pick returns a node that runs; nil if none does.
func (l *lab) pick(rng *rand.Rand) *chosen {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, i := range rng.Perm(len(l.slots)) {
		if s := l.slots[i]; s.node != nil && !s.paused && s.joined {
			return &chosen{s.node, s.history.id, s.role}
		}
	}
	return nil
}

// anyPeer returns the ID of a peer that is, or was, there, or in one of ten cases of one that never
// was.
func (l *lab) anyPeer(rng *rand.Rand) string {
	if rng.IntN(10) == 0 {
		return strangerID(rng)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.slots[rng.IntN(len(l.slots))].history.id
}

// strangerID returns the ID of a peer that does not exist.
func strangerID(rng *rand.Rand) string {
	var seed [32]byte
	for i := range seed {
		seed[i] = byte(rng.UintN(256)) //nolint:gosec // it fits
	}
	_, public, err := crypto.GenerateEd25519Key(strings.NewReader(string(seed[:])))
	if err != nil {
		panic(err) // it needs no more than 32 bytes
	}
	id, err := peer.IDFromPublicKey(public)
	if err != nil {
		panic(err) // the key is one
	}
	return id.String()
}

// count returns how many nodes run, are paused, and are down.
func (l *lab) count() (up, paused, down int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.slots {
		switch {
		case s.node == nil:
			down++
		case s.paused:
			paused++
		default:
			up++
		}
	}
	return up, paused, down
}

// close ends all nodes.
func (l *lab) close() {
	var ends sync.WaitGroup
	for _, s := range l.slots {
		ends.Go(func() {
			l.mu.Lock()
			n := s.node
			l.mu.Unlock()
			if n, ok := n.(*local); ok {
				n.close()
			}
			l.end(s, syscall.SIGTERM)
		})
	}
	ends.Wait()
	l.asker.close()
}
