// Package deliver: API TO IMPLEMENT (this file is a stub that its owner replaces).
package deliver

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

type Config struct {
	Table    *table.Table
	Call     *call.Caller
	Tasks    *tasks.Group
	K, Alpha int
}

// A Sender delivers one record or announcement to the peers closest to it.
type Sender struct{}

func New(cfg Config) *Sender { panic("stub") }

// A Receipt, a PutError: as in host, which makes its own of them.
type Receipt struct {
	Stored []peer.ID
	Failed map[peer.ID]error
	Wanted int
}

func (r Receipt) Wait(ctx context.Context) (Receipt, error)   { panic("stub") }
func (r Receipt) Check(ctx context.Context, quorum int) error { panic("stub") }

type PutError struct{ Receipt }

func (e *PutError) Error() string   { panic("stub") }
func (e *PutError) Unwrap() []error { panic("stub") }

// ToClosest delivers to the k peers closest to the key of req (preimage), which closest finds. before, if not nil, is
// called before the first is sent to; if it fails, no peer is (was deliver with addTo).
func (s *Sender) ToClosest(ctx context.Context, closest lookup.Closest, preimage []byte, req protocol.Request, quorum int, before func() error) (Receipt, error) {
	panic("stub")
}

// To delivers to the peers that find adds, while it does (was deliver).
func (s *Sender) To(ctx context.Context, req protocol.Request, quorum int, before func() error, find func(context.Context, *lookup.Sink) error) (Receipt, error) {
	panic("stub")
}

// ToThese delivers to peers that are known (was send).
func (s *Sender) ToThese(ctx context.Context, to []routing.Contact, req protocol.Request, quorum int) Receipt {
	panic("stub")
}

// One delivers to one peer (was store1). turn may be nil.
func (s *Sender) One(ctx context.Context, turn *call.Turn, c routing.Contact, req protocol.Request) error {
	panic("stub")
}

var _ = time.Second
