//go:build unix

package stress

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	kad "github.com/go-kad/kad/host"
)

// namespaces is how many namespaces peers advertise.
const namespaces = 10

// work carries out operations, and checks their answers.
type work struct {
	*lab

	tally  *tally
	number atomic.Int64 // of the latest value or content

	listed   sync.Mutex // guards what follows; the slots have the lock of the lab
	keys     []string   // that were put
	contents []string   // CIDs that were announced
}

// run carries out operations, one after the other, until ctx ends: one of the given kind
// first.
func (w *work) run(ctx context.Context, rng *rand.Rand, k kind) {
	for ctx.Err() == nil {
		via := w.pick(rng)
		if via == nil {
			wait(ctx, 10*time.Millisecond)
			continue
		}
		w.operate(ctx, rng, via, k)
		k = kindOf(rng)
	}
}

// wait waits for d, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	<-ctx.Done()
}

// kindOf returns a kind: the frequent ones more often.
func kindOf(rng *rand.Rand) kind {
	mix := [...]kind{
		put, put, put, put, get, get, get, get, get, get, announce, announce, announce, providers, providers, providers, providers,
		withdraw, advertise, discover, discover, find, find, find, closest, closest, ping,
	}
	return mix[rng.IntN(len(mix))]
}

// operate carries out an operation of a kind through a node.
func (w *work) operate(ctx context.Context, rng *rand.Rand, via *chosen, k kind) {
	switch k {
	case put:
		w.put(ctx, rng, via)
	case get:
		w.get(ctx, rng, via)
	case announce:
		w.announce(ctx, via, announce, w.contentToAnnounce(rng))
	case advertise:
		w.announce(ctx, via, advertise, namespaceOf(rng))
	case providers:
		w.search(ctx, via, providers, w.choose(rng, &w.contents, w.newContent))
	case discover:
		w.search(ctx, via, discover, namespaceOf(rng))
	case withdraw:
		w.withdraw(ctx, via)
	case find, ping:
		if id := w.anyPeer(rng); id != via.id {
			w.find(ctx, via, k, id)
		}
	case closest:
		w.closest(ctx, via, strconv.FormatUint(rng.Uint64(), 36))
	case kinds:
	}
}

// do carries out an operation, and returns when it began and ended. It reports false if it
// was cut off by the end of the run, so that it says nothing.
func (w *work) do(ctx context.Context, via *chosen, r request) (a answer, from, to time.Time, ok bool) {
	from = time.Now()
	a = via.node.do(ctx, r)
	return a, from, time.Now(), ctx.Err() == nil
}

// choose returns one of several names: in one of eight cases a new one, in half of the others one of
// the latest 100.
func (w *work) choose(rng *rand.Rand, from *[]string, fresh func() string) string {
	w.listed.Lock()
	defer w.listed.Unlock()
	names := *from
	switch draw := rng.IntN(8); {
	case len(names) == 0 || draw == 0:
		return fresh()
	case draw < 4:
		names = names[max(0, len(names)-100):]
	}
	return names[rng.IntN(len(names))]
}

// remember adds a name to those that others choose from.
func (w *work) remember(to *[]string, name string) {
	w.listed.Lock()
	defer w.listed.Unlock()
	if !slices.Contains((*to)[max(0, len(*to)-1000):], name) {
		*to = append(*to, name)
	}
}

func (w *work) newKey() string { return "/v/" + strconv.FormatInt(w.number.Add(1), 10) }

// newContent returns the CID of a content that no node has.
func (w *work) newContent() string {
	hash, err := multihash.Sum([]byte(strconv.FormatInt(w.number.Add(1), 10)), multihash.SHA2_256, -1)
	if err != nil {
		panic(err) // there is such a hash
	}
	return cid.NewCidV1(cid.Raw, hash).String()
}

// contentToAnnounce returns a new content, or one that other nodes have announced.
func (w *work) contentToAnnounce(rng *rand.Rand) string {
	if rng.IntN(2) == 0 {
		return w.newContent()
	}
	return w.choose(rng, &w.contents, w.newContent)
}

func namespaceOf(rng *rand.Rand) string { return "stress/" + strconv.Itoa(rng.IntN(namespaces)) }

// hashOf returns the multihash under which a kind of operation announces or searches.
func hashOf(k kind, key string) string {
	var c cid.Cid
	var err error
	if k == advertise || k == discover {
		c, err = kad.NamespaceCID(key)
	} else {
		c, err = cid.Decode(key)
	}
	if err != nil {
		panic(err) // it was made here
	}
	return string(c.Hash())
}

// put puts a value: under a new key, or a better one under a key that has one.
func (w *work) put(ctx context.Context, rng *rand.Rand, via *chosen) {
	key := w.newKey()
	if rng.IntN(3) == 0 {
		key = w.choose(rng, &w.keys, w.newKey)
	}
	w.remember(&w.keys, key)
	wr := &write{number: int(w.number.Add(1)), by: via.id, begin: time.Now()}
	w.ledger.start(w.ledger.values, key, wr)
	a, from, to, ok := w.do(ctx, via, request{put, key, valueOf(wr.number)})
	if !ok {
		return
	}
	wrong := w.ledger.checkReceipt(via.id, from, to, a)
	if wrong == "" {
		wrong = w.ledger.checkRefusal(key, wr.number, to, a)
	}
	w.tally.enter(put, via, key, a, to.Sub(from), wrong, false)
	if a.outcome != fine {
		return
	}
	w.ledger.finish(wr, to, a)
	if rng.IntN(4) == 0 {
		w.eachHolder(ctx, rng, wr, 3, func(id string, addrs []string) {
			value, found, err := w.asker.value(ctx, id, addrs, key)
			if err == nil && ctx.Err() == nil {
				w.tally.enterHeld(via, key, w.ledger.checkHeld(key, wr, id, time.Now(), value, found))
			}
		})
	}
}

