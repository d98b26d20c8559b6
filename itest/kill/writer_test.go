package kill_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multihash"

	"github.com/go-kad/kad/host/store"
)

// sharedKey is the key that all writers put to.
const sharedKey = "/v/shared"

// A writer writes through the API of a node, and enters into a ledger what the
// keeper has acknowledged: an answer of its own API, or a receipt that names it.
type writer struct {
	via, keeper *node
	ledger      *ledger
	number      *atomic.Int64 // the last one that was used, by any writer
	acks        chan<- struct{}
}

// A receipt is what the API answers to a write: who has stored it.
type receipt struct{ Peers []string }

// run writes until stop is closed, or the node does not answer.
func (w *writer) run(ctx context.Context, stop <-chan struct{}) {
	var last cid.Cid // announced, not withdrawn
	for {
		select {
		case <-stop:
			return
		default:
		}
		number := int(w.number.Add(1))
		answered := true
		switch number % 4 {
		case 0:
			answered = w.put(ctx, sharedKey, number)
		case 1:
			if content := contentOf(number); w.announce(ctx, content, &answered) {
				last = content
			}
		case 2:
			if w.via == w.keeper && last.Defined() {
				answered = w.withdraw(ctx, last)
				last = cid.Undef
				break
			}
			fallthrough
		default:
			answered = w.put(ctx, "/v/"+strconv.Itoa(number), number)
		}
		if !answered {
			return
		}
	}
}

// write calls the API, and reports whether there was an answer, and whether it
// means that the keeper has acknowledged what was written.
func (w *writer) write(ctx context.Context, method, path, body string) (answered, acknowledged bool) {
	var r receipt
	status, err := w.via.call(ctx, method, path, body, &r)
	acknowledged = status == http.StatusOK && (w.via == w.keeper || slices.Contains(r.Peers, w.keeper.ID))
	if err != nil {
		w.ledger.mu.Lock()
		defer w.ledger.mu.Unlock()
		w.ledger.failure = err
	}
	return status != 0, acknowledged
}

// enter enters what was acknowledged, and says so.
func (w *writer) enter(what func(l *ledger)) {
	w.ledger.enter(func() { what(w.ledger) })
	select {
	case w.acks <- struct{}{}:
	default: // nobody counts any more
	}
}

// put puts the value with a number.
func (w *writer) put(ctx context.Context, key string, number int) (answered bool) {
	answered, acknowledged := w.write(ctx, http.MethodPut, "/v1/value?key="+key, valueOf(number))
	if acknowledged {
		w.enter(func(l *ledger) {
			l.values[key] = max(l.values[key], number)
			if w.via == w.keeper {
				l.publications[publication{store.KindValue, key}] = true
			}
		})
	}
	return answered
}

// announce announces content, and reports whether that was acknowledged.
func (w *writer) announce(ctx context.Context, content cid.Cid, answered *bool) (acknowledged bool) {
	*answered, acknowledged = w.write(ctx, http.MethodPost, "/v1/provide?cid="+content.String(), "")
	if !acknowledged {
		return false
	}
	c, addrs := w.claim(content)
	w.enter(func(l *ledger) {
		l.claims[c] = addrs
		if w.via == w.keeper {
			l.publications[publication{store.KindProvider, c.hash}] = true
		}
	})
	return true
}

// withdraw takes back an announcement of the keeper. From when it is asked to,
// nobody knows whether it is still there, until that is acknowledged.
func (w *writer) withdraw(ctx context.Context, content cid.Cid) (answered bool) {
	c, _ := w.claim(content)
	w.ledger.mu.Lock()
	delete(w.ledger.claims, c)
	delete(w.ledger.publications, publication{store.KindProvider, c.hash})
	w.ledger.mu.Unlock()
	answered, acknowledged := w.write(ctx, http.MethodDelete, "/v1/provide?cid="+content.String(), "")
	if acknowledged {
		w.enter(func(l *ledger) { l.withdrawn[c] = true })
	}
	return answered
}

// claim returns what the node announces with some content, and the addresses that
// belong to it. Those of the keeper change, so they do not.
func (w *writer) claim(content cid.Cid) (claim, []multiaddr.Multiaddr) {
	infos, err := peer.AddrInfosFromP2pAddrs(multiaddrs(w.via.Addrs)...)
	if err != nil || len(infos) != 1 {
		panic(fmt.Sprintf("the addresses %v are not those of a peer: %v", w.via.Addrs, err))
	}
	c := claim{string(content.Hash()), infos[0].ID}
	if w.via == w.keeper {
		return c, nil
	}
	return c, infos[0].Addrs
}

// multiaddrs parses addresses.
func multiaddrs(texts []string) []multiaddr.Multiaddr {
	addrs := make([]multiaddr.Multiaddr, len(texts))
	for i, s := range texts {
		addrs[i] = multiaddr.StringCast(s)
	}
	return addrs
}

// contentOf returns the CID of the content with a number.
func contentOf(number int) cid.Cid {
	hash, err := multihash.Sum([]byte(valueOf(number)), multihash.SHA2_256, -1)
	if err != nil {
		panic(err) // there is such a hash
	}
	return cid.NewCidV1(cid.Raw, hash)
}
