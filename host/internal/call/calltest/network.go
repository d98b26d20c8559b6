// Package calltest scripts the network for tests of the rooms that ask peers: a
// [Network] is the call.Transport of one node, and its libp2p host. Each peer answers as
// its [Answer] says; the time passes in the synctest bubble of the test.
//
//	n := calltest.New(t)
//	n.Add(id, calltest.Names(other))
//	n.Add(other, calltest.Silent)
//	caller := call.New(call.Config{Host: n.Host(), Transport: n, …})
package calltest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// RoundTrip is how long a dial takes, and a request to a peer that answers at once.
const RoundTrip = 20 * time.Millisecond

// ErrUnreachable is the error of a dial of a peer that was not added.
var ErrUnreachable = errors.New("connection refused")

// An Answer is how a peer answers requests.
type Answer func(ctx context.Context, req protocol.Request) (protocol.Response, error)

// Names answers with some peers.
func Names(ids ...peer.ID) Answer {
	return func(context.Context, protocol.Request) (protocol.Response, error) {
		var resp protocol.Response
		for _, id := range ids {
			resp.Closer = append(resp.Closer, protocol.Peer{ID: id, Addrs: []multiaddr.Multiaddr{Addr(id)}})
		}
		return resp, nil
	}
}

// Knows answers with the k peers of ids that are closest to what is asked for.
func Knows(k int, ids ...peer.ID) Answer {
	var all []routing.Contact
	for _, id := range ids {
		all = append(all, routing.ContactOf(id))
	}
	return func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
		var key []byte
		switch req := req.(type) {
		case protocol.FindNode:
			key = req.Target
		case protocol.GetValue:
			key = req.Key
		case protocol.GetProviders:
			key = req.Key
		default:
			return protocol.Response{}, nil
		}
		near := slices.Clone(all)
		routing.SortByDistance(routing.KeyOf(key), near)
		var named []peer.ID
		for _, c := range near[:min(k, len(near))] {
			named = append(named, c.ID)
		}
		return Names(named...)(ctx, req)
	}
}

// Silent never answers.
func Silent(ctx context.Context, _ protocol.Request) (protocol.Response, error) {
	<-ctx.Done()
	return protocol.Response{}, ctx.Err()
}

// Fails fails with an error.
func Fails(err error) Answer {
	return func(context.Context, protocol.Request) (protocol.Response, error) { return protocol.Response{}, err }
}

// Refuses refuses.
func Refuses(context.Context, protocol.Request) (protocol.Response, error) {
	return protocol.Response{}, kaderr.ErrRefused
}

// After answers like a, later by d.
func After(d time.Duration, a Answer) Answer {
	return func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
		if err := pause(ctx, d); err != nil {
			return protocol.Response{}, err
		}
		return a(ctx, req)
	}
}

// ID returns the ID of a made-up peer.
func ID(i int) peer.ID {
	return peer.ID("\x12\x20" + string(binary.BigEndian.AppendUint64(make([]byte, 24), uint64(i)))) //nolint:gosec // small and positive
}

// Addr returns the address of a made-up peer.
func Addr(id peer.ID) multiaddr.Multiaddr {
	return multiaddr.StringCast(fmt.Sprintf("/ip4/8.8.%d.%d/tcp/1", id[len(id)-2], id[len(id)-1]))
}

// Contact returns a made-up peer as a contact, with its address.
func Contact(id peer.ID) routing.Contact {
	c := routing.ContactOf(id)
	c.Wire = announce.Encode(protocol.Peer{ID: id, Addrs: []multiaddr.Multiaddr{Addr(id)}})
	return c
}

// An Asked is one request that was made.
type Asked struct {
	At  time.Time
	To  peer.ID
	Req protocol.Request
}

// A Network is the network of one node. It is safe for concurrent use.
type Network struct {
	host *host

	mu        sync.Mutex
	answers   map[peer.ID]Answer
	connected map[peer.ID]bool
	hangs     map[peer.ID]func(known []multiaddr.Multiaddr) bool
	dialled   []peer.ID
	at        map[peer.ID][]multiaddr.Multiaddr // where they were
	asked     []Asked
	most      int  // requests that a peer takes at once
	inOne     bool // in one message
}

