package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	tea "charm.land/bubbletea/v2"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/events"
)

// maxNews bounds what waits to be shown.
const maxNews = 1024

// A window shows a chat on the whole terminal: the lines of the room, the members with how
// each is connected, and the line that is being typed. It is a [display].
type window struct {
	opts    options
	screen  *screen             // shows what happens after the window is closed
	program []tea.ProgramOption // of tests
	news    chan tea.Msg        // to show: events of the room, status lines, networkState
	closed  chan struct{}       // closed when the window is
	said    chan string         // lines that were typed
	invite  func() string       // returns the command with which a friend joins; set by run
}

// newWindow returns a window that run opens.
func newWindow(o options, after *screen) *window {
	return &window{
		opts: o, screen: after,
		news: make(chan tea.Msg, maxNews), closed: make(chan struct{}), said: make(chan string, 64),
	}
}

// runWindow chats until ctx ends or the user leaves, in a window on the terminal.
func runWindow(ctx context.Context, o options, stdin io.Reader, out *screen) error {
	return newWindow(o, out).chat(ctx, stdin)
}

// chat is runWindow of this window.
func (w *window) chat(ctx context.Context, stdin io.Reader) error {
	const help = "Enter says a line, PgUp and PgDn scroll, Ctrl-Y copies the line for a friend, Ctrl-C leaves"
	return chat(ctx, w.opts, w, help, func(c *chatter) error { return w.run(ctx, c, stdin) })
}

// A statusLine is a line of the program itself.
type statusLine string

// A networkState says how the node stands in the network, in words.
type networkState string

// status implements [display].
func (w *window) status(format string, args ...any) {
	select {
	case <-w.closed:
		w.screen.status(format, args...)
	default:
		w.post(statusLine("* " + fmt.Sprintf(format, args...)))
	}
}

// show implements [display].
func (w *window) show(e event) { w.post(e) }

// post hands the window something to show.
func (w *window) post(news tea.Msg) {
	select {
	case w.news <- news:
	case <-w.closed:
	}
}

// run opens the window, until the user leaves, ctx ends, or a line cannot be said.
func (w *window) run(ctx context.Context, c *chatter, stdin io.Reader) error {
	w.invite = func() string {
		_, command := invitation(c.host, w.opts)
		return command
	}
	ctx, stop := context.WithCancel(ctx)
	var background sync.WaitGroup
	opts := append([]tea.ProgramOption{
		tea.WithContext(ctx), tea.WithInput(stdin), tea.WithOutput(w.screen.out), tea.WithoutSignalHandler(),
	}, w.program...)
	program := tea.NewProgram(newView(w), opts...)
	var failed error
	background.Go(func() {
		failed = talk(ctx, c.room, w.said)
		program.Quit()
	})
	background.Go(func() { w.follow(ctx, c.dht) })
	_, err := program.Run()
	close(w.closed)
	stop()
	background.Wait()
	if errors.Is(err, tea.ErrProgramKilled) && failed == nil {
		return nil // ctx has ended
	}
	return errors.Join(failed, err)
}

// follow shows how the node stands in the network: its contacts, and the lookup under way.
func (w *window) follow(ctx context.Context, d *kad.DHT) {
	lookups := make(map[uint64][2]int) // asked, answered
	var before networkState
	for e := range d.Events(ctx) {
		if e.Missed > 0 {
			clear(lookups) // the end of one may be among them
		}
		switch what := e.What.(type) {
		case events.LookupBegan:
			lookups[what.Lookup] = [2]int{}
		case events.LookupAsked:
			n := lookups[what.Lookup]
			lookups[what.Lookup] = [2]int{n[0] + 1, n[1]}
		case events.LookupAnswered:
			n := lookups[what.Lookup]
			lookups[what.Lookup] = [2]int{n[0], n[1] + 1}
		case events.LookupEnded:
			delete(lookups, what.Lookup)
		case events.Offline:
			before = "offline"
			w.post(before)
			continue
		default: // the contacts may be others now
		}
		state := count(d.Stats().Contacts, "contact")
		asked, answered := 0, 0
		for _, n := range lookups {
			asked, answered = asked+n[0], answered+n[1]
		}
		if asked > 0 {
			state += fmt.Sprintf(", looking: asked %d, answered %d", asked, answered)
		}
		if now := networkState(state); now != before {
			before = now
			w.post(now)
		}
	}
}
