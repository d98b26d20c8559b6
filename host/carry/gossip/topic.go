package gossip

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// maxHello is the number of peers up to which newcomers get a hello. Each newcomer
	// costs a message from every peer to every peer.
	maxHello = 32

	// defaultKeep is 51 s of five messages a second, and maxKeptBytes bounds the bytes of
	// kept messages, how many they may be.
	defaultKeep  = 256
	maxKeptBytes = 1 << 20

	// maxEvents bounds the events that wait to be read. While there are so many, messages
	// are left to pubsub, which drops them beyond burst.
	maxEvents = 1024
)

// An EventKind says what happened in a topic.
type EventKind uint8

const (
	// Message is a message of a peer, with its Data.
	Message EventKind = iota + 1

	// Hello is the hello of a peer, with its Data.
	Hello

	// Joined is a peer that takes part in the topic, and is connected. Its hello and its
	// first messages may come before, since pubsub reports them elsewhere.
	Joined

	// Left is a peer that has left the topic, or is connected no more.
	Left

	// Kept means that no peer is there: a message is kept, the Nth.
	Kept

	// Dropped means that the oldest N kept messages were dropped, since there are too many.
	Dropped

	// Sent means that N kept messages were sent.
	Sent
)

// An Event is something that happened in a topic.
type Event struct {
	Kind EventKind
	Peer peer.ID // of Message, Hello, Joined and Left
	Data []byte  // of Message and Hello
	N    int     // of Kept, Dropped and Sent
}

// A TopicConfig configures a [Topic]. The zero value of a field means its default.
type TopicConfig struct {
	// Hello is sent to peers that have joined, by up to 32 peers. It may be empty.
	Hello []byte

	// Validate, if not nil, reports whether data of a peer, of a message or a hello, is
	// good. Peers do not pass on other data. It is called with own data too, and must not
	// use the topic.
	Validate func(from peer.ID, data []byte) bool

	// Keep is how many messages are kept while no peer is there, for example until the peers
	// are connected again after a failure. They have 1 MiB together at most. If zero, 256; if
	// negative, none.
	Keep int
}

// A Topic is a topic of pubsub. Its methods are safe for concurrent use.
type Topic struct {
	node   *Node
	cfg    TopicConfig
	topic  *pubsub.Topic
	ctx    context.Context // of the owner
	stop   func()          // ends and awaits the owner
	done   chan struct{}   // closed when the owner ends
	look   chan struct{}   // buffered, length 1: a link was opened or closed
	repeat chan struct{}   // buffered, length 1: messages may have got lost
	asked  chan func()     // what other goroutines want the owner to do
	out    chan Event
	count  atomic.Int32 // members that are reached

	// The rest belongs to the owner.
	session uint64
	members map[peer.ID]member // peers that take part and are connected
	away    map[peer.ID]uint64 // peers that were reached, and may have missed messages: the first of them if it may be their first one, or 0
	kept    backlog
	flushed []chan<- struct{} // closed when nothing is kept
	sent    uint64            // messages
	recent  backlog           // the last frames of them
	orders  map[peer.ID]*order
	gaps    []gap
	events  []Event
}

// Join makes the node take part in a topic, until [Topic.Close].
func (n *Node) Join(name string, cfg TopicConfig) (*Topic, error) {
	if cfg.Keep == 0 {
		cfg.Keep = defaultKeep
	}
	t := &Topic{
		node:    n,
		cfg:     cfg,
		done:    make(chan struct{}),
		look:    make(chan struct{}, 1),
		repeat:  make(chan struct{}, 1),
		asked:   make(chan func()),
		out:     make(chan Event),
		session: rand.Uint64(),
		members: make(map[peer.ID]member),
		away:    make(map[peer.ID]uint64),
		orders:  make(map[peer.ID]*order),
	}
	n.name(name, 1)
	if err := t.start(name); err != nil {
		n.name(name, -1)
		return nil, fmt.Errorf("gossip: joining %s: %w", name, err)
	}
	n.mu.Lock()
	closed := n.closed
	if !closed {
		n.topics[t] = struct{}{}
	}
	n.mu.Unlock()
	if closed {
		t.stop()
		return nil, ErrClosed
	}
	poke(t.look) // a link may have been opened before
	return t, nil
}

