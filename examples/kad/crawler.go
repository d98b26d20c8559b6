package main

import (
	"bufio"
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/examples/internal/node"
	"github.com/go-kad/kad/protocol"
	"github.com/go-kad/kad/routing"
)

const (
	// maxBuckets bounds the requests to one peer: the bucket of b bits holds a peer of a
	// network of 2^b and more.
	maxBuckets = 16

	// maxCrawl bounds the peers that a crawl remembers: peers that lie could name ever more.
	maxCrawl = 1 << 20

	// visitTimeout bounds what is asked of one peer.
	visitTimeout = 30 * time.Second
)

// A crawler asks each peer of a network, once, for what is in its buckets.
type crawler struct {
	host     lhost.Host
	protocol lprotocol.ID
	timeout  time.Duration // of a dial, and of a request

	mu    sync.Mutex
	seen  map[string]bool // named already
	queue []peer.AddrInfo // named, and not asked
	last  string          // why the last peer that did not answer did not
}

// crawlHost returns a host that dials, and cannot be dialled.
func crawlHost() (lhost.Host, error) {
	return libp2p.New(libp2p.NoListenAddrs, libp2p.EnableRelay(), libp2p.UserAgent("kad-crawl"), libp2p.ResourceManager(new(network.NullResourceManager)))
}

func newCrawler(h lhost.Host, network string, timeout time.Duration) *crawler {
	return &crawler{
		host: h, protocol: lprotocol.ID(network + "/kad/1.0.0"), timeout: min(timeout, visitTimeout),
		seen: map[string]bool{h.ID().String(): true},
	}
}

// visited marks a peer that an earlier crawl has asked.
func (w *crawler) visited(id string) { w.seen[id] = true }

// meet takes in peers that were named, and writes the new ones to the file.
func (w *crawler) meet(peers []peer.AddrInfo, log *crawlLog) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, p := range peers {
		id := p.ID.String()
		if w.seen[id] || len(p.Addrs) == 0 || len(w.seen) >= maxCrawl {
			continue
		}
		w.seen[id] = true
		w.queue = append(w.queue, p)
		log.write(found{id, texts(p.Addrs)})
	}
}

// left returns how many peers were named, and not asked.
func (w *crawler) left() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue)
}

// reason returns why the last peer that did not answer did not.
func (w *crawler) reason() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// next takes a peer off the queue.
func (w *crawler) next() (peer.AddrInfo, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return peer.AddrInfo{}, false
	}
	p := w.queue[0]
	w.queue = w.queue[1:]
	return p, true
}

// run asks peers, several at once, until no peer is left or ctx ends. A peer whose request
// was ended by ctx is in the queue again.
func (w *crawler) run(ctx context.Context, parallel int, log *crawlLog) iter.Seq[visit] {
	return func(yield func(visit) bool) {
		type result struct {
			visit

			of     peer.AddrInfo
			closer []peer.AddrInfo
		}
		results := make(chan result)
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		going, ended := 0, false
		for {
			for going < parallel && ctx.Err() == nil {
				p, ok := w.next()
				if !ok {
					break
				}
				going++
				go func() {
					v, closer := w.visit(ctx, p)
					results <- result{v, p, closer}
				}()
			}
			if going == 0 {
				return
			}
			r := <-results
			going--
			if ctx.Err() != nil && !r.Answered {
				w.mu.Lock()
				w.queue = append(w.queue, r.of)
				w.mu.Unlock()
				continue
			}
			w.meet(r.closer, log)
			log.write(r.visit)
			if !r.Answered {
				w.mu.Lock()
				w.last = r.Error
				w.mu.Unlock()
			}
			if !ended && !yield(r.visit) {
				ended = true
				cancel()
			}
		}
	}
}

// visit asks one peer for what is in its buckets, from the farthest on, until two in a row
// name no other peer.
func (w *crawler) visit(ctx context.Context, p peer.AddrInfo) (visit, []peer.AddrInfo) {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(network.WithAllowLimitedConn(ctx, "crawl"), visitTimeout)
	defer cancel()
	v := visit{ID: p.ID.String(), Addrs: texts(p.Addrs)}
	named := make(map[peer.ID]peer.AddrInfo)
	err := w.connect(ctx, p)
	if err == nil {
		v.Dialled = true
		err = w.drain(ctx, p.ID, named)
		v.Answered = err == nil || len(named) > 0
	}
	if err != nil {
		v.Error = node.OneLine(err)
	}
	if agent, err := w.host.Peerstore().Get(p.ID, "AgentVersion"); err == nil {
		v.Agent, _ = agent.(string)
	}
	if conns := w.host.Network().ConnsToPeer(p.ID); len(conns) > 0 {
		v.Via = "direct"
		if conns[0].Stat().Limited {
			v.Via = "relayed"
		}
	}
	_ = w.host.Network().ClosePeer(p.ID)
	w.host.Peerstore().ClearAddrs(p.ID)
	var closer []peer.AddrInfo
	for id, info := range named {
		v.Contacts = append(v.Contacts, id.String())
		closer = append(closer, info)
	}
	v.Took = float64(time.Since(begun)) / float64(time.Millisecond)
	return v, closer
}

// connect dials a peer.
func (w *crawler) connect(ctx context.Context, p peer.AddrInfo) error {
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	w.host.Peerstore().AddAddrs(p.ID, p.Addrs, peerstore.TempAddrTTL)
	return w.host.Connect(ctx, p)
}

// drain asks a peer for the peers in its buckets, over one stream, and adds them to named.
func (w *crawler) drain(ctx context.Context, id peer.ID, named map[peer.ID]peer.AddrInfo) error {
	s, err := w.host.NewStream(ctx, id, w.protocol)
	if err != nil {
		return err
	}
	defer func() { _ = s.Reset() }()
	defer context.AfterFunc(ctx, func() { _ = s.Reset() })()
	in := bufio.NewReader(s)
	self := routing.KeyOf([]byte(id))
	rng := rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	for cpl, stale := 0, 0; cpl < maxBuckets && stale < 2; cpl++ {
		_ = s.SetDeadline(time.Now().Add(w.timeout))
		req := protocol.FindNode{Target: routing.Preimage(self, cpl, rng)}
		if _, err := s.Write(protocol.AppendRequestFrame(nil, req)); err != nil {
			return err
		}
		msg, err := protocol.ReadFrame(in, protocol.MaxFrame)
		if err != nil {
			return fmt.Errorf("it did not answer: %w", err)
		}
		resp, err := protocol.ParseResponse(req, msg)
		if err != nil {
			return err
		}
		before := len(named)
		for _, p := range resp.Closer {
			if p.ID != w.host.ID() && p.ID != id {
				named[p.ID] = peer.AddrInfo{ID: p.ID, Addrs: p.Addrs}
			}
		}
		stale++
		if len(named) > before {
			stale = 0
		}
	}
	return nil
}

// texts returns addresses as text.
func texts(addrs []multiaddr.Multiaddr) []string {
	list := make([]string, len(addrs))
	for i, a := range addrs {
		list[i] = a.String()
	}
	return list
}
