package main

import (
	"fmt"
	"io"
	"sync"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
)

// A screen is where the chat writes: lines of other peers to out, all else to err.
type screen struct {
	mu       sync.Mutex
	out, err io.Writer

	forgotten int // lines since the last that were sent; of the owner of the room
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
	switch e.kind {
	case eventLine:
		s.mu.Lock()
		defer s.mu.Unlock()
		_, _ = fmt.Fprintf(s.out, "%s: %s\n", e.nick, e.text)
	case eventJoined:
		s.status("%s is here, %s: %s", e.nick, inWords(e.via), inRoom(e.n))
	case eventLeft:
		s.status("%s has left: %s", e.nick, inRoom(e.n))
	case eventVia:
		s.status("%s is connected %s now", e.nick, inWords(e.via))
	case eventKept:
		if e.n == 1 {
			s.status("nobody is here; what you say is kept for the first who comes")
		}
	case eventLost:
		if s.forgotten == 0 {
			s.status("too many lines are waiting: from now on, the oldest are forgotten")
		}
		s.forgotten += e.n
	case eventSent:
		sent := count(e.n, "line")
		if s.forgotten > 0 {
			sent += fmt.Sprintf("; %d before them were forgotten", s.forgotten)
		}
		s.forgotten = 0
		s.status("somebody came: what you said before is sent (%s)", sent)
	}
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
	if o.swarmKey != "" {
		cmd += " --swarm-key " + quote(o.swarmKey)
	}
	cmd += " --room " + quote(o.room)
	info := peer.AddrInfo{ID: host.ID()}
	out.status("a friend %s joins with:\n\n    %s --join %s/p2p/%s\n", reach, cmd, addr, info.ID)
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
