// Package publish: API TO IMPLEMENT (this file is a stub that its owner replaces).
package publish

import (
	"context"
	"time"

	"github.com/go-kad/kad/host/internal/deliver"
	"github.com/go-kad/kad/host/internal/find"
	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/reach"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/internal/validate"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
	"github.com/libp2p/go-libp2p/core/peer"
)

type Config struct {
	Self      peer.ID
	Store     store.Store
	Rules     validate.Rules
	Holder    *holder.Holder
	Lookup    *lookup.Engine
	Deliver   *deliver.Sender
	Find      *find.Finder
	Reach     *reach.Reach
	Tasks     *tasks.Group
	RecordAge time.Duration
	Interval  time.Duration // negative: nothing is published again
	Wake      func()
}

// A Publisher publishes what is ours, and publishes it again.
type Publisher struct{}

func New(cfg Config) *Publisher { panic("stub") }

func (p *Publisher) Resume(ctx context.Context) { panic("stub") } // was resumePublications

// Put delivers a value and keeps it for publishing again (was DHT.put with publish).
func (p *Publisher) Put(ctx context.Context, key, value []byte, paths, quorum int) (deliver.Receipt, error) {
	panic("stub")
}
func (p *Publisher) PutOffline(ctx context.Context, key, value []byte) error { panic("stub") }
func (p *Publisher) StopPublishing(ctx context.Context, key []byte) error    { panic("stub") }

// Announce announces us for a key; lifetime 0 means until StopProviding, and then it is published again.
func (p *Publisher) Announce(ctx context.Context, key []byte, lifetime time.Duration) (deliver.Receipt, error) {
	panic("stub")
}
func (p *Publisher) StopProviding(ctx context.Context, key []byte) error { panic("stub") }

func (p *Publisher) Has(kind store.Kind, key []byte) bool { panic("stub") }
func (p *Publisher) Len() int                             { panic("stub") }
func (p *Publisher) Republished() uint64                  { panic("stub") }
func (p *Publisher) Job(joined func() bool) tasks.Job     { panic("stub") }

var _ protocol.Request
