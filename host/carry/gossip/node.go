package gossip

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"

	"github.com/go-kad/kad/host/carry"
)

const (
	// burst is how many messages may wait at each stage on their way. pubsub drops
	// messages beyond it.
	burst = 1024

	// drainTimeout bounds how long Close waits for the queues of pubsub.
	drainTimeout = time.Second
)

// ErrClosed is returned when the topic or its node is closed.
var ErrClosed = errors.New("gossip: closed")

// A Config configures a [Node]. The zero value of a field means its default.
type Config struct {
	// MaxMessage is the size of the largest message of pubsub on the wire, in bytes: data
	// with about 200 bytes around it. If zero, 64 KiB. All peers must agree on it.
	MaxMessage int

	// Options are further options of GossipSub.
	Options []pubsub.Option
}

// A Node is GossipSub on a host, over relayed and direct connections. Its methods are
// safe for concurrent use.
type Node struct {
	host   *carry.Host
	pubsub *pubsub.PubSub
	links  *links
	ctx    context.Context // of pubsub
	cancel context.CancelFunc
	close  func() error

	mu     sync.Mutex
	closed bool
	topics map[*Topic]struct{}
	names  map[string]int // of topics that pubsub tells other peers, with how often they are joined
}

// New starts GossipSub on a host. The host stays yours: close it after the node.
func New(h lhost.Host, cfg Config) (*Node, error) {
	if cfg.MaxMessage <= 0 {
		cfg.MaxMessage = 64 << 10
	}
	n := &Node{topics: make(map[*Topic]struct{}), names: make(map[string]int)}
	n.close = sync.OnceValue(n.shutDown)
	n.links = newLinks(h.ID(), func() { n.each(func(t *Topic) { poke(t.look) }) })
	n.host = carry.New(h, carry.Config{
		MaxMessage: cfg.MaxMessage,
		Lost:       func(peer.ID) { n.each(func(t *Topic) { poke(t.repeat) }) },
		Begun:      n.links.begun,
		Greeting:   n.greeting,
	})
	n.ctx, n.cancel = context.WithCancel(context.Background())
	var err error
	n.pubsub, err = pubsub.NewGossipSub(n.ctx, n.host, append([]pubsub.Option{
		pubsub.WithFloodPublish(true), // to all connected peers, from the first moment
		pubsub.WithValidateWorkers(1), // more of them would change the order of messages
		pubsub.WithMaxMessageSize(cfg.MaxMessage),
		pubsub.WithPeerOutboundQueueSize(burst),
		pubsub.WithValidateQueueSize(burst),
		pubsub.WithRawTracer(n.links),
	}, cfg.Options...)...)
	if err != nil {
		n.cancel()
		_ = n.host.Close()
		return nil, err
	}
	return n, nil
}

// greeting returns what tells a peer the topics of the node, with its length in front.
//
// pubsub v0.19.0 tells them at the beginning of a stream alone. Its peer forgets them when
// the stream in the other direction ends, for instance with a connection that was
// replaced, and takes the node for gone.
func (n *Node) greeting() []byte {
	var rpc pb.RPC
	n.mu.Lock()
	for name := range n.names {
		rpc.Subscriptions = append(rpc.Subscriptions, &pb.RPC_SubOpts{Topicid: new(name), Subscribe: new(true)})
	}
	n.mu.Unlock()
	b, err := proto.Marshal(&rpc)
	if err != nil || len(b) == 0 {
		return nil // a topic whose name is not UTF-8: pubsub cannot tell it either
	}
	return append(binary.AppendUvarint(nil, uint64(len(b))), b...)
}

// name makes a topic part of the greeting, as often as it is joined, or takes it out.
func (n *Node) name(topic string, times int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.names[topic] += times; n.names[topic] == 0 {
		delete(n.names, topic)
	}
}

// each calls f with the topics. f must not block.
func (n *Node) each(f func(*Topic)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for t := range n.topics {
		f(t)
	}
}

// Close leaves all topics. It waits until what was published has been written and read
// by connected peers, but not longer than one and a half seconds. Closing twice is fine.
func (n *Node) Close() error { return n.close() }

func (n *Node) shutDown() error {
	n.mu.Lock()
	n.closed = true
	var topics []*Topic
	for t := range n.topics {
		topics = append(topics, t)
	}
	n.mu.Unlock()
	n.drain()
	for _, t := range topics {
		t.stop()
	}
	n.cancel()
	return n.host.Close()
}

// drain waits until all published messages have been written.
func (n *Node) drain() {
	timeout := time.NewTimer(drainTimeout)
	defer timeout.Stop()
	for range 2 {
		select {
		case <-n.links.drained():
			n.pubsub.GetTopics() // comes back when pubsub has sent the message that it is sending
		case <-timeout.C:
			return
		}
	}
}

// poke sends on a channel of length 1. Several signals that were not read yet are one.
func poke(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
