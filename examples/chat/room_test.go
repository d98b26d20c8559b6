package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/examples/internal/app"
	kad "github.com/go-kad/kad/host"
)

// A guest is a peer in a room, without a DHT.
type guest struct {
	*room
	events chan event
}

// enter makes a new peer enter a room.
func enter(t *testing.T, topic, nick string) *guest {
	t.Helper()
	host, err := app.Host([]string{"/ip4/127.0.0.1/tcp/0"})
	if err != nil {
		t.Fatal(err)
	}
	g := &guest{events: make(chan event, 1024)}
	if g.room, err = joinRoom(host, topic, nick, func(e event) { g.events <- e }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		g.close()
		_ = host.Close()
	})
	return g
}

// meet connects a guest to others.
func (g *guest) meet(t *testing.T, others ...*guest) {
	t.Helper()
	for _, o := range others {
		if err := g.host.Connect(t.Context(), peer.AddrInfo{ID: o.host.ID(), Addrs: o.host.Addrs()}); err != nil {
			t.Fatal(err)
		}
	}
}

// tell says something.
func (g *guest) tell(t *testing.T, text string) {
	t.Helper()
	if err := g.say(t.Context(), text); err != nil {
		t.Fatal(err)
	}
}

// expect waits for the next event, which must be e.
func (g *guest) expect(t *testing.T, want event) {
	t.Helper()
	select {
	case got := <-g.events:
		if got != want {
			t.Fatalf("%s: got %+v, want %+v", g.nick, got, want)
		}
	case <-time.After(patience):
		t.Fatalf("%s: nothing happened; want %+v", g.nick, want)
	}
}

func TestRoomKeepsWhatIsSaidAlone(t *testing.T) {
	ann, bob := enter(t, "room", "ann"), enter(t, "room", "bob")
	ann.tell(t, "  hello?  ")
	ann.tell(t, " \x1b ") // nothing is left of it
	ann.tell(t, "anybody?")
	ann.expect(t, event{kind: eventKept, n: 1})
	ann.expect(t, event{kind: eventKept, n: 2})

	bob.meet(t, ann)
	ann.expectAll(t, event{kind: eventSent, n: 2}, event{kind: eventJoined, nick: "bob", n: 1, via: kad.ViaDirect})
	// A peer that joins and its messages come on two channels. Messages keep their
	// order.
	joined, lines := event{kind: eventJoined, nick: "ann", n: 1, via: kad.ViaDirect}, []event{
		{kind: eventLine, nick: "ann", text: "hello?"},
		{kind: eventLine, nick: "ann", text: "anybody?"},
	}
	got := bob.expectAll(t, append([]event{joined}, lines...)...)
	if got = slices.DeleteFunc(got, func(e event) bool { return e == joined }); !slices.Equal(got, lines) {
		t.Fatalf("bob: got %+v, want %+v", got, lines)
	}

	// No line comes back to its sender, and later lines are not kept.
	bob.tell(t, "here I am")
	ann.expect(t, event{kind: eventLine, nick: "bob", text: "here I am"})
	ann.tell(t, "hi bob")
	bob.expect(t, event{kind: eventLine, nick: "ann", text: "hi bob"})
	bob.close()
	ann.expect(t, event{kind: eventLeft, nick: "bob", n: 0})
	if ann.topic.Peers() != 0 {
		t.Error("ann counts somebody in an empty room")
	}
}

// expectAll waits for events that may come in any order, and returns them in the
// one in which they came.
func (g *guest) expectAll(t *testing.T, want ...event) (got []event) {
	t.Helper()
	for range want {
		select {
		case e := <-g.events:
			got = append(got, e)
		case <-time.After(patience):
			t.Fatalf("%s: got %+v, want %+v", g.nick, got, want)
		}
	}
	for _, e := range want {
		if !slices.Contains(got, e) {
			t.Fatalf("%s: got %+v, want %+v", g.nick, got, want)
		}
	}
	return got
}

