package node

import (
	"context"
	"fmt"
	"iter"

	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"

	kad "github.com/go-kad/kad/host"
)

// putValue stores the body under a key.
func putValue(ctx context.Context, c *call) (answer, error) {
	key, quorum, err := c.record()
	if err != nil {
		return nil, err
	}
	receipt, err := c.dht.Put(ctx, string(key), c.body, quorum)
	return receiptAnswer(receipt, err)
}

// getValue answers with the value under a key.
func getValue(ctx context.Context, c *call) (answer, error) {
	key, quorum, err := c.record()
	if err != nil {
		return nil, err
	}
	value, err := c.dht.GetValue(ctx, string(key), quorum)
	if refused(err) { // there is no value to refuse: it is the key
		return nil, badArgument("%s", err)
	}
	if err != nil {
		return nil, err
	}
	c.raw = append([]byte{}, value...) // not nil, even if it is empty
	return nil, nil
}

// getValues answers with all values of a key that holds several.
func getValues(ctx context.Context, c *call) (answer, error) {
	key, quorum, err := c.record()
	if err != nil {
		return nil, err
	}
	values, err := c.dht.GetValues(ctx, string(key), quorum)
	if refused(err) {
		return nil, badArgument("%s", err)
	}
	if err != nil {
		return nil, err
	}
	return answer{"values": values}, nil // in base64, as JSON has bytes
}

// stopPublishing ends the publication of a value.
func stopPublishing(ctx context.Context, c *call) (answer, error) {
	key, err := c.key()
	if err != nil {
		return nil, err
	}
	if err := c.dht.StopPublishing(ctx, string(key)); err != nil {
		return nil, err
	}
	return answer{"stopped": true}, nil
}

// record returns the parameters of a record.
func (c *call) record() (key []byte, quorum lrouting.Option, err error) {
	if key, err = c.key(); err != nil {
		return nil, nil, err
	}
	n, err := c.number("quorum")
	return key, kad.Quorum(n), err
}

// provide announces content of this node.
func provide(ctx context.Context, c *call) (answer, error) {
	id, err := c.cid()
	if err != nil {
		return nil, err
	}
	receipt, err := c.dht.Announce(ctx, id)
	return receiptAnswer(receipt, err)
}

// withdraw takes back what provide announced.
func withdraw(ctx context.Context, c *call) (answer, error) {
	id, err := c.cid()
	if err != nil {
		return nil, err
	}
	if err := c.dht.StopProviding(ctx, id); err != nil {
		return nil, err
	}
	return answer{"withdrawn": true}, nil
}

// providers answers with those who announced some content.
func providers(ctx context.Context, c *call) (answer, error) {
	id, err := c.cid()
	if err != nil {
		return nil, err
	}
	count, err := c.number("count")
	if err != nil {
		return nil, err
	}
	return collect("providers", c.dht.Providers(ctx, id, count))
}

// advertise announces this node under a name.
func advertise(ctx context.Context, c *call) (answer, error) {
	id, err := c.namespace()
	if err != nil {
		return nil, err
	}
	receipt, err := c.dht.Announce(ctx, id) // Advertise, with a receipt
	return receiptAnswer(receipt, err)
}

// rendezvous answers with those who can be found under a name.
func rendezvous(ctx context.Context, c *call) (answer, error) {
	if _, err := c.namespace(); err != nil {
		return nil, err
	}
	count, err := c.number("count")
	if err != nil {
		return nil, err
	}
	return collect("peers", c.dht.Discover(ctx, c.query.Get("ns"), count))
}

// collect answers with peers as they are found, and the error that ends them.
func collect(name string, found iter.Seq2[peer.AddrInfo, error]) (answer, error) {
	peers := []peerJSON{}
	for info, err := range found {
		if err != nil {
			return answer{name: peers}, err
		}
		peers = append(peers, peerOf(info))
	}
	return answer{name: peers}, nil
}

// receiptAnswer answers with what became of a record, if it got as far as that.
func receiptAnswer(r kad.Receipt, err error) (answer, error) {
	if err != nil && len(r.Stored)+len(r.Failed) == 0 {
		return nil, err
	}
	stored := make([]string, len(r.Stored))
	for i, id := range r.Stored {
		stored[i] = id.String()
	}
	failed := make(map[string]string, len(r.Failed))
	for id, err := range r.Failed {
		failed[id.String()] = OneLine(err)
	}
	return answer{"stored": len(r.Stored), "wanted": r.Wanted, "peers": stored, "failed": failed}, err
}

// A peerJSON is a peer in an answer.
type peerJSON struct {
	ID    string   `json:"id"`
	Addrs []string `json:"addrs"`
}

func peerOf(info peer.AddrInfo) peerJSON {
	return peerJSON{info.ID.String(), texts(info.Addrs)}
}

// texts returns addresses, or IDs, as text; never nil, which would be null in JSON.
func texts[T fmt.Stringer](items []T) []string {
	out := make([]string, len(items))
	for i, a := range items {
		out[i] = a.String()
	}
	return out
}