// New returns a network without peers.
func New(t testing.TB) *Network {
	t.Helper()
	n := &Network{
		answers: make(map[peer.ID]Answer), connected: make(map[peer.ID]bool), at: make(map[peer.ID][]multiaddr.Multiaddr),
		hangs: make(map[peer.ID]func([]multiaddr.Multiaddr) bool),
	}
	n.host = newHost(t, n)
	return n
}

// Add adds a peer that can be dialled, or changes how it answers. It ends Hang and HangElsewhere.
func (n *Network) Add(id peer.ID, a Answer) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.answers[id] = a
	delete(n.hangs, id)
}

// Connect connects a peer.
func (n *Network) Connect(ids ...peer.ID) { n.set(true, ids) }

// Disconnect ends the connections to peers.
func (n *Network) Disconnect(ids ...peer.ID) { n.set(false, ids) }

func (n *Network) set(connected bool, ids []peer.ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, id := range ids {
		n.connected[id] = connected
	}
}

// Hang has dials of a peer that begin from now on take for ever.
func (n *Network) Hang(id peer.ID) { n.hang(id, func([]multiaddr.Multiaddr) bool { return true }) }

// HangElsewhere has dials of a peer take for ever that begin while the host does not know its Addr.
func (n *Network) HangElsewhere(id peer.ID) {
	at := Addr(id)
	n.hang(id, func(known []multiaddr.Multiaddr) bool { return !slices.ContainsFunc(known, at.Equal) })
}

func (n *Network) hang(id peer.ID, hangs func(known []multiaddr.Multiaddr) bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hangs[id] = hangs
}

// Dialled returns the peers that were dialled, in order.
func (n *Network) Dialled() []peer.ID {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.dialled)
}

// DialledAt returns the addresses that the host knew of a peer when it was dialled last.
func (n *Network) DialledAt(id peer.ID) []multiaddr.Multiaddr {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.at[id]
}

// Asked returns the requests that were made, and forgets them.
func (n *Network) Asked() []Asked {
	n.mu.Lock()
	defer n.mu.Unlock()
	asked := n.asked
	n.asked = nil
	return asked
}

// Dial implements call.Transport.
func (n *Network) Dial(ctx context.Context, to peer.ID) error {
	n.mu.Lock()
	n.dialled = append(n.dialled, to)
	n.at[to] = n.host.peers.Addrs(to)
	known, hangs := n.answers[to] != nil, n.hangs[to]
	n.mu.Unlock()
	if hangs != nil && hangs(n.host.peers.Addrs(to)) {
		<-ctx.Done()
		return ctx.Err()
	}
	if err := pause(ctx, RoundTrip); err != nil {
		return err
	}
	if !known {
		return ErrUnreachable
	}
	n.Connect(to)
	return nil
}

// Request implements call.Transport.
func (n *Network) Request(ctx context.Context, to peer.ID, req protocol.Request) (protocol.Response, error) {
	n.mu.Lock()
	n.asked = append(n.asked, Asked{time.Now(), to, req})
	a := n.answers[to]
	n.mu.Unlock()
	if a == nil {
		return protocol.Response{}, ErrUnreachable
	}
	if err := pause(ctx, RoundTrip); err != nil {
		return protocol.Response{}, err
	}
	return a(ctx, req)
}

// TakeTogether has the peers take so many requests at once, in one message or one after the
// other: see call.Transport.
func (n *Network) TakeTogether(most int, inOne bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.most, n.inOne = most, inOne
}

// Together implements call.Transport.
func (n *Network) Together(peer.ID) (most int, inOne bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return max(1, n.most), n.inOne
}

// Many implements call.Transport: the peer answers each request. If they are not in one
// message, the first refusal is that of all.
func (n *Network) Many(ctx context.Context, to peer.ID, reqs []protocol.Request) ([]error, error) {
	n.mu.Lock()
	for _, req := range reqs {
		n.asked = append(n.asked, Asked{time.Now(), to, req})
	}
	a, inOne := n.answers[to], n.inOne
	n.mu.Unlock()
	if a == nil {
		return nil, ErrUnreachable
	}
	if err := pause(ctx, RoundTrip); err != nil {
		return nil, err
	}
	errs := make([]error, len(reqs))
	for i, req := range reqs {
		_, err := a(ctx, req)
		if err != nil && (!inOne || !errors.Is(err, kaderr.ErrRefused)) {
			return nil, err
		}
		errs[i] = err
	}
	return errs, nil
}

// pause waits for d; it is an error if ctx ends first.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
