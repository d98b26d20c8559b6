// Package call: API TO IMPLEMENT (this file is a stub that its owner replaces).
package call

import (
	"context"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"

	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A Transport is the seam to the network: streams, or memory in tests.
type Transport interface {
	Dial(ctx context.Context, to peer.ID) error
	Request(ctx context.Context, to peer.ID, req protocol.Request) (protocol.Response, error)
}

func Streams(h lhost.Host, id lprotocol.ID) Transport { panic("stub") }

// A Turn is on whose behalf peers are dialled (was caller): dials of one turn go in order, turns alternate. Nil is that of no operation.
type Turn struct{}

func NewTurn() *Turn   { panic("stub") }
func (t *Turn) Leave() { panic("stub") }

type Stage uint8

const (
	Queued Stage = iota
	Dialled
	Connected
)

type Config struct {
	Host           lhost.Host
	Transport      Transport // Streams(...)
	Table          *table.Table
	Tasks          *tasks.Group
	RequestTimeout time.Duration
	SlowAfter      time.Duration
	MaxDials       int
	Dialled        func(peer.ID) // called with each peer that is dialled (reach.Dialled)
}

type Caller struct{}

func New(cfg Config) *Caller { panic("stub") }

// Request asks one peer: waits for its turn to dial, dials, sends, classifies what became of it, and records that with
// Table.Heard. It gives the host the addresses of the contact first (Table.Learn). reaches may be nil.
func (c *Caller) Request(ctx context.Context, turn *Turn, to routing.Contact, req protocol.Request, reaches func(Stage)) (protocol.Response, error) {
	panic("stub")
}

// Check asks a contact that Table.Due named whether it is there, and records that with Table.Checked.
func (c *Caller) Check(ctx context.Context, to routing.Contact) error { panic("stub") }

// Introduce asks a peer whether it serves (FIND_NODE for our own ID, after Redial), and records that with Table.Heard, so that it enters the table.
func (c *Caller) Introduce(ctx context.Context, id peer.ID) error { panic("stub") }

// Connect connects to a peer within the dial budget, unless it is connected.
func (c *Caller) Connect(ctx context.Context, id peer.ID) error { panic("stub") }

// Identified waits until the host knows what a peer speaks.
func (c *Caller) Identified(ctx context.Context, id peer.ID) { panic("stub") }

func (c *Caller) Redial(id peer.ID)                        { panic("stub") } // was afresh
func (c *Caller) ForgetFailures(id peer.ID)                { panic("stub") } // was forgive
func (c *Caller) Backoff() *swarm.DialBackoff              { panic("stub") } // nil if the network is no swarm
func (c *Caller) Abandon(before time.Time)                 { panic("stub") }
func (c *Caller) AskOlder(newest network.Conn)             { panic("stub") }
func (c *Caller) Stats() (requests, failed, probes uint64) { panic("stub") }

// Alive reports whether the other end of a connection answers within wait (was !isSilent; when ctx ends first, it counts as alive).
func Alive(ctx context.Context, conn network.Conn, wait time.Duration) bool { panic("stub") }

// OutcomeOf returns what became of a request, by its error.
func OutcomeOf(err error) table.Outcome { panic("stub") }

// DialError returns the reasons of a failed dial, one per address (was dialError).
func DialError(err error) error { panic("stub") }
