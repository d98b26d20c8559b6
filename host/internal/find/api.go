// Package find: API TO IMPLEMENT (this file is a stub that its owner replaces).
package find

import (
	"context"
	"iter"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/deliver"
	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/host/internal/validate"
)

type Config struct {
	Host      lhost.Host
	Protocol  lprotocol.ID
	Rules     validate.Rules
	Table     *table.Table
	Call      *call.Caller
	Lookup    *lookup.Engine
	Deliver   *deliver.Sender
	Holder    *holder.Holder
	Tasks     *tasks.Group
	K         int
	RecordAge time.Duration
	Caching   bool // a get leaves a copy on the way
}

// A Finder finds values, providers and peers.
type Finder struct{}

func New(cfg Config) *Finder { panic("stub") }

type ValuesOptions struct {
	Quorum, Paths    int
	Offline, Expired bool
	Improved         func(value []byte) // called with each better value; may be nil
}

func (f *Finder) Values(ctx context.Context, key []byte, o ValuesOptions) ([][]byte, error) {
	panic("stub")
}
func (f *Finder) Providers(ctx context.Context, key []byte, limit int) iter.Seq2[peer.AddrInfo, error] {
	panic("stub")
}
func (f *Finder) Peer(ctx context.Context, id peer.ID) (Location, error) { panic("stub") } // was Locate
func (f *Finder) Stats() (corrections, cached uint64)                    { panic("stub") }

// Source, LocatedAddr, Location: as in host.
type Source uint8

const (
	SourceConnected Source = iota
	SourceCertified
	SourcePresence
	SourceHearsay
)

type LocatedAddr struct {
	Addr   multiaddr.Multiaddr
	Source Source
	From   peer.ID
	Age    time.Duration
}

type Location struct {
	ID    peer.ID
	Addrs []LocatedAddr
}

func (l Location) Info() peer.AddrInfo { panic("stub") }
