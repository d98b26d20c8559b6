package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/ipfs/go-cid"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/mattn/go-isatty"
	"golang.org/x/sync/errgroup"

	"github.com/go-kad/kad/examples/internal/app"
	kad "github.com/go-kad/kad/host"
)

const (
	demoNodes   = 20
	demoTimeout = 20 * time.Second

	demoEvents = 1024 // that wait to be shown

	// demoK is so much less than the usual 20 that 20 nodes do not all know each
	// other, and a lookup has a way to go.
	demoK = 4
)

var errDemoTimeout = fmt.Errorf("the demo is not over after %v", demoTimeout)

// A demo is the story of two people that find each other in a DHT. It uses what the chat
// uses, and shows each step.
type demo struct {
	opts  options
	topic string  // of the room
	key   cid.Cid // of the room, in the DHT
	out   io.Writer
	live  bool
	nodes []*node
	ann   *actor
	bob   *actor
	steps []step
}

// A node is a peer that serves the DHT, and does not chat.
type node struct {
	host lhost.Host
	dht  *kad.DHT
}

// An actor is a chatter whose events the demo waits for.
type actor struct {
	*chatter
	name   string
	events chan event
}

// A step is a line of the table at the end.
type step struct {
	what string
	took time.Duration
}

// runDemo writes the story to out. An error says what failed.
func runDemo(ctx context.Context, o options, out io.Writer) error {
	ctx, cancel := context.WithTimeoutCause(ctx, demoTimeout, errDemoTimeout)
	defer cancel()
	f, ok := out.(*os.File)
	d := &demo{opts: o, out: out, live: ok && isatty.IsTerminal(f.Fd())}
	d.opts.k = demoK
	d.topic = topicOf(o.network, o.room)
	var err error
	if d.key, err = kad.NamespaceCID(d.topic); err != nil {
		return err
	}
	if len(d.opts.listen) == 0 {
		d.opts.listen = []string{"/ip4/127.0.0.1/tcp/0"}
	}
	defer d.close()
	start := time.Now()
	d.say("A chat without a server: %d nodes on this machine form a distributed hash table", demoNodes)
	d.say("(with K = %d instead of 20, so that none knows them all). Ann and Bob know one node", demoK)
	d.say("each, and nothing of each other but the name of a room.\n")
	for _, part := range []struct {
		what string
		play func(context.Context) error
	}{
		{fmt.Sprintf("starting %d nodes", demoNodes), d.startNodes},
		{"ann joining", func(ctx context.Context) (err error) { d.ann, err = d.join(ctx, "ann", 0); return err }},
		{"ann announcing herself", d.announce},
		{"bob joining", func(ctx context.Context) (err error) { d.bob, err = d.join(ctx, "bob", 1); return err }},
		{"bob finding ann", d.find},
		{"the two talking", d.talk},
	} {
		if err := part.play(ctx); err != nil {
			if cause := context.Cause(ctx); cause != nil && !strings.Contains(err.Error(), cause.Error()) {
				err = fmt.Errorf("%w: %w", cause, err) // the cause comes first
			}
			return fmt.Errorf("demo: %s failed: %w", part.what, err)
		}
	}
	d.summary(time.Since(start))
	return nil
}

// say writes a line.
func (d *demo) say(format string, args ...any) {
	_, _ = fmt.Fprintf(d.out, format+"\n", args...)
}

// took notes how long a step took, for the table, and returns it as text.
func (d *demo) took(what string, t time.Duration) string {
	d.steps = append(d.steps, step{what, t})
	return short(t)
}

// short writes a duration with three digits.
func short(t time.Duration) string {
	unit := time.Microsecond
	for t >= 1000*unit {
		unit *= 10
	}
	return t.Round(unit).String()
}

// startNodes starts the nodes, each of which joins through an earlier one.
func (d *demo) startNodes(ctx context.Context) error {
	start := time.Now()
	for i := range demoNodes {
		var through []peer.AddrInfo
		if i > 0 {
			through = d.nodes[i/2].info()
		}
		host, dht, err := app.Node(d.opts.listen, kad.Config{Network: d.opts.network, Bootstrap: through, K: demoK})
		if err != nil {
			return err
		}
		d.nodes = append(d.nodes, &node{host, dht})
	}
	joined, ctx := errgroup.WithContext(ctx)
	for i, n := range d.nodes {
		joined.Go(func() error {
			if err := n.dht.Ready(ctx); err != nil {
				return fmt.Errorf("node %d: %w", i, err)
			}
			return n.dht.Bootstrap(ctx)
		})
	}
	if err := joined.Wait(); err != nil {
		return err
	}
	d.say("%d nodes up in %s", demoNodes, d.took("nodes up", time.Since(start)))
	return nil
}

// info is what a peer needs to join through a node.
func (n *node) info() []peer.AddrInfo {
	return []peer.AddrInfo{{ID: n.host.ID(), Addrs: n.host.Addrs()}}
}

