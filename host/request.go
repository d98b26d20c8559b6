package host

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// request sends a request to a peer, and dials it first if need be: when it is the
// turn of whoever asks, who. With each stage of that, reaches is called, unless it is
// nil. Config.RequestTimeout counts from the dial.
func (d *DHT) request(ctx context.Context, who *caller, to peer.ID, req protocol.Request, reaches func(stage)) (protocol.Response, error) {
	if reaches == nil {
		reaches = func(stage) {}
	}
	var dialling *dial
	if !d.connected(to) {
		var err error
		if dialling, err = d.dialer.dial(ctx, who, to, reaches); err != nil {
			return protocol.Response{}, inTime(ctx, err)
		}
	}
	if d.cfg.RequestTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d.cfg.RequestTimeout)
		defer cancel()
	}
	if dialling != nil {
		if err := d.dialer.wait(ctx, dialling); err != nil {
			return protocol.Response{}, inTime(ctx, err)
		}
		reaches(connected)
	}
	start := time.Now()
	resp, err := d.rpc.Request(ctx, to, req)
	if err != nil {
		return protocol.Response{}, inTime(ctx, err)
	}
	switch req.(type) {
	case protocol.PutValue, protocol.AddProvider: // what it takes to store says little
	default:
		d.knowledge.answered(to, time.Since(start))
	}
	return resp, nil
}

// connect connects to a peer, unless it is connected.
func (d *DHT) connect(ctx context.Context, to peer.ID) error {
	x, err := d.dialer.dial(ctx, nil, to, func(stage) {})
	if err != nil {
		return inTime(ctx, err)
	}
	return inTime(ctx, d.dialer.wait(ctx, x))
}

// judge says of contacts what is to be expected of them, if a lookup asks them now.
func (d *DHT) judge(contacts []routing.Contact) {
	d.peers.judge(contacts)
	d.knowledge.judge(contacts)
	for i, c := range contacts {
		contacts[i].Connected = d.connected(c.ID)
	}
}
