package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
)

const (
	// maxKept bounds the lines that wait for somebody to hear them.
	maxKept = 20

	// maxGreeted is the size of a room up to which newcomers are told who is
	// there: it costs a message of everybody to everybody. In larger ones, a
	// nick is known when it says something.
	maxGreeted = 32

	// maxFrame bounds what PubSub sends in one piece, in bytes.
	maxFrame = 64 << 10

	// burst is how many messages may wait at each stage on their way: what
	// comes beyond it is dropped by PubSub.
	burst = 1024
)

// An eventKind says what happened in a room.
type eventKind uint8

const (
	eventLine   eventKind = iota // Nick said Text
	eventJoined                  // Nick is here now, by Via, with N others
	eventLeft                    // Nick is gone, N others are here
	eventKept                    // nobody is here: what was said is kept, N lines so far
	eventLost                    // and the oldest of them is forgotten
	eventSent                    // N kept lines were sent to those who are here now
	eventVia                     // Nick is connected in another way now, by Via
)

// An event is something to show.
type event struct {
	kind       eventKind
	nick, text string
	n          int
	via        kad.Via
}

// A room is a place to talk: a topic of PubSub. One goroutine owns what happens
// in it.
type room struct {
	host   lhost.Host
	nick   string
	notify func(event)   // called by the owner alone
	left   chan struct{} // buffered, length 1: somebody has left
	topic  *pubsub.Topic
	links  *links
	conns  *carrier
	asked  chan func()  // what others want the owner to do
	people atomic.Int32 // who hear what is said, without us
	leave  func()       // leaves; see close

	// The rest belongs to the owner.
	members map[peer.ID]*member
	nicks   map[string]peer.ID // of members: a nick belongs to who had it first
	early   map[peer.ID]string // nicks of those who spoke before PubSub said that they came
	kept    []string
	said    uint64               // lines
	recent  []message            // the last of them
	heard   map[peer.ID]*hearing // what others said
	parted  map[peer.ID]struct{} // who were here, and may have missed some of what was said last
	flushed []chan<- struct{}    // closed when nothing is kept
}

// A member is a peer in the room that we are connected to.
type member struct {
	nick    string // as it is shown; "" until it has said something
	reached bool   // hears what we say
	via     kad.Via
}

// topicOf is the name of a room in PubSub, and in the DHT: it holds the network,
// so that rooms of different networks never mix.
func topicOf(network, name string) string {
	return network + "/room/" + name
}

// joinRoom makes host take part in a room until close, which has goodbyes to
// say when ctx may have ended.
func joinRoom(ctx context.Context, host lhost.Host, topic, nick string, notify func(event)) (*room, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	r := &room{
		host:    host,
		nick:    nick,
		notify:  notify,
		left:    make(chan struct{}, 1),
		links:   newLinks(),
		conns:   newCarrier(host),
		asked:   make(chan func()),
		members: make(map[peer.ID]*member),
		nicks:   make(map[string]peer.ID),
		early:   make(map[peer.ID]string),
		heard:   make(map[peer.ID]*hearing),
		parted:  make(map[peer.ID]struct{}),
	}
	if err := r.start(ctx, cancel, topic); err != nil {
		cancel()
		_ = r.conns.Close()
		return nil, fmt.Errorf("joining the room: %w", err)
	}
	return r, nil
}