// start connects the topic to pubsub.
func (t *Topic) start(name string) error {
	ps := t.node.pubsub
	if err := ps.RegisterTopicValidator(name, t.validate, pubsub.WithValidatorInline(true)); err != nil {
		return err
	}
	topic, err := ps.Join(name)
	if err != nil {
		_ = ps.UnregisterTopicValidator(name)
		return err
	}
	t.topic = topic
	peers, err := topic.EventHandler()
	if err != nil {
		return err
	}
	messages, err := topic.Subscribe(pubsub.WithBufferSize(burst))
	if err != nil {
		return err
	}
	var cancel context.CancelFunc
	t.ctx, cancel = context.WithCancel(t.node.ctx)
	var running sync.WaitGroup
	changes, arrivals := pump(t.ctx, &running, peers.NextPeerEvent), pump(t.ctx, &running, messages.Next)
	running.Go(func() {
		defer close(t.out)
		defer close(t.done)
		t.own(changes, arrivals)
	})
	t.stop = func() {
		cancel()
		messages.Cancel()
		peers.Cancel()
		running.Wait()
	}
	return nil
}

// pump makes a channel of a function that blocks.
func pump[T any](ctx context.Context, wg *sync.WaitGroup, next func(context.Context) (T, error)) <-chan T {
	out := make(chan T)
	wg.Go(func() {
		for {
			v, err := next(ctx)
			if err != nil {
				return // ctx has ended
			}
			select {
			case out <- v:
			case <-ctx.Done():
				return
			}
		}
	})
	return out
}

// validate refuses frames and data that are not good, so that they are not passed on.
func (t *Topic) validate(_ context.Context, _ peer.ID, msg *pubsub.Message) bool {
	f, err := parseFrame(msg.GetData())
	if err != nil {
		return false
	}
	msg.ValidatorData = f
	if f.kind == frameHello && len(f.data) == 0 {
		return true
	}
	return t.cfg.Validate == nil || t.cfg.Validate(msg.GetFrom(), f.data)
}

// Close leaves the topic. Messages that were published just before may be lost: close
// the [Node] alone to wait for them. Closing twice is fine.
func (t *Topic) Close() error {
	t.node.mu.Lock()
	_, open := t.node.topics[t]
	delete(t.node.topics, t)
	closed := t.node.closed
	t.node.mu.Unlock()
	if !open || closed {
		return nil
	}
	t.node.name(t.topic.String(), -1)
	t.stop()
	if err := t.topic.Close(); err != nil {
		return fmt.Errorf("gossip: leaving %s: %w", t.topic.String(), err)
	}
	return t.node.pubsub.UnregisterTopicValidator(t.topic.String())
}

// Events returns the channel of events, which is closed with the topic. Read it all the
// time: see Limits of the package.
func (t *Topic) Events() <-chan Event { return t.out }

// Peers returns the number of peers that a message which is published now is sent to.
func (t *Topic) Peers() int { return int(t.count.Load()) }

// do runs f in the goroutine of the owner.
func (t *Topic) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case t.asked <- func() { f(); close(done) }:
		<-done
		return nil
	case <-t.done:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// own is the goroutine that owns the topic.
func (t *Topic) own(changes <-chan pubsub.PeerEvent, arrivals <-chan *pubsub.Message) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		var out chan<- Event
		var first Event
		if len(t.events) > 0 {
			out, first = t.out, t.events[0]
		}
		if len(t.gaps) > 0 {
			timer.Reset(time.Until(t.gaps[0].until))
		}
		changes, arrivals := changes, arrivals
		if len(t.events) >= maxEvents {
			changes, arrivals = nil, nil
		}
		select {
		case out <- first:
			t.events = t.events[1:]
			continue
		case e := <-changes:
			t.changed(e)
		case m := <-arrivals:
			t.received(m)
		case do := <-t.asked:
			do()
		case <-t.look:
		case <-t.repeat:
			t.repeatRecent()
		case <-timer.C:
			t.closeGaps(time.Now())
		case <-t.ctx.Done():
			return
		}
		t.reach()
	}
}

// notify queues an event.
func (t *Topic) notify(e Event) { t.events = append(t.events, e) }

// changed handles that a peer has joined or left.
func (t *Topic) changed(e pubsub.PeerEvent) {
	if e.Type == pubsub.PeerJoin {
		t.members[e.Peer] = member{}
		t.notify(Event{Kind: Joined, Peer: e.Peer})
		return
	}
	if _, ok := t.members[e.Peer]; ok {
		t.unreach(e.Peer)
		delete(t.members, e.Peer)
		t.notify(Event{Kind: Left, Peer: e.Peer})
	}
}
