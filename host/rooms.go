package host

import (
	"github.com/go-kad/kad/host/internal/call"
	"github.com/go-kad/kad/host/internal/connect"
	"github.com/go-kad/kad/host/internal/deliver"
	"github.com/go-kad/kad/host/internal/find"
	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/join"
	"github.com/go-kad/kad/host/internal/lookup"
	"github.com/go-kad/kad/host/internal/presence"
	"github.com/go-kad/kad/host/internal/publish"
	"github.com/go-kad/kad/host/internal/reach"
	"github.com/go-kad/kad/host/internal/relay"
	"github.com/go-kad/kad/host/internal/replicate"
	"github.com/go-kad/kad/host/internal/serve"
	"github.com/go-kad/kad/host/internal/table"
)

// rooms are the parts of a node: see ARCHITECTURE.md.
type rooms struct {
	table     *table.Table
	call      *call.Caller
	lookup    *lookup.Engine
	join      *join.Joiner
	holder    *holder.Holder
	serve     *serve.Server
	deliver   *deliver.Sender
	find      *find.Finder
	publish   *publish.Publisher
	replicate *replicate.Replicator
	reach     *reach.Reach
	presence  *presence.Presence
	relay     *relay.Relays
	connect   *connect.Connector
}
