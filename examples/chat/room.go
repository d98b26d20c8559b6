package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/carry/gossip"
)

const (
	// maxKept bounds the lines that wait for another peer.
	maxKept = 256

	// maxEarly bounds the nicks of peers that are not members yet.
	maxEarly = 32
)

// An eventKind says what happened in a room.
type eventKind uint8

const (
	eventLine    eventKind = iota // nick said text
	eventJoined                   // nick is here now, by via, with n others
	eventLeft                     // nick is gone, n others are here
	eventKept                     // no peer is here: a line is kept, the n-th
	eventLost                     // the n oldest kept lines are dropped
	eventSent                     // n kept lines were sent
	eventVia                      // nick is connected in another way now, by via
	eventRenamed                  // nick is called text now
)

// An event is something to show.
type event struct {
	kind       eventKind
	nick, text string
	n          int
	via        kad.Via
}

// A room is a place to talk: a topic of package gossip, whose messages have nicks. One
// goroutine owns it.
type room struct {
	host   lhost.Host
	nick   string
	notify func(event) // called by the owner alone
	node   *gossip.Node
	topic  *gossip.Topic
	conns  chan struct{} // buffered, length 1: a connection was opened or closed
	close  func()        // leaves, after the lines have been sent

	// The rest belongs to the owner.
	members map[peer.ID]*member
	nicks   map[string]peer.ID // of members: a nick belongs to the first that has it
	early   map[peer.ID]string // nicks that came before their members
}

// A member is a peer in the room that is connected.
type member struct {
	nick string // as it is shown; "" until it is known
	via  kad.Via
}

// topicOf is the name of a room in PubSub, and in the DHT. It has the network in it, so
// that rooms of different networks never mix.
func topicOf(network, name string) string {
	return network + "/room/" + name
}

// joinRoom makes a host take part in a room until close.
func joinRoom(host lhost.Host, topic, nick string, notify func(event)) (*room, error) {
	r := &room{
		host:    host,
		nick:    nick,
		notify:  notify,
		conns:   make(chan struct{}, 1),
		members: make(map[peer.ID]*member),
		nicks:   make(map[string]peer.ID),
		early:   make(map[peer.ID]string),
	}
	hello, err := json.Marshal(message{Nick: nick})
	if err != nil {
		return nil, err
	}
	if r.node, err = gossip.New(host, gossip.Config{}); err != nil {
		return nil, fmt.Errorf("joining the room: %w", err)
	}
	if r.topic, err = r.node.Join(topic, gossip.TopicConfig{Hello: hello, Validate: validate, Keep: maxKept}); err != nil {
		_ = r.node.Close()
		return nil, fmt.Errorf("joining the room: %w", err)
	}
	changed := func(network.Network, network.Conn) {
		select {
		case r.conns <- struct{}{}:
		default:
		}
	}
	watcher := &network.NotifyBundle{ConnectedF: changed, DisconnectedF: changed}
	host.Network().Notify(watcher)
	var owner sync.WaitGroup
	owner.Go(r.own)
	r.close = sync.OnceFunc(func() {
		host.Network().StopNotify(watcher)
		_ = r.node.Close()
		owner.Wait()
	})
	return r, nil
}

// validate reports whether data is a message of a chat, so that other data is not passed on.
func validate(_ peer.ID, data []byte) bool {
	_, err := parseMessage(data)
	return err == nil
}

// say sends a line to the room. If no other peer is there, it is kept for the first that
// comes.
func (r *room) say(ctx context.Context, text string) error {
	if text = cleanText(text); text == "" {
		return nil
	}
	data, err := json.Marshal(message{Nick: r.nick, Text: text})
	if err != nil {
		return err
	}
	return r.topic.Publish(ctx, data)
}

// own is the goroutine that owns the room. It ends with the topic.
func (r *room) own() {
	for {
		select {
		case e, ok := <-r.topic.Events():
			if !ok {
				return
			}
			r.happened(e)
		case <-r.conns:
			r.look()
		}
	}
}

// happened handles an event of the topic.
func (r *room) happened(e gossip.Event) {
	switch e.Kind {
	case gossip.Joined:
		r.joined(e.Peer)
	case gossip.Left:
		r.left(e.Peer)
	case gossip.Hello, gossip.Message:
		m, err := parseMessage(e.Data)
		if err != nil {
			return
		}
		if nick := r.nickOf(e.Peer, m.Nick); m.Text != "" {
			r.notify(event{kind: eventLine, nick: nick, text: m.Text})
		}
	case gossip.Kept:
		r.notify(event{kind: eventKept, n: e.N})
	case gossip.Dropped:
		r.notify(event{kind: eventLost, n: e.N})
	case gossip.Sent:
		r.notify(event{kind: eventSent, n: e.N})
	}
}

// joined handles that a peer has joined. It is shown when its nick is known.
func (r *room) joined(id peer.ID) {
	r.members[id] = &member{via: viaOf(r.host.Network().ConnsToPeer(id), 0)}
	if nick, ok := r.early[id]; ok {
		delete(r.early, id)
		r.nickOf(id, nick)
	}
}

// left handles that a peer has left.
func (r *room) left(id peer.ID) {
	m := r.members[id]
	delete(r.members, id)
	if m != nil && m.nick != "" {
		delete(r.nicks, m.nick)
		r.notify(event{kind: eventLeft, nick: m.nick, n: len(r.nicks)})
	}
}

// nickOf returns the nick to show for a peer. A nick that another peer in the room has,
// or this one, gets the end of the peer's ID.
func (r *room) nickOf(from peer.ID, given string) string {
	nick := given
	if owner, taken := r.nicks[nick]; nick == r.nick || (taken && owner != from) {
		nick += "~" + shortID(from)
	}
	m := r.members[from]
	if m == nil { // it is about to join, or other peers pass its messages on
		if len(r.early) >= maxEarly {
			clear(r.early)
		}
		r.early[from] = given
		return nick
	}
	if m.nick == nick {
		return nick
	}
	before := m.nick
	delete(r.nicks, before)
	m.nick = nick
	r.nicks[nick] = from
	if before == "" {
		r.notify(event{kind: eventJoined, nick: nick, n: len(r.nicks), via: m.via})
	} else {
		r.notify(event{kind: eventRenamed, nick: before, text: nick})
	}
	return nick
}

// look shows members that are connected in another way than before.
func (r *room) look() {
	for id, m := range r.members {
		via := viaOf(r.host.Network().ConnsToPeer(id), m.via)
		if via == m.via {
			continue
		}
		m.via = via
		if m.nick != "" {
			r.notify(event{kind: eventVia, nick: m.nick, via: via})
		}
	}
}
