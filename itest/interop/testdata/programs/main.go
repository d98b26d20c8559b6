// Command programs has five programs of the kinds that use go-libp2p-kad-dht. A test builds
// it with that library, and with host/compat in its place, and compares what both print.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/ipfs/go-cid"
	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p"
	dht "github.com/libp2p/go-libp2p-kad-dht"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/routing"
	drouting "github.com/libp2p/go-libp2p/p2p/discovery/routing"
	"github.com/multiformats/go-multihash"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, p := range []struct {
		name string
		run  func(context.Context) error
	}{{"values", values}, {"contents", contents}, {"peers", peers}, {"rendezvous", rendezvous}, {"routed host", routed}} {
		if err := p.run(ctx); err != nil {
			log.Fatalf("%s: %v", p.name, err)
		}
		fmt.Println(p.name, "done")
	}
}

// A blank validator takes everything, and prefers the greatest.
type blank struct{}

func (blank) Validate(string, []byte) error { return nil }

func (blank) Select(_ string, values [][]byte) (int, error) {
	best := 0
	for i, v := range values {
		if bytes.Compare(v, values[best]) > 0 {
			best = i
		}
	}
	return best, nil
}

// private makes a private network of so many nodes, which know each other.
func private(ctx context.Context, n int, opts ...dht.Option) ([]*dht.IpfsDHT, error) {
	var nodes []*dht.IpfsDHT
	for range n {
		h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
		if err != nil {
			return nil, err
		}
		all := append([]dht.Option{dht.ProtocolPrefix("/programs"), dht.Mode(dht.ModeServer), dht.NamespacedValidator("v", blank{})}, opts...)
		for _, other := range nodes {
			all = append(all, dht.BootstrapPeers(peer.AddrInfo{ID: other.Host().ID(), Addrs: other.Host().Addrs()}))
		}
		d, err := dht.New(h, all...)
		if err != nil {
			return nil, err
		}
		if err := d.Bootstrap(ctx); err != nil {
			return nil, err
		}
		for _, other := range nodes {
			if err := h.Connect(ctx, peer.AddrInfo{ID: other.Host().ID(), Addrs: other.Host().Addrs()}); err != nil {
				return nil, err
			}
		}
		nodes = append(nodes, d)
	}
	for _, d := range nodes {
		for d.RoutingTable().Size() < n-1 {
			select {
			case <-time.After(20 * time.Millisecond):
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
	}
	return nodes, nil
}

func end(nodes []*dht.IpfsDHT) {
	for _, d := range nodes {
		d.Close()
		d.Host().Close()
	}
}

// values keeps records of a validator of its own in a datastore.
func values(ctx context.Context) error {
	nodes, err := private(ctx, 3, dht.Datastore(dssync.MutexWrap(ds.NewMapDatastore())), dht.MaxRecordAge(time.Hour), dht.BucketSize(10), dht.Concurrency(3))
	if err != nil {
		return err
	}
	defer end(nodes)
	if err := nodes[0].PutValue(ctx, "/v/greeting", []byte("hello")); err != nil {
		return err
	}
	value, err := nodes[2].GetValue(ctx, "/v/greeting", dht.Quorum(1))
	fmt.Printf("%s %v\n", value, err)
	found, err := nodes[1].SearchValue(ctx, "/v/greeting")
	if err != nil {
		return err
	}
	for v := range found {
		fmt.Printf("found %s\n", v)
	}
	_, err = nodes[1].GetValue(ctx, "/v/none")
	fmt.Println("missing:", errors.Is(err, routing.ErrNotFound))
	fmt.Println("refused:", nodes[0].PutValue(ctx, "/other/key", nil) != nil)
	return nil
}

// contents announces a content, and finds its providers.
func contents(ctx context.Context) error {
	nodes, err := private(ctx, 3)
	if err != nil {
		return err
	}
	defer end(nodes)
	hash, err := multihash.Sum([]byte("content"), multihash.SHA2_256, -1)
	if err != nil {
		return err
	}
	c := cid.NewCidV1(cid.Raw, hash)
	if err := nodes[0].Provide(ctx, c, true); err != nil {
		return err
	}
	all, err := nodes[1].FindProviders(ctx, c)
	fmt.Println(len(all), all[0].ID == nodes[0].Host().ID(), err)
	for p := range nodes[2].FindProvidersAsync(ctx, c, 1) {
		fmt.Println(p.ID == nodes[0].Host().ID(), len(p.Addrs) > 0)
	}
	return nil
}

// peers finds peers, and looks at the table.
func peers(ctx context.Context) error {
	nodes, err := private(ctx, 4)
	if err != nil {
		return err
	}
	defer end(nodes)
	target := nodes[3].Host().ID()
	found, err := nodes[1].FindPeer(ctx, target)
	fmt.Println(found.ID == target, len(found.Addrs) > 0, err)
	closest, err := nodes[0].GetClosestPeers(ctx, "key")
	fmt.Println(len(closest), err)
	fmt.Println(len(nodes[0].RoutingTable().ListPeers()), nodes[0].RoutingTable().Find(target) == target, len(nodes[0].RoutingTable().GetPeerInfos()))
	fmt.Println("ping:", nodes[0].Ping(ctx, target))
	fmt.Println("local:", nodes[0].FindLocal(ctx, target).ID == target)
	fmt.Println("refresh:", <-nodes[0].RefreshRoutingTable())
	key, err := nodes[0].GetPublicKey(ctx, target)
	fmt.Println("key:", err == nil && target.MatchesPublicKey(key))
	fmt.Println(nodes[0].Mode() == dht.ModeServer, nodes[0].PeerID() == nodes[0].Host().ID(), len(nodes[0].PeerKey()))
	return nil
}

// rendezvous is the discovery of libp2p's chat.
func rendezvous(ctx context.Context) error {
	nodes, err := private(ctx, 3)
	if err != nil {
		return err
	}
	defer end(nodes)
	if _, err := drouting.NewRoutingDiscovery(nodes[0]).Advertise(ctx, "meet here"); err != nil {
		return err
	}
	others, err := drouting.NewRoutingDiscovery(nodes[2]).FindPeers(ctx, "meet here")
	if err != nil {
		return err
	}
	for p := range others {
		fmt.Println("met:", p.ID == nodes[0].Host().ID())
	}
	return nil
}

// routed makes a host whose routing is the DHT, and connects by ID alone.
func routed(ctx context.Context) error {
	nodes, err := private(ctx, 3)
	if err != nil {
		return err
	}
	defer end(nodes)
	first := peer.AddrInfo{ID: nodes[0].Host().ID(), Addrs: nodes[0].Host().Addrs()}
	var d *dht.IpfsDHT
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.Routing(func(h host.Host) (routing.PeerRouting, error) {
		d, err = dht.New(h, dht.Mode(dht.ModeClient), dht.ProtocolPrefix("/programs"), dht.BootstrapPeersFunc(func() []peer.AddrInfo { return []peer.AddrInfo{first} }))
		return d, err
	}))
	if err != nil {
		return err
	}
	defer h.Close()
	defer d.Close()
	if err := h.Connect(ctx, first); err != nil {
		return err
	}
	for d.RoutingTable().Size() == 0 {
		time.Sleep(20 * time.Millisecond)
	}
	fmt.Println("connected:", h.Connect(ctx, peer.AddrInfo{ID: nodes[2].Host().ID()}))
	return nil
}
