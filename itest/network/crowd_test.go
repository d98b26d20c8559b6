package network_test

import (
	"bufio"
	"encoding/binary"
	"slices"
	"sort"
	"sync"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"

	"github.com/go-kad/kad/host/kadtest"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

// A crowd is many peers of which each knows all others, so that it answers with the closest
// there are. They hold the announcements of one publisher of numbered contents, in a few bytes
// each: a network that is too large for as many DHTs, and holds what these would.
type crowd struct {
	members   []member // in the order of their keys
	publisher *kadtest.Node

	mu      sync.Mutex
	holders [][]uint16    // of each content, by place in members
	last    []time.Time   // when each content was announced last
	longest time.Duration // between two announcements of one content
	begun   time.Time     // of minutes
	minutes []int         // how many announcements arrived in each
}

// A member is a peer of a crowd.
type member struct {
	key  routing.Key
	node *kadtest.Node
	wire []byte
}

// newCrowd adds peers to a network, which hold announcements of so many contents.
func newCrowd(t *testing.T, n *kadtest.Network, peers, contents int) *crowd {
	t.Helper()
	c := &crowd{holders: make([][]uint16, contents), last: make([]time.Time, contents)}
	for _, d := range n.AddHosts(peers) {
		wire := protocol.AppendPeer(nil, protocol.Peer{ID: d.ID(), Addrs: d.Host.Addrs()})
		c.members = append(c.members, member{routing.KeyOf([]byte(d.ID())), d, wire})
	}
	slices.SortFunc(c.members, func(a, b member) int { return slices.Compare(a.key[:], b.key[:]) })
	for i, m := range c.members {
		m.node.Host.SetStreamHandler("/test/kad/1.0.0", func(s network.Stream) { c.serve(s, uint16(i), false) })
		m.node.Host.SetStreamHandler("/test/kad/many/1.0.0", func(s network.Stream) { c.serve(s, uint16(i), true) })
	}
	return c
}

// numbered returns the content with a number, which is in its hash.
func numbered(t *testing.T, i int) cid.Cid {
	t.Helper()
	hash, err := multihash.Encode(binary.BigEndian.AppendUint64(make([]byte, 24, 32), uint64(i)), multihash.SHA2_256)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(cid.Raw, hash)
}

// number returns the number of a content; false if it is of no such content.
func (c *crowd) number(key []byte) (i int, ok bool) {
	if len(key) != 34 {
		return 0, false
	}
	n := binary.BigEndian.Uint64(key[26:])
	return int(n), n < uint64(len(c.holders))
}

// bootstrap returns peers to join through.
func (c *crowd) bootstrap() (peers []peer.AddrInfo) {
	for i := range 3 {
		peers = append(peers, c.members[i*len(c.members)/3].node.Info())
	}
	return peers
}

// closest returns the places in members of the k closest to a key, the closest first.
func (c *crowd) closest(key routing.Key) []int {
	from, to := 0, len(c.members)
	for bit := range routing.KeyBits { // what shares the longest prefix that k members have
		middle := from + sort.Search(to-from, func(i int) bool { return c.members[from+i].key[bit/8]>>(7-bit%8)&1 == 1 })
		begin, end := middle, to
		if key[bit/8]>>(7-bit%8)&1 == 0 {
			begin, end = from, middle
		}
		if end-begin < defaultK {
			break
		}
		from, to = begin, end
	}
	near := make([]int, 0, to-from)
	for i := from; i < to; i++ {
		near = append(near, i)
	}
	slices.SortFunc(near, func(a, b int) int { return key.Compare(c.members[a].key, c.members[b].key) })
	return near[:min(defaultK, len(near))]
}

// serve answers the requests of a stream to one member, or messages with many of them.
func (c *crowd) serve(s network.Stream, self uint16, many bool) {
	defer s.Close()
	r := bufio.NewReader(s)
	var parser protocol.RequestParser
	var buf []byte
	for {
		var err error
		if buf, err = protocol.ReadFrameInto(r, buf, protocol.MaxFrame); err != nil {
			return
		}
		requests := [][]byte{buf}
		if many {
			if requests, err = protocol.SplitMany(buf); err != nil {
				_ = s.Reset()
				return
			}
		}
		var answer []byte
		for _, msg := range requests {
			req, err := parser.Parse(msg)
			if err != nil {
				_ = s.Reset()
				return
			}
			if add, ok := req.(protocol.AddProvider); ok {
				c.announced(add.Key, self, time.Now())
			} else {
				answer = c.answer(req, self)
			}
		}
		if many {
			answer = protocol.AppendOutcomesFrame(nil, make([]uint32, len(requests)))
		}
		if _, err := s.Write(answer); err != nil {
			return
		}
	}
}

// announced takes in that a member was sent an announcement.
func (c *crowd) announced(key []byte, self uint16, now time.Time) {
	i, ok := c.number(key)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.begun.IsZero() {
		c.begun = now
	}
	minute := int(now.Sub(c.begun) / time.Minute)
	for len(c.minutes) <= minute {
		c.minutes = append(c.minutes, 0)
	}
	c.minutes[minute]++
	if !c.last[i].IsZero() {
		c.longest = max(c.longest, now.Sub(c.last[i]))
	}
	c.last[i] = now
	if !slices.Contains(c.holders[i], self) {
		c.holders[i] = append(c.holders[i], self)
	}
}

// answer returns the frame that answers a request.
func (c *crowd) answer(req protocol.Request, self uint16) []byte {
	var target []byte
	var providers []protocol.EncodedPeer
	switch req := req.(type) {
	case protocol.FindNode:
		target = req.Target
	case protocol.GetValue:
		target = req.Key
	case protocol.GetProviders:
		target = req.Key
		i, ok := c.number(req.Key)
		c.mu.Lock()
		if ok && slices.Contains(c.holders[i], self) {
			wire := protocol.AppendPeer(nil, protocol.Peer{ID: c.publisher.ID(), Addrs: c.publisher.Info().Addrs})
			providers = append(providers, protocol.EncodedPeer{Wire: wire})
		}
		c.mu.Unlock()
	case protocol.PutValue, protocol.AddProvider, protocol.Ping:
	}
	var closer []protocol.EncodedPeer
	if target != nil {
		for _, i := range c.closest(routing.KeyOf(target)) {
			if i != int(self) {
				closer = append(closer, protocol.EncodedPeer{Wire: c.members[i].wire})
			}
		}
	}
	return protocol.AppendEncodedResponseFrame(nil, req, nil, closer, providers)
}

// lacking returns how many of the k closest members of all contents do not hold them, and how
// many contents more than a quarter of these do not hold.
func (c *crowd) lacking() (copies, contents int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := make([]byte, 34)
	key[0], key[1] = multihash.SHA2_256, 32
	for n, holders := range c.holders {
		binary.BigEndian.PutUint64(key[26:], uint64(n))
		closest, lack := c.closest(routing.KeyOf(key)), 0
		for _, i := range closest {
			if !slices.Contains(holders, uint16(i)) {
				lack++
			}
		}
		if copies += lack; lack > len(closest)/4 {
			contents++
		}
	}
	return copies, contents
}

// watch has the crowd count announcements by minute, and the longest time between two of one
// content, from now on.
func (c *crowd) watch(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.begun, c.minutes, c.longest = now, nil, 0
}
