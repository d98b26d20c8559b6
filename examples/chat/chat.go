package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/mattn/go-isatty"

	kad "github.com/go-kad/kad/host"
)

const (
	// pipePatience is how long the lines of a pipe wait for somebody to hear
	// them, after its end.
	pipePatience = 10 * time.Second

	// readyPatience is how long joining may take before the user is told why it
	// does.
	readyPatience = 3 * time.Second

	// linePause is the pause between two lines that are sent: a pasted book
	// should not flood the room. Nobody types that fast.
	linePause = 5 * time.Millisecond

	// announcementAge is how long this node keeps the announcements of others.
	// Who is there announces more often; who has crashed is forgotten sooner
	// than after the two days that are the default.
	announcementAge = time.Hour
)

// A chatter is all that takes part in a chat: a libp2p host, a DHT on it, a room
// to talk in, and a finder that brings the others there.
type chatter struct {
	host   lhost.Host
	dht    *kad.DHT
	room   *room
	finder *finder
}

// newChatter puts the parts together. Nobody is searched yet: see finder.
func newChatter(ctx context.Context, o options, notify func(event)) (*chatter, error) {
	c := &chatter{}
	var err error
	c.host, c.dht, err = newNode(o.listen, kad.Config{
		Network:    o.network,
		Bootstrap:  o.bootstrap,
		RecordAge:  announcementAge,
		K:          o.k,
		OfferRelay: o.offerRelay,
	})
	if err != nil {
		return nil, err
	}
	if err := c.enter(ctx, o, notify); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// enter makes the node part of the room.
func (c *chatter) enter(ctx context.Context, o options, notify func(event)) (err error) {
	topic := topicOf(o.network, o.room)
	if c.room, err = joinRoom(ctx, c.host, topic, o.nick, notify); err != nil {
		return err
	}
	// The namespace in the DHT is the name of the room in PubSub.
	if c.finder, err = newFinder(c.dht, topic); err != nil {
		return err
	}
	c.finder.connect = c.connect
	c.finder.people = func() int { return int(c.room.people.Load()) }
	c.finder.left = c.room.left
	return nil
}

// connect connects to a friend, wherever that is, and waits for a direct connection
// as long as ctx. If none comes, a relayed one will do: libp2p goes on to punch.
func (c *chatter) connect(ctx context.Context, friend peer.AddrInfo) error {
	c.host.Peerstore().AddAddrs(friend.ID, friend.Addrs, peerstore.TempAddrTTL)
	_, err := c.dht.Connect(ctx, friend.ID)
	return err
}

// close leaves the room and the network, in that order. The finder must not run
// any more.
func (c *chatter) close() {
	if c.room != nil {
		c.room.close()
	}
	if c.dht != nil {
		_ = c.dht.Close()
	}
	_ = c.host.Close()
}

// newNode makes a libp2p host that listens, and a DHT on it.
func newNode(listen []string, cfg kad.Config) (host lhost.Host, dht *kad.DHT, err error) {
	if len(listen) == 0 {
		listen = defaultListen()
	}
	if allLoopback(listen) { // there is no NAT to traverse
		if host, err = newHost(listen); err == nil {
			if dht, err = kad.New(host, cfg); err != nil {
				_ = host.Close()
			}
		}
		return host, dht, err
	}
	host, err = newHost(listen, kad.Traversal(&dht, cfg))
	return host, dht, err
}

// allLoopback reports whether only processes of this machine can dial what listens on
// these addresses.
func allLoopback(listen []string) bool {
	return !slices.ContainsFunc(listen, func(addr string) bool {
		return !strings.HasPrefix(addr, "/ip4/127.") && !strings.HasPrefix(addr, "/ip6/::1/")
	})
}

// newHost makes a libp2p host that listens.
func newHost(listen []string, opts ...libp2p.Option) (lhost.Host, error) {
	host, err := libp2p.New(append(opts, libp2p.ListenAddrStrings(listen...))...)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", strings.Join(listen, ", "), err)
	}
	return host, nil
}

// A screen is where the chat writes: lines of others to out, all else to err.
type screen struct {
	mu       sync.Mutex
	out, err io.Writer
}

// status writes a line that nobody said.
func (s *screen) status(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = fmt.Fprintf(s.err, "* "+format+"\n", args...)
}

// newLine ends a line of the terminal that we did not write.
func (s *screen) newLine() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = fmt.Fprintln(s.err)
}

// show writes what happened in the room.
func (s *screen) show(e event) {
	switch e.kind {
	case eventLine:
		s.mu.Lock()
		defer s.mu.Unlock()
		_, _ = fmt.Fprintf(s.out, "%s: %s\n", e.nick, e.text)
	case eventJoined:
		s.status("%s is here, %s: %s", e.nick, inWords(e.via), company(e.n))
	case eventLeft:
		s.status("%s has left: %s", e.nick, company(e.n))
	case eventVia:
		s.status("%s is connected %s now", e.nick, inWords(e.via))
	case eventKept:
		if e.n == 1 {
			s.status("nobody is here; what you say is kept for the first who comes")
		}
	case eventLost:
		s.status("more than %d lines are waiting: the oldest is forgotten", maxKept)
	case eventSent:
		s.status("somebody came: what you said before is sent (%s)", count(e.n, "line"))
	}
}