// eachHolder calls f for some of the peers that have acknowledged a write, with the addresses
// at which they listen.
func (w *work) eachHolder(ctx context.Context, rng *rand.Rand, wr *write, most int, f func(id string, addrs []string)) {
	for _, i := range rng.Perm(len(wr.holders))[:min(most, len(wr.holders))] {
		var addrs []string
		w.ledger.note(func() {
			if h := w.ledger.peers[wr.holders[i]]; h != nil {
				addrs = h.last().addrs
			}
		})
		if ctx.Err() == nil && addrs != nil {
			f(wr.holders[i], addrs)
		}
	}
}

// get gets a value.
func (w *work) get(ctx context.Context, rng *rand.Rand, via *chosen) {
	key := w.choose(rng, &w.keys, w.newKey)
	a, from, to, ok := w.do(ctx, via, request{kind: get, key: key})
	if !ok {
		return
	}
	wrong, owed := w.ledger.checkGet(key, from, to, a)
	if owed != nil && wrong != "" {
		have, asked := 0, 0
		w.eachHolder(ctx, rng, owed, len(owed.holders), func(id string, addrs []string) {
			if value, found, err := w.asker.value(ctx, id, addrs, key); err == nil {
				asked++
				if number, ok := numberOf(value); found && ok && number >= owed.number {
					have++
				}
			}
		})
		wrong += fmt.Sprintf("; asked now, %d have it, of %d that answer", have, asked)
	}
	w.tally.enter(get, via, key, a, to.Sub(from), wrong, false)
}

// announce announces a content or a namespace.
func (w *work) announce(ctx context.Context, via *chosen, k kind, key string) {
	wr := &write{by: via.id, begin: time.Now()}
	hash := hashOf(k, key)
	w.ledger.start(w.ledger.claims, hash, wr)
	if k == announce {
		w.remember(&w.contents, key)
	}
	a, from, to, ok := w.do(ctx, via, request{kind: k, key: key})
	if !ok {
		return
	}
	w.tally.enter(k, via, key, a, to.Sub(from), w.ledger.checkReceipt(via.id, from, to, a), false)
	if a.outcome == fine {
		w.ledger.finish(wr, to, a)
		w.askHolders(ctx, via, hash, key, wr)
	}
}

// askHolders asks some of the peers that have acknowledged an announcement, one time in four.
func (w *work) askHolders(ctx context.Context, via *chosen, hash, key string, wr *write) {
	rng := rand.New(rand.NewPCG(uint64(w.number.Load()), 1)) //nolint:gosec // it counts up from 0
	if rng.IntN(4) > 0 {
		return
	}
	w.eachHolder(ctx, rng, wr, 3, func(id string, addrs []string) {
		found, err := w.asker.provides(ctx, id, addrs, hash, wr.by)
		if err == nil && ctx.Err() == nil {
			w.tally.enterHeld(via, key, w.ledger.checkClaimHeld(hash, wr, id, time.Now(), found))
		}
	})
}

// search looks for the providers of a content, or the peers of a namespace.
func (w *work) search(ctx context.Context, via *chosen, k kind, key string) {
	a, from, to, ok := w.do(ctx, via, request{kind: k, key: key})
	if !ok {
		return
	}
	if a.outcome == fine && len(a.peers) == 0 {
		a.outcome = absent
	}
	hash := hashOf(k, key)
	wrong, owed, short := w.ledger.checkProviders(hash, via.id, from, to, a)
	if owed != nil {
		have, asked := 0, 0
		rng := rand.New(rand.NewPCG(0, 0))
		w.eachHolder(ctx, rng, owed, len(owed.holders), func(id string, addrs []string) {
			if found, err := w.asker.provides(ctx, id, addrs, hash, owed.by); err == nil {
				asked++
				if found {
					have++
				}
			}
		})
		wrong += fmt.Sprintf("; asked now, %d have it, of %d that answer", have, asked)
	}
	w.tally.enter(k, via, key, a, to.Sub(from), wrong, short)
}

// withdraw announces a content that no other operation knows, and takes that back.
func (w *work) withdraw(ctx context.Context, via *chosen) {
	key := w.newContent()
	if a, _, _, ok := w.do(ctx, via, request{kind: announce, key: key}); !ok || a.outcome != fine {
		return
	}
	a, from, to, ok := w.do(ctx, via, request{kind: withdraw, key: key})
	if !ok {
		return
	}
	wrong := ""
	if a.outcome == fine {
		var addrs []string
		w.ledger.note(func() { addrs = w.ledger.peers[via.id].last().addrs })
		if found, err := w.asker.provides(ctx, via.id, addrs, hashOf(withdraw, key), via.id); err == nil && found {
			wrong = "it has withdrawn the announcement, and answers with it"
		}
	}
	w.tally.enter(withdraw, via, key, a, to.Sub(from), wrong, false)
}

// find looks for a peer, or pings it.
func (w *work) find(ctx context.Context, via *chosen, k kind, id string) {
	a, from, to, ok := w.do(ctx, via, request{kind: k, key: id})
	if !ok {
		return
	}
	check := w.ledger.checkFind
	if k == ping {
		check = w.ledger.checkPing
	}
	w.tally.enter(k, via, id, a, to.Sub(from), check(id, from, to, a), false)
}

// closest looks for the peers closest to a key.
func (w *work) closest(ctx context.Context, via *chosen, key string) {
	a, from, to, ok := w.do(ctx, via, request{kind: closest, key: key})
	if !ok {
		return
	}
	wrong, short := w.ledger.checkClosest(key, via.id, from, to, a)
	w.tally.enter(closest, via, key, a, to.Sub(from), wrong, short)
}
