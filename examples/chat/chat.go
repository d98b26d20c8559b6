package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	lhost "github.com/libp2p/go-libp2p/core/host"

	"github.com/go-kad/kad/examples/internal/app"
	"github.com/go-kad/kad/examples/internal/lan"
	kad "github.com/go-kad/kad/host"
)

const (
	// pipePatience is how long the lines of a pipe wait for another peer, after its end.
	pipePatience = 10 * time.Second

	// readyPatience is how long joining may take before the user sees why it does.
	readyPatience = 3 * time.Second

	// linePause is the pause between two lines, so that a pasted book does not flood the
	// room. It is shorter than people type.
	linePause = 5 * time.Millisecond

	// announcementAge is how long this node keeps the announcements of other nodes. A
	// node that has crashed is forgotten sooner than after the two days of the default.
	announcementAge = time.Hour
)

// A chatter has all that takes part in a chat: a libp2p host, a DHT on it, and a room to
// talk in.
type chatter struct {
	host lhost.Host
	dht  *kad.DHT
	room *room
	lan  func() // leaves the local network; nil if it was not joined
}

// newChatter puts the parts together. The other peers of the room are searched with
// Join of the DHT: see runChat.
func newChatter(o options, notify func(event)) (*chatter, error) {
	var private []libp2p.Option
	if o.psk != nil {
		private = append(private, libp2p.PrivateNetwork(o.psk))
	}
	host, dht, err := app.Node(o.listen, kad.Config{
		Network:    o.network,
		Bootstrap:  o.bootstrap,
		RecordAge:  announcementAge,
		K:          o.k,
		OfferRelay: o.offerRelay,

		AppendAnnounce: o.announced,
	}, private...)
	if err != nil {
		return nil, err
	}
	c := &chatter{host: host, dht: dht}
	if c.room, err = joinRoom(host, topicOf(o.network, o.room), o.nick, notify); err != nil {
		c.close()
		return nil, err
	}
	if o.mdns && (len(o.listen) == 0 || !app.AllLoopback(o.listen)) {
		c.lan, _ = lan.Meet(host, o.network) // without it, friends are found through the DHT alone
	}
	return c, nil
}

// close leaves the room and the network, in that order.
func (c *chatter) close() {
	if c.lan != nil {
		c.lan()
	}
	if c.room != nil {
		c.room.close()
	}
	_ = c.dht.Close()
	_ = c.host.Close()
}

// runChat chats until ctx ends or stdin does, in lines.
func runChat(ctx context.Context, o options, stdin io.Reader, out *screen) error {
	return chat(ctx, o, out, "type a line and press Enter to say it; Ctrl-C leaves", func(c *chatter) error {
		lines, failed := readLines(ctx, stdin)
		err := talk(ctx, c.room, lines)
		if err == nil && ctx.Err() == nil {
			err = failed()
		}
		if err == nil && ctx.Err() == nil && !app.IsTerminal(stdin) {
			err = flush(ctx, c.room, o.patience, out)
		}
		if ctx.Err() != nil && app.IsTerminal(stdin) {
			out.newLine() // after the ^C
		}
		return err
	})
}

// chat joins the network and a room, and stays there until stay returns.
func chat(ctx context.Context, o options, out display, help string, stay func(*chatter) error) error {
	c, err := newChatter(o, out.show)
	if err != nil {
		return err
	}
	defer c.close()
	out.status("you are %s, in the room %s of the network %s", o.nick, o.room, o.network)
	if reach, command := invitation(c.host, o); command != "" {
		out.status("a friend %s joins with:\n\n    %s\n", reach, command)
	} else {
		out.status("nobody can join through you: there is no address to listen on")
	}
	out.status("%s", help)

	running, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	defer background.Wait()
	defer stop()
	h := &health{out: out, start: time.Now(), first: len(o.bootstrap) == 0}
	if h.first {
		h.report(kad.ErrNoContacts)
	}
	group, err := c.dht.Join(running, topicOf(o.network, o.room)) // finds the others, and connects to them
	if err != nil {
		return err
	}
	background.Go(func() { h.follow(group) })
	background.Go(func() { h.watch(running, c) })
	err = stay(c)
	out.status("goodbye")
	return err
}

// readLines returns what is read, line by line, until that or ctx ends, and why it ended,
// which can be asked when the lines are closed.
func readLines(ctx context.Context, stdin io.Reader) (lines <-chan string, failed func() error) {
	read := make(chan string)
	var err error // written before read is closed
	go func() {   // ends with stdin: there is no other way to interrupt a read
		defer close(read)
		in := bufio.NewScanner(stdin)
		in.Split(splitLines)
		for in.Scan() {
			select {
			case read <- in.Text():
			case <-ctx.Done():
				return
			}
		}
		err = in.Err()
	}()
	return read, func() error { return err }
}

// talk says lines, until there are no more or ctx ends.
func talk(ctx context.Context, r *room, lines <-chan string) error {
	for {
		select {
		case line, ok := <-lines:
			if !ok {
				return nil
			}
			if err := r.say(ctx, line); err != nil && ctx.Err() == nil {
				return err
			}
			time.Sleep(linePause)
		case <-ctx.Done():
			return nil
		}
	}
}

// flush waits until another peer has come, to which the lines that are kept are sent.
func flush(ctx context.Context, r *room, patience time.Duration, out *screen) error {
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	slow := time.AfterFunc(patience/10, func() {
		out.status("end of input; waiting up to %v for somebody to hear it", patience)
	})
	defer slow.Stop()
	if kept, _ := r.topic.Flush(waiting); kept > 0 && ctx.Err() == nil {
		return fmt.Errorf("nobody came within %v: %s not delivered", patience, count(kept, "line"))
	}
	return nil
}