func TestRoomForgetsTheOldest(t *testing.T) {
	ann := enter(t, "room", "ann")
	for i := range maxKept + 1 {
		ann.tell(t, fmt.Sprint("line ", i))
	}
	for i := range maxKept {
		ann.expect(t, event{kind: eventKept, n: i + 1})
	}
	ann.expect(t, event{kind: eventLost, n: 1})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if kept, _ := ann.topic.Flush(ctx); kept != maxKept {
		t.Errorf("%d lines are kept, want %d", kept, maxKept)
	}
}

// Nothing is lost between connected peers, from the moment on at which one
// knows of the other, and the order is kept; the last line is as safe as the
// first, although its sender leaves at once.
func TestRoomLosesNothing(t *testing.T) {
	const lines = 300
	ann, bob, cat := enter(t, "room", "ann"), enter(t, "room", "bob"), enter(t, "room", "cat")
	bob.meet(t, ann)
	ann.expect(t, event{kind: eventJoined, nick: "bob", n: 1, via: kad.ViaDirect})
	cat.meet(t, ann, bob)
	ann.expect(t, event{kind: eventJoined, nick: "cat", n: 2, via: kad.ViaDirect})
	for i := range lines {
		ann.tell(t, fmt.Sprint("line ", i))
	}
	ann.close()
	_ = ann.host.Close()
	for _, g := range []*guest{bob, cat} {
		for i := 0; i < lines; {
			select {
			case e := <-g.events:
				if e.kind != eventLine {
					continue
				}
				if want := fmt.Sprint("line ", i); e.text != want {
					t.Fatalf("%s heard %q, want %q", g.nick, e.text, want)
				}
				i++
			case <-time.After(patience):
				t.Fatalf("%s heard %d lines of %d", g.nick, i, lines)
			}
		}
	}
}

func TestRoomTellsNamesakesApart(t *testing.T) {
	ann, bob, bob2 := enter(t, "room", "ann"), enter(t, "room", "bob"), enter(t, "room", "bob")
	bob.meet(t, ann)
	ann.expect(t, event{kind: eventJoined, nick: "bob", n: 1, via: kad.ViaDirect})
	bob2.meet(t, ann)
	second := "bob~" + shortID(bob2.host.ID())
	ann.expect(t, event{kind: eventJoined, nick: second, n: 2, via: kad.ViaDirect})
	bob2.tell(t, "I am bob")
	ann.expect(t, event{kind: eventLine, nick: second, text: "I am bob"})
}

func TestRoomsDoNotMix(t *testing.T) {
	ann, bob := enter(t, topicOf("/chat", "lobby"), "ann"), enter(t, topicOf("/chat", "attic"), "bob")
	cat := enter(t, topicOf("/chat", "lobby"), "cat")
	bob.meet(t, ann, cat)
	cat.meet(t, ann)
	ann.expect(t, event{kind: eventJoined, nick: "cat", n: 1, via: kad.ViaDirect})
	cat.expect(t, event{kind: eventJoined, nick: "ann", n: 1, via: kad.ViaDirect})
	bob.tell(t, "hello?")
	bob.expect(t, event{kind: eventKept, n: 1})
	ann.tell(t, "hi")
	cat.expect(t, event{kind: eventLine, nick: "ann", text: "hi"})
}

// A peer with a program of its own cannot write control characters to the terminals of
// other peers, and they do not pass on what is no message.
func TestRoomRefusesNonsense(t *testing.T) {
	ann, eve := enter(t, "room", "ann"), enter(t, "room", "eve")
	eve.meet(t, ann)
	ann.expect(t, event{kind: eventJoined, nick: "eve", n: 1, via: kad.ViaDirect})
	publish := func(data string) error { return eve.topic.Publish(t.Context(), []byte(data)) }
	if err := publish("hello"); err == nil {
		t.Error("what is no message was published")
	}
	if err := publish(`{"nick":"eve","text":"` + strings.Repeat("x", maxMessage) + `"}`); err == nil {
		t.Error("a message that is too large was published")
	}
	if err := publish(`{"nick":"\u001b[2Jbob: x","text":"\u001b]0;owned\u0007\nann: yes\r"}`); err != nil {
		t.Fatal(err)
	}
	ann.expect(t, event{kind: eventRenamed, nick: "eve", text: "[2Jbobx"})
	ann.expect(t, event{kind: eventLine, nick: "[2Jbobx", text: "]0;ownedann: yes"})
}
