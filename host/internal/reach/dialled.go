package reach

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	// natLetsIn is how long a router at least may let a peer in that the host has dialled
	// or was connected to: RFC 4787 has 2 minutes for UDP, many routers have 5, and RFC
	// 5382 has 4 for what is left of a TCP connection.
	natLetsIn = 5 * time.Minute

	// maxDialled bounds the peers that are remembered for that.
	maxDialled = 4096
)

// dialled are the peers that the host has dialled, or was connected to, lately. A
// connection from one of them does not prove that the host is reachable: a NAT lets
// replies in. The zero value is empty.
//
// They are in two maps, each of one period, and dropped with it: after one to two periods.
// While a map is full, has is true for every peer.
type dialled struct {
	began       time.Time // when the period did
	now, before map[peer.ID]struct{}
}

// add adds a peer that is dialled, or whose connection ended.
func (d *dialled) add(now time.Time, id peer.ID) {
	d.turn(now)
	if len(d.now) < maxDialled {
		d.now[id] = struct{}{}
	}
}

// has reports whether a peer is one of them, or may be.
func (d *dialled) has(now time.Time, id peer.ID) bool {
	d.turn(now)
	_, in := d.now[id]
	_, was := d.before[id]
	return in || was || len(d.now) == maxDialled || len(d.before) == maxDialled
}

// turn begins a new period if it is time to.
func (d *dialled) turn(now time.Time) {
	age := now.Sub(d.began)
	if d.now != nil && age < natLetsIn {
		return
	}
	d.before = d.now
	if age >= 2*natLetsIn {
		d.before = nil
	}
	d.began, d.now = now, make(map[peer.ID]struct{})
}
