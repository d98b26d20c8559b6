// Package join: API TO IMPLEMENT (this file is a stub that its owner replaces).
package join

import (
	"context"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"

	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
)

type Config struct {
	Host            lhost.Host
	Protocol        lprotocol.ID
	Table           *table.Table
	Call            *call.Caller
	Lookup          *lookup.Engine
	Tasks           *tasks.Group
	Bootstrap       []peer.AddrInfo
	RefreshInterval time.Duration
	Wake            func()
}

// A Joiner enters the network and stays in it.
type Joiner struct{}

func New(cfg Config) *Joiner { panic("stub") }

func (j *Joiner) Join(ctx context.Context) error      { panic("stub") } // was DHT.join: shares the join under way
func (j *Joiner) AwaitJoin(ctx context.Context) error { panic("stub") } // was DHT.joined
func (j *Joiner) Joined() bool                        { panic("stub") } // in the loop only: keeper.join.done
func (j *Joiner) Running() bool                       { panic("stub") }
func (j *Joiner) Introduce(id peer.ID)                { panic("stub") } // queues a peer (was keeper.meet)
func (j *Joiner) Joins() uint64                       { panic("stub") }

// Jobs: join, introduce, check, reunite, refresh, save contacts (Table.Save), in this order.
func (j *Joiner) Jobs() []tasks.Job { panic("stub") }
