package main

import (
	"fmt"
	"io"
	"sync"

	lhost "github.com/libp2p/go-libp2p/core/host"

	"github.com/go-kad/kad/examples/internal/app"
	kad "github.com/go-kad/kad/host"
)

// A display is where a chat shows what happens.
type display interface {
	status(format string, args ...any) // a line of the program itself
	show(e event)                      // of the room
}

// A screen is where the chat writes: lines of other peers to out, all else to err.
type screen struct {
	mu       sync.Mutex
	out, err io.Writer

	teller teller // of the owner of the room
}

// status writes a line of the program itself.
func (s *screen) status(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = fmt.Fprintf(s.err, "* "+format+"\n", args...)
}

// newLine ends a line that the terminal has written.
func (s *screen) newLine() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, _ = fmt.Fprintln(s.err)
}

// show writes what happened in the room.
func (s *screen) show(e event) {
	if e.kind == eventLine {
		s.mu.Lock()
		defer s.mu.Unlock()
		_, _ = fmt.Fprintf(s.out, "%s: %s\n", e.nick, e.text)
		return
	}
	if text := s.teller.words(e); text != "" {
		s.status("%s", text)
	}
}

// A teller says in words what happens in a room. Its owner is the one goroutine that tells.
type teller struct {
	forgotten int // lines since the last ones were sent
}

// words says what happened; nothing of what a peer has said.
func (t *teller) words(e event) string {
	switch e.kind {
	case eventJoined:
		return fmt.Sprintf("%s is here, %s: %s", e.nick, inWords(e.via), inRoom(e.n))
	case eventLeft:
		return fmt.Sprintf("%s has left: %s", e.nick, inRoom(e.n))
	case eventVia:
		return fmt.Sprintf("%s is connected %s now", e.nick, inWords(e.via))
	case eventRenamed:
		return fmt.Sprintf("%s is called %s now", e.nick, e.text)
	case eventKept:
		if e.n == 1 {
			return "nobody is here; what you say is kept for the first who comes"
		}
	case eventLost:
		before := t.forgotten
		t.forgotten += e.n
		if before == 0 {
			return "too many lines are waiting: from now on, the oldest are forgotten"
		}
	case eventSent:
		sent := count(e.n, "line")
		if t.forgotten > 0 {
			sent += fmt.Sprintf("; %d before them were forgotten", t.forgotten)
		}
		t.forgotten = 0
		return fmt.Sprintf("somebody came: what you said before is sent (%s)", sent)
	case eventLine: // the line says it
	}
	return ""
}

// inRoom says how many are in the room, with n others.
func inRoom(n int) string {
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

// invitation returns what a friend types to come here, and from where that works. It is
// empty if nobody can join through this host.
func invitation(host lhost.Host, o options) (reach, command string) {
	addr, reach := app.BestAddr(host.Addrs())
	if addr == nil {
		return "", ""
	}
	cmd := "go run ./examples/chat"
	if o.network != "/chat" {
		cmd += " --network " + app.Quote(o.network)
	}
	if o.swarmKey != "" {
		cmd += " --swarm-key " + app.Quote(o.swarmKey)
	}
	cmd += " --room " + app.Quote(o.room)
	return reach, fmt.Sprintf("%s --join %s/p2p/%s", cmd, addr, host.ID())
}

// inWords says how a peer is connected.
func inWords(via kad.Via) string {
	switch via {
	case kad.ViaPunched:
		return "directly (punched)"
	case kad.ViaRelayed:
		return "through a relay"
	default:
		return "directly"
	}
}
