package main

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/go-kad/kad/examples/internal/app"
	kad "github.com/go-kad/kad/host"
)

// health shows the user how the node stands in the network, when that changes.
type health struct {
	out   display
	start time.Time
	first bool // without a peer to join through

	mu     sync.Mutex
	said   string // why the node waits, as the user was told, without numbers; "" if it does not wait
	joined bool
	warned bool // the user knows of another error
}

// follow reports the operations of a group, until that ends.
func (h *health) follow(group *kad.Group) {
	for e := range group.Events() {
		switch e.Kind {
		case kad.GroupWorks:
			h.report(nil)
		case kad.GroupFails:
			h.report(e.Err)
		default: // the room shows the peers
		}
	}
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

// report notes the result of an operation of the DHT. While the node is the first of
// its network, it is no error that there is no other one.
func (h *health) report(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case err == nil && !h.joined:
		h.joined, h.said, h.warned = true, "", false
		if h.first {
			h.out.status("somebody has joined the network; looking for others in the room")
			return
		}
		h.out.status("joined the network (%v); looking for others in the room", time.Since(h.start).Round(time.Millisecond))
	case err == nil:
	case h.joined && !errors.Is(err, kad.ErrNoContacts):
		if !h.warned {
			h.warned = true
			h.out.status("trying on: %s", reason(err))
		}
	case h.first && !h.joined:
		if h.said == "" {
			h.say("you are the first: waiting for somebody to join")
		}
	default:
		h.joined = false
		h.say("not connected to the network, trying on: " + reason(err))
	}
}

// say says why the node waits, unless that is no news: the same words with another port or
// another time are none.
func (h *health) say(text string) {
	if news := withoutNumbers(text); news != h.said {
		h.said = news
		h.out.status("%s", text)
	}
}

// reason returns an error of the DHT as one line.
func reason(err error) string { return strings.TrimPrefix(app.OneLine(err), "kad: ") }

// withoutNumbers returns a text without its digits.
func withoutNumbers(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsDigit(r) {
			return -1
		}
		return r
	}, text)
}