// company says how many are in the room, with n others.
func company(n int) string {
	if n == 0 {
		return "you are alone"
	}
	return fmt.Sprintf("you and %s", count(n, "other"))
}

// count writes a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// runChat chats until ctx ends or stdin does.
func runChat(ctx context.Context, o options, stdin io.Reader, out *screen) error {
	c, err := newChatter(ctx, o, out.show)
	if err != nil {
		return err
	}
	defer c.close()
	out.status("you are %s, in the room %s of the network %s", o.nick, o.room, o.network)
	invite(c.host, o, out)
	out.status("type a line and press Enter to say it; Ctrl-C leaves")

	running, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer stop()
	h := &health{out: out, start: time.Now(), first: len(o.bootstrap) == 0}
	if h.first {
		h.report(kad.ErrNoContacts)
	}
	c.finder.report = h.report
	background.Go(func() { c.finder.run(running) })
	background.Go(func() { h.watch(running, c) })

	err = talk(ctx, c.room, stdin)
	if err == nil && ctx.Err() == nil && !isTerminal(stdin) {
		err = flush(ctx, c.room, o.patience, out)
	}
	if ctx.Err() != nil && isTerminal(stdin) {
		out.newLine() // after the ^C
	}
	out.status("goodbye")
	return err
}

// talk says what is read from stdin, line by line, until that or ctx ends.
func talk(ctx context.Context, r *room, stdin io.Reader) error {
	lines := make(chan string)
	var failed error // written before lines is closed
	go func() {      // ends with stdin: there is no other way to interrupt a read
		defer close(lines)
		in := bufio.NewScanner(stdin)
		in.Split(splitLines)
		for in.Scan() {
			select {
			case lines <- in.Text():
			case <-ctx.Done():
				return
			}
		}
		failed = in.Err()
	}()
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return failed
			}
			if err := r.say(ctx, line); err != nil && ctx.Err() == nil {
				return err
			}
			pause(ctx, linePause, nil)
		case <-ctx.Done():
			return nil
		}
	}
}

// flush waits until somebody has come to hear the lines that are kept.
func flush(ctx context.Context, r *room, patience time.Duration, out *screen) error {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	slow := time.AfterFunc(patience/10, func() {
		out.status("end of input; waiting up to %v for somebody to hear it", patience)
	})
	defer slow.Stop()
	if kept := r.flush(waiting); kept > 0 && ctx.Err() == nil {
		return fmt.Errorf("nobody came within %v: %s not delivered", patience, count(kept, "line"))
	}
	return nil
}

// isTerminal reports whether somebody types what is read from r.
func isTerminal(r io.Reader) bool {
	f, ok := r.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// health tells the user how it stands with the network, and only when that
// changes.
type health struct {
	out   *screen
	start time.Time
	first bool // nobody to join through was named

	mu     sync.Mutex
	said   bool // that we are waiting
	joined bool
	warned bool // of something else
}

// watch says when the network has been joined.
func (h *health) watch(ctx context.Context, c *chatter) {
	for ctx.Err() == nil {
		waiting, cancel := context.WithTimeout(ctx, readyPatience)
		err := c.dht.Ready(waiting)
		cancel()
		if ctx.Err() == nil {
			h.report(err)
		}
		if err == nil {
			return
		}
	}
}

// report takes note of what became of an operation of the DHT. While we are the
// first, that nobody else is there is no error.
func (h *health) report(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err == nil && !h.joined:
		h.joined, h.said, h.warned = true, false, false
		if h.first {
			h.out.status("somebody has joined the network; looking for others in the room")
			return
		}
		h.out.status("joined the network (%v); looking for others in the room", time.Since(h.start).Round(time.Millisecond))
	case err == nil || h.said:
	case h.joined && !errors.Is(err, kad.ErrNoContacts):
		if !h.warned {
			h.warned = true
			h.out.status("trying on: %s", strings.TrimPrefix(oneLine(err), "kad: "))
		}
	case h.first && !h.joined:
		h.said = true
		h.out.status("you are the first: waiting for somebody to join")
	default:
		h.said, h.joined = true, false
		h.out.status("not connected to the network, trying on: %s", strings.TrimPrefix(oneLine(err), "kad: "))
	}
}

// invite shows what a friend types to come here.
func invite(host lhost.Host, o options, out *screen) {
	addr, reach := bestAddr(host.Addrs())
	if addr == nil {
		out.status("nobody can join through you: there is no address to listen on")
		return
	}
	cmd := "go run ./examples/chat"
	if o.network != "/chat" {
		cmd += " --network " + quote(o.network)
	}
	cmd += " --room " + quote(o.room)
	info := peer.AddrInfo{ID: host.ID()}
	out.status("a friend %s joins with:\n\n    %s --join %s/p2p/%s\n", reach, cmd, addr, info.ID)
}