// join starts a chatter that joins through one of the nodes that are farthest
// from the key of the room: 0 is the farthest.
func (d *demo) join(ctx context.Context, name string, nth int) (*actor, error) {
	through := d.byDistance(d.key.Hash())[len(d.nodes)-1-nth]
	start := time.Now()
	a := &actor{name: name, events: make(chan event, demoEvents)}
	o := d.opts
	o.nick = name
	o.bootstrap = d.nodes[through].info()
	var err error
	if a.chatter, err = newChatter(o, func(e event) { a.events <- e }); err != nil {
		return nil, err
	}
	if err := a.dht.Ready(ctx); err != nil {
		a.close()
		return nil, err
	}
	d.say("%s joined through node %d in %s (ready, %s)",
		name, through, d.took(name+" joined", time.Since(start)), count(a.dht.Stats().Contacts, "contact"))
	return a, nil
}

// byDistance returns the numbers of the nodes, the closest to a key first.
func (d *demo) byDistance(key []byte) []int {
	order := make([]int, len(d.nodes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(i, j int) int {
		return sharedBits([]byte(d.nodes[j].host.ID()), key) - sharedBits([]byte(d.nodes[i].host.ID()), key)
	})
	return order
}

// progress returns what shows a lookup of the key of the room.
func (d *demo) progress() *progress {
	key := []byte(d.key.Hash())
	closest := d.nodes[d.byDistance(key)[0]]
	return &progress{out: d.out, live: d.live, room: d.opts.room, key: key, goal: sharedBits([]byte(closest.host.ID()), key)}
}

// announce lets ann announce that she is in the room.
func (d *demo) announce(ctx context.Context) error {
	d.say("\nA room has a key, the hash of its name, and so has a node. The more bits the two share")
	d.say("at the beginning, the closer is the node. Ann looks for the closest ones, each of which")
	d.say("names closer ones, and tells those at the end that she is in the room:")
	start := time.Now()
	ctx, trace := kad.WithTrace(ctx)
	watched, done := d.progress().watch(ctx)
	receipt, err := d.ann.dht.Announce(watched, d.key)
	done()
	if err != nil {
		return err
	}
	cost := trace.Stats()
	d.say("ann announces: stored by %d of %d (%s, %s, %s)",
		len(receipt.Stored), receipt.Wanted, count(cost.Requests, "request"), count(cost.Hops, "hop"), d.took("ann announced", time.Since(start)))
	return nil
}

// find lets bob search the room, and connect to ann.
func (d *demo) find(ctx context.Context) error {
	d.say("\nBob hashes the name too, and asks on the way to the same key who is in the room:")
	start := time.Now()
	var found time.Duration
	watched, done := d.progress().watch(ctx)
	for info, err := range d.bob.dht.Discover(watched, d.topic, 0) {
		if err != nil {
			done()
			return err
		}
		if info.ID == d.ann.host.ID() {
			found = time.Since(start)
			d.bob.host.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.TempAddrTTL)
		}
	}
	done()
	if found == 0 {
		return errors.New("the nodes that he asked do not know of ann")
	}
	d.say("bob finds ann in %s", d.took("bob found ann", found))
	if _, err := d.bob.dht.Connect(ctx, d.ann.host.ID()); err != nil {
		return err
	}
	for _, a := range []*actor{d.ann, d.bob} {
		if err := a.await(ctx, eventJoined, ""); err != nil {
			return err
		}
	}
	d.say("connected: both are in the room after %s", d.took("in the room together", time.Since(start)))
	return nil
}

// talk lets the two exchange some lines.
func (d *demo) talk(ctx context.Context) error {
	d.say("")
	start := time.Now()
	for i, text := range []string{
		"hello! who is there?",
		"hi ann, it is bob. how did I find you?",
		"we hashed the name of the room, and asked the nodes that are closest to it",
		"so nobody runs a server :)",
	} {
		from, to := d.ann, d.bob
		if i%2 == 1 {
			from, to = to, from
		}
		if err := from.room.say(ctx, text); err != nil {
			return err
		}
		if err := to.await(ctx, eventLine, text); err != nil {
			return err
		}
		d.say("  %s: %s", from.name, text)
	}
	d.took("four lines, heard", time.Since(start))
	return nil
}

// await waits for an event: of a kind, and with a text.
func (a *actor) await(ctx context.Context, kind eventKind, text string) error {
	for {
		select {
		case e := <-a.events:
			if e.kind == kind && e.text == text {
				return nil
			}
		case <-ctx.Done():
			if kind == eventJoined {
				return fmt.Errorf("%s has not seen the other in the room", a.name)
			}
			return fmt.Errorf("%s has not heard %q", a.name, text)
		}
	}
}

// summary writes the table of the steps.
func (d *demo) summary(total time.Duration) {
	d.say("")
	table := tabwriter.NewWriter(d.out, 0, 0, 2, ' ', 0)
	for _, s := range append(d.steps, step{"all of it", total}) {
		_, _ = fmt.Fprintf(table, "%s\t%s\n", s.what, short(s.took))
	}
	_ = table.Flush()
}

// close ends all nodes at the same time.
func (d *demo) close() {
	var wg sync.WaitGroup
	for _, a := range []*actor{d.ann, d.bob} {
		if a != nil {
			wg.Go(a.close)
		}
	}
	wg.Wait() // they say goodbye while the nodes are there
	for _, n := range d.nodes {
		wg.Go(func() {
			_ = n.dht.Close()
			_ = n.host.Close()
		})
	}
	wg.Wait()
}
