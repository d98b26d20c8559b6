package find

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/protocol"
)

// searches are the searches of all kinds, for what is not there.
var searches = map[string]func(ctx context.Context, n *node) error{
	"value": func(ctx context.Context, n *node) error {
		_, err := n.Values(ctx, testKey, ValuesOptions{})
		return err
	},
	"peer": func(ctx context.Context, n *node) error {
		_, err := n.Peer(ctx, calltest.ID(1000))
		return err
	},
	"providers": func(ctx context.Context, n *node) error {
		for _, err := range n.Providers(ctx, testKey, 0) {
			return err
		}
		return kaderr.ErrNotFound
	},
}

// A search that most of the closest peers have not answered does not say that there is
// nothing; one that most have answered does.
func TestUnansweredIsNotEmpty(t *testing.T) {
	for _, test := range []struct {
		name  string
		other calltest.Answer
		count int // of the closest peers that answer so
		want  error
	}{
		{"all answer", nil, 0, kaderr.ErrNotFound},
		{"one of four refuses", calltest.Refuses, 1, kaderr.ErrNotFound},
		{"half refuse", calltest.Refuses, 2, kaderr.ErrUnanswered},
		{"all refuse", calltest.Refuses, 4 * testK, kaderr.ErrUnanswered},
		{"all are silent", calltest.Silent, 4 * testK, kaderr.ErrUnanswered},
		{"all reset the stream", calltest.Fails(errors.New("stream reset")), 4 * testK, kaderr.ErrUnanswered},
	} {
		for kind, search := range searches {
			if kind == "peer" && test.count > 0 && test.count < 4*testK {
				continue // other peers are the closest to it
			}
			t.Run(test.name+"/"+kind, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					n := newNode(t, 4*testK, 3, false)
					for _, id := range n.peers[:test.count] {
						n.net.Add(id, test.other)
					}
					err := search(t.Context(), n)
					if !errors.Is(err, test.want) || errors.Is(err, kaderr.ErrNotFound) && errors.Is(err, kaderr.ErrUnanswered) {
						t.Errorf("%v, want %v", err, test.want)
					}
				})
			})
		}
	}
}

// The error says what became of the requests.
func TestUnansweredSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, testK, 3, false)
		n.net.Add(n.peers[0], calltest.Refuses)
		n.net.Add(n.peers[1], calltest.Silent)
		n.net.Add(n.peers[2], calltest.Fails(errors.New("broken")))
		_, err := n.Values(t.Context(), testKey, ValuesOptions{})
		var e *lookup.UnansweredError
		want := lookup.UnansweredError{Closest: 4, Answered: 1, Asked: 4, Refused: 1, Failed: 2}
		if !errors.As(err, &e) || *e != want {
			t.Errorf("%+v, %v; want %+v", e, err, want)
		}
	})
}

// A node without a network returns the value that it holds, soon.
func TestHeldWithoutNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 0, 3, false)
		rec := protocol.Record{Key: testKey, Value: []byte("7")}
		if err := n.holder.StoreOwn(t.Context(), time.Now(), rec); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		v, err := n.Values(t.Context(), testKey, ValuesOptions{})
		if err != nil || string(v[0]) != "7" || time.Since(start) > time.Second {
			t.Errorf("%q, %v after %v", v, err, time.Since(start))
		}
		if _, err := n.Values(t.Context(), []byte("/v/other"), ValuesOptions{}); !errors.Is(err, kaderr.ErrNoContacts) {
			t.Errorf("what it does not hold: %v", err)
		}
	})
}

// Peers that are late have what is looked for, and they alone: it is found.
func TestSlowIsNotAbsent(t *testing.T) {
	for _, late := range []time.Duration{1500 * time.Millisecond, 3 * time.Second, 6 * time.Second} {
		t.Run(fmt.Sprint(late), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testSlowIsNotAbsent(t, late) })
		})
	}
}

func testSlowIsNotAbsent(t *testing.T, late time.Duration) {
	n := newNode(t, testK, 3, false)
	wanted := calltest.ID(1000)
	for _, id := range n.peers[:testK-1] {
		n.net.Add(id, calltest.After(late, func(_ context.Context, req protocol.Request) (resp protocol.Response, _ error) {
			there := protocol.Peer{ID: wanted, Addrs: []multiaddr.Multiaddr{calltest.Addr(wanted)}}
			switch req.(type) {
			case protocol.GetValue:
				resp.Record = &protocol.Record{Key: testKey, Value: []byte("7")}
			case protocol.GetProviders:
				resp.Providers = []protocol.Peer{there}
			case protocol.FindNode:
				resp.Closer = []protocol.Peer{there}
			}
			return resp, nil
		}))
	}
	if v, err := n.Values(t.Context(), testKey, ValuesOptions{}); err != nil || string(v[0]) != "7" {
		t.Errorf("value %q, %v", v, err)
	}
	found := 0
	for p, err := range n.Providers(t.Context(), testKey, 0) {
		if err != nil {
			t.Error(err)
		}
		if p.ID == wanted {
			found++
		}
	}
	if found != 1 {
		t.Errorf("%d providers, want one", found)
	}
	if l, err := n.Peer(t.Context(), wanted); err != nil || len(l.Addrs) == 0 {
		t.Errorf("peer %v, %v", l, err)
	}
}

// That this node provides the content does not say what other peers provide: a search that
// names this node too, and that too few peers have answered, says so.
func TestUnansweredWithSelf(t *testing.T) {
	for _, test := range []struct {
		name   string
		answer calltest.Answer
		want   error
	}{
		{"all answer", calltest.Names(), nil},
		{"all refuse", calltest.Refuses, kaderr.ErrUnanswered},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, testK, 3, false)
				if err := n.holder.Provide(t.Context(), testKey, 0, time.Now()); err != nil {
					t.Fatal(err)
				}
				for _, id := range n.peers {
					n.net.Add(id, test.answer)
				}
				var last error
				found := 0
				for info, err := range n.Providers(WithSelf(t.Context()), testKey, 0) {
					if last = err; info.ID == n.self {
						found++
					}
				}
				if found != 1 || !errors.Is(last, test.want) {
					t.Errorf("this node is named %d times, then %v, want %v", found, last, test.want)
				}
			})
		})
	}
}
