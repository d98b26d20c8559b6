package serve

import (
	"sync/atomic"

	"github.com/go-kad/kad/protocol"
)

// Stats are the requests that were answered since the Server was made, by kind, and
// the streams that were reset.
type Stats struct {
	FindNode, GetValue, PutValue, GetProviders, AddProvider, Ping uint64

	Refused uint64 // streams reset: too many, malformed, or a refused record
}

// counts are [Stats], as they are counted.
type counts struct {
	findNode, getValue, putValue, getProviders, addProvider, ping atomic.Uint64

	refused atomic.Uint64
}

// Stats returns how many requests were answered and refused.
func (s *Server) Stats() Stats {
	c := &s.counts
	return Stats{
		FindNode:     c.findNode.Load(),
		GetValue:     c.getValue.Load(),
		PutValue:     c.putValue.Load(),
		GetProviders: c.getProviders.Load(),
		AddProvider:  c.addProvider.Load(),
		Ping:         c.ping.Load(),
		Refused:      c.refused.Load(),
	}
}

// answered counts a request that was answered.
func (c *counts) answered(req protocol.Request) {
	switch req.(type) {
	case protocol.FindNode:
		c.findNode.Add(1)
	case protocol.GetValue:
		c.getValue.Add(1)
	case protocol.PutValue:
		c.putValue.Add(1)
	case protocol.GetProviders:
		c.getProviders.Add(1)
	case protocol.AddProvider:
		c.addProvider.Add(1)
	case protocol.Ping:
		c.ping.Add(1)
	}
}
