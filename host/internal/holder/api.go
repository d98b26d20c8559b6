// Package holder: API TO IMPLEMENT (this file is a stub that its owner replaces).
package holder

import (
	"context"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"

	"github.com/go-kad/kad/host/internal/scope"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/internal/validate"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A From is the sender of a request.
type From struct {
	ID peer.ID
	At scope.Scope // how far away it is, which decides the addresses it is given
}

type Config struct {
	Host            lhost.Host // its ID, its addresses, its key
	Protocol        lprotocol.ID
	Store           store.Store
	Rules           validate.Rules
	Table           *table.Table
	K               int
	RecordAge       time.Duration
	MaxBytesPerPeer int
	Caching         bool // far holders keep records for less
}

// A Holder has the values and announcements that the node holds for the network, and its own.
type Holder struct{}

func New(cfg Config) *Holder { panic("stub") }

// values
func (h *Holder) Store(ctx context.Context, from peer.ID, records ...protocol.Record) error {
	panic("stub")
}                                                                                // was storeRecords
func (h *Holder) StoreOwn(ctx context.Context, records ...protocol.Record) error { panic("stub") } // Store by ourselves; a full store is no error (was tolerateFull)
func (h *Holder) Accepts(ctx context.Context, records []protocol.Record) error   { panic("stub") }
func (h *Holder) Held(ctx context.Context, key []byte, now time.Time) ([]store.Value, error) {
	panic("stub")
}                                                                                    // was heldValues
func (h *Holder) Records(ctx context.Context, key []byte) ([]protocol.Record, error) { panic("stub") } // was storedRecords: what an answer has
func RecordsOf(key []byte, held []store.Value, now time.Time) []protocol.Record      { panic("stub") }
func PutOf(records []protocol.Record) protocol.PutValue                              { panic("stub") }
func RecordsIn(put protocol.PutValue) []protocol.Record                              { panic("stub") }

const Transit = time.Second

// announcements
func (h *Holder) Announced(ctx context.Context, from From, add protocol.AddProvider) error {
	panic("stub")
} // was storeProvider
func (h *Holder) Providers(ctx context.Context, from From, key []byte) ([]protocol.EncodedPeer, error) {
	panic("stub")
} // was storedProviders: what an answer has
func (h *Holder) Known(ctx context.Context, key []byte, now time.Time) ([]protocol.Peer, error) {
	panic("stub")
} // the providers that a search of our own begins with
func (h *Holder) Announcement(key []byte, lifetime time.Duration, now time.Time) protocol.AddProvider {
	panic("stub")
} // our own (was announceRequest)
func (h *Holder) Provide(ctx context.Context, key []byte, lifetime time.Duration) error {
	panic("stub")
}                                                                      // was provideLocally
func (h *Holder) StopProviding(ctx context.Context, key []byte) error  { panic("stub") }
func (h *Holder) Encoded(id peer.ID, wire []byte) protocol.EncodedPeer { panic("stub") } // was DHT.encoded

// copies for others
func (h *Holder) Keys(ctx context.Context, kind store.Kind, from []byte, limit int) ([][]byte, error) {
	panic("stub")
} // was heldKeys
func (h *Holder) Each(ctx context.Context, prefix routing.Key, bits int, visit func(kind store.Kind, key []byte) error) error {
	panic("stub")
}
func (h *Holder) Copies(ctx context.Context, kind store.Kind, key []byte, since time.Time) ([]protocol.Request, error) {
	panic("stub")
} // was copies; with since, only what arrived before it and is not ours (was due, without the agenda's rule)
func (h *Holder) MarkSent(ctx context.Context, req protocol.Request, theirs bool) error {
	panic("stub")
}                                              // was replicated
func (h *Holder) Expire() tasks.Job            { panic("stub") }
func (h *Holder) Len() (values, providers int) { panic("stub") }
func (h *Holder) Shed() uint64                 { panic("stub") }