// start connects the room to PubSub, which runs until ctx ends.
func (r *room) start(ctx context.Context, cancel context.CancelFunc, topic string) error {
	ps, err := pubsub.NewGossipSub(ctx, r.conns,
		pubsub.WithFloodPublish(true), // what we say goes to everybody we are connected to, from the first moment
		pubsub.WithValidateWorkers(1), // more of them would shuffle what one peer says
		pubsub.WithMaxMessageSize(maxFrame),
		pubsub.WithPeerOutboundQueueSize(burst),
		pubsub.WithValidateQueueSize(burst),
		pubsub.WithRawTracer(r.links),
	)
	if err != nil {
		return err
	}
	if err := ps.RegisterTopicValidator(topic, validate, pubsub.WithValidatorInline(true)); err != nil {
		return err
	}
	if r.topic, err = ps.Join(topic); err != nil {
		return err
	}
	comings, err := r.topic.EventHandler()
	if err != nil {
		return err
	}
	messages, err := r.topic.Subscribe(pubsub.WithBufferSize(burst))
	if err != nil {
		return err
	}

	owning, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	came, said := pump(owning, &wg, comings.NextPeerEvent), pump(owning, &wg, messages.Next)
	wg.Go(func() { r.own(owning, came, said) })
	r.leave = sync.OnceFunc(func() {
		r.drain()
		stop()
		wg.Wait()
		cancel()
		r.awaitReaders()
		_ = r.conns.Close()
	})
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

// validate refuses what is no message of a chat, so that nobody passes it on.
func validate(_ context.Context, _ peer.ID, msg *pubsub.Message) bool {
	m, err := parseMessage(msg.GetData())
	msg.ValidatorData = m
	return err == nil
}

// own is the goroutine that owns the room.
func (r *room) own(ctx context.Context, comings <-chan pubsub.PeerEvent, messages <-chan *pubsub.Message) {
	for {
		select {
		case e := <-comings:
			r.came(e)
		case m := <-messages:
			r.received(ctx, m)
		case do := <-r.asked:
			do()
		case <-r.links.changed:
		case <-r.conns.changed:
			r.look()
		case <-r.conns.lost:
			r.sayAgain(ctx)
		case <-ctx.Done():
			return
		}
		r.greet(ctx)
	}
}

// came handles that a peer has joined or left.
func (r *room) came(e pubsub.PeerEvent) {
	if e.Type == pubsub.PeerJoin {
		r.members[e.Peer] = &member{via: viaOf(r.host.Network().ConnsToPeer(e.Peer), 0)}
		r.host.ConnManager().Protect(e.Peer, r.topic.String()) // friends are not cut off
		if nick, ok := r.early[e.Peer]; ok {
			delete(r.early, e.Peer)
			r.nickOf(e.Peer, nick)
		}
		return
	}
	m := r.members[e.Peer]
	if m == nil {
		return
	}
	delete(r.members, e.Peer)
	r.host.ConnManager().Unprotect(e.Peer, r.topic.String())
	r.unreach(e.Peer, m)
	if m.nick != "" {
		delete(r.nicks, m.nick)
		r.notify(event{kind: eventLeft, nick: m.nick, n: r.others()})
	}
	poke(r.left)
}

// unreach notes that a member does not hear us any more.
func (r *room) unreach(id peer.ID, m *member) {
	if !m.reached {
		return
	}
	m.reached = false
	r.people.Add(-1)
	if len(r.parted) >= maxHeard {
		clear(r.parted)
	}
	r.parted[id] = struct{}{}
}

// others is how many have told who they are.
func (r *room) others() int {
	return len(r.nicks)
}

// greet tells peers that have become reachable who we are, and what we said
// before anybody was there.
func (r *room) greet(ctx context.Context) {
	fresh, again := false, false
	for id, m := range r.members {
		if !r.links.to(id) {
			r.unreach(id, m)
			continue
		}
		if !m.reached {
			m.reached = true
			r.people.Add(1)
			fresh = true
			if _, ok := r.parted[id]; ok {
				delete(r.parted, id)
				again = true
			}
		}
	}
	if !fresh {
		return
	}
	if len(r.members) <= maxGreeted {
		_ = r.publish(ctx, message{Nick: r.nick, No: r.said + 1}) // fails only if we are leaving
	}
	if again {
		r.sayAgain(ctx)
	}
	sent := 0
	for len(r.kept) > 0 && r.publishLine(ctx, r.kept[0]) == nil {
		r.kept = r.kept[1:]
		sent++
	}
	if sent > 0 {
		r.notify(event{kind: eventSent, n: sent})
	}
	r.tellFlushed()
}

// received handles a message. Who sent it is certain, since it is signed; what
// it says is not.
func (r *room) received(ctx context.Context, msg *pubsub.Message) {
	from := msg.GetFrom()
	m, ok := msg.ValidatorData.(message)
	if from == r.host.ID() || !ok {
		return
	}
	line := event{kind: eventLine, nick: r.nickOf(from, m.Nick), text: m.Text}
	switch {
	case m.No == 0 && m.Text != "":
		r.notify(line)
	case m.No == 0:
	case m.Text == "":
		r.hearingOf(from).expect(m.No)
	default:
		r.hear(ctx, r.hearingOf(from), m.No, line)
	}
}

// nickOf returns the nick to show for a peer. A nick that somebody else in the
// room has, or that is ours, gets the end of the peer's ID.
func (r *room) nickOf(from peer.ID, given string) string {
	nick := given
	if owner, taken := r.nicks[nick]; nick == r.nick || (taken && owner != from) {
		nick += "~" + shortID(from)
	}
	m := r.members[from]
	if m == nil { // it is about to come, or others pass its words on
		if len(r.early) >= maxGreeted {
			clear(r.early)
		}
		r.early[from] = given
		return nick
	}
	if m.nick == nick {
		return nick
	}
	known := m.nick != ""
	delete(r.nicks, m.nick)
	m.nick = nick
	r.nicks[nick] = from
	if !known {
		r.notify(event{kind: eventJoined, nick: nick, n: r.others(), via: m.via})
	}
	return nick
}

// do runs f in the goroutine of the owner.
func (r *room) do(ctx context.Context, f func()) error {
	done := make(chan struct{})
	select {
	case r.asked <- func() { f(); close(done) }:
		<-done
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
