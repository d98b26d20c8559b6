// Package reach: API TO IMPLEMENT (this file is a stub that its owner replaces).
package reach

import (
	"context"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/table"
	"github.com/go-kad/kad/host/internal/tasks"
)

// A Mode is as host.Mode: auto, client, server.
type Mode uint8

const (
	Auto Mode = iota
	Client
	Server
)

type Decision struct {
	Serve     bool
	Reachable bool
	Reason    string
}

type Config struct {
	Host       lhost.Host
	Table      *table.Table
	Mode       Mode
	PublicPeer bool                    // a bootstrap peer has a public address
	Switched   func(was, now Decision) // called without the lock, in the order of the switches
}

type Reach struct{}

func New(cfg Config) *Reach { panic("stub") }

func (r *Reach) Mode() (Mode, string)                    { panic("stub") }
func (r *Reach) SetMode(m Mode)                          { panic("stub") }
func (r *Reach) Start()                                  { panic("stub") } // the first decision
func (r *Reach) Close()                                  { panic("stub") }
func (r *Reach) Handle(event any)                        { panic("stub") }
func (r *Reach) Observe(conn network.Conn)               { panic("stub") } // was surveyed
func (r *Reach) Dialled(id peer.ID)                      { panic("stub") }
func (r *Reach) NeedsRelay() bool                        { panic("stub") }
func (r *Reach) Public() bool                            { panic("stub") } // a peer of the network is on the public internet
func (r *Reach) Reachability() network.Reachability      { panic("stub") }
func (r *Reach) Verdict() (network.Reachability, string) { panic("stub") }
func (r *Reach) NAT() network.NATDeviceType              { panic("stub") }
func (r *Reach) SeekRelay()                              { panic("stub") } // the relay source was read
func (r *Reach) SeeksRelay() bool                        { panic("stub") }
func (r *Reach) AwaitAddr(ctx context.Context) error     { panic("stub") }
func (r *Reach) Job() tasks.Job                          { panic("stub") } // was mode.settle

var _ = time.Second
