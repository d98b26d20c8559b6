package host

import (
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	msmux "github.com/multiformats/go-multistream"
)

const (
	// silence is how long a connection may take to answer before it counts as dead.
	silence = 1500 * time.Millisecond

	// maxOlderAsked bounds the peers whose older connections are being asked.
	maxOlderAsked = 64
)

// isSilent reports whether the other end of a connection does not answer for a time.
// It is asked whether it speaks the ping protocol, for which any answer will do: also
// that it does not, and that it refuses.
func isSilent(ctx context.Context, conn network.Conn, wait time.Duration) bool {
	asking, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	stream, err := conn.NewStream(asking)
	if err == nil {
		interrupt := context.AfterFunc(asking, func() { _ = stream.Reset() })
		err = msmux.SelectProtoOrFail(ping.ID, stream)
		interrupt()
		_ = stream.Reset()
	}
	return err != nil && asking.Err() != nil && ctx.Err() == nil
}

// An olderAsker is which peers are asked on connections that are older than their
// newest one.
type olderAsker struct {
	mu  sync.Mutex
	now map[peer.ID]struct{}
}

// begin reports whether a peer may be asked now. If so, end it.
func (o *olderAsker) begin(id peer.ID) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if _, busy := o.now[id]; busy || len(o.now) >= maxOlderAsked {
		return false
	}
	if o.now == nil {
		o.now = make(map[peer.ID]struct{})
	}
	o.now[id] = struct{}{}
	return true
}

func (o *olderAsker) end(id peer.ID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.now, id)
}

// askOlder asks, on the older connections to a peer that has connected once more,
// whether it is still there, and closes those that are silent. The peer may have been
// killed, and be back before anybody has noticed: the swarm would use the dead
// connection for half a minute, and so would a relay for all who want to reach the
// peer through it. Relayed ones are left alone: a direct one mostly comes after them.
func (d *DHT) askOlder(newest network.Conn) {
	if newest == nil {
		return
	}
	id := newest.RemotePeer()
	var older []network.Conn
	for _, conn := range d.host.Network().ConnsToPeer(id) {
		if conn != newest && !relayed(conn) && conn.Stat().Opened.Before(newest.Stat().Opened) {
			older = append(older, conn)
		}
	}
	if len(older) == 0 || !d.older.begin(id) {
		return
	}
	started := d.tasks.run(func(ctx context.Context) {
		defer d.older.end(id)
		closeSilent(ctx, older)
	})
	if !started {
		d.older.end(id)
	}
}

// maxConnsAsked bounds the connections to one peer that are asked at a time.
const maxConnsAsked = 8

// closeSilent closes those of some connections that are silent.
func closeSilent(ctx context.Context, conns []network.Conn) {
	var asked sync.WaitGroup
	for _, conn := range conns[:min(len(conns), maxConnsAsked)] {
		asked.Go(func() {
			if isSilent(ctx, conn, silence) {
				_ = conn.Close()
			}
		})
	}
	asked.Wait()
}
