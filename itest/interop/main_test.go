// Package interop_test runs the DHT in one network with other implementations,
// on real libp2p hosts and loopback sockets, each in the roles of writer, holder
// and reader: go-libp2p-kad-dht in the same process, over TCP and QUIC, and
// js-libp2p in processes of its own, over TCP.
//
// What is compared with a truth that neither side computed: who the closest
// peers are (brute force over all IDs), which of several values wins (the
// validator), and where a peer is (its host).
//
// Kubo runs as a program of its own, as a peer of the network, and as a client of delegated
// routing. `make kubo` builds it from the module in the folder kubo; the need is "kubo".
//
// The part in JavaScript needs node, and `npm ci` in the folder js; without
// them it is skipped. If the variable KAD_ITEST_REQUIRE contains "js", it fails
// instead.
package interop_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

const (
	// network is the name of the network of these tests, and the prefix of its
	// protocol.
	network = "/interop"

	// patience bounds every operation: none comes near it, and a hang fails
	// with the operation's own error.
	patience = 2 * time.Minute

	// replication is the k of all implementations.
	replication = 20
)

// patient returns a context for some operations.
func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits until a condition holds. It asks again and again, so it is
// for what no event tells: each use says why there is none.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx := patient(t)
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// greatest is a validator: the greatest value wins, and it refuses those it is
// told to.
type greatest struct{ refuse string }

var errRefused = errors.New("the validator of the test refuses this value")

func (g greatest) Validate(_ string, value []byte) error {
	if g.refuse != "" && string(value) == g.refuse {
		return errRefused
	}
	return nil
}

func (greatest) Select(_ string, values [][]byte) (int, error) {
	best := 0
	for i, v := range values {
		if bytes.Compare(v, values[best]) > 0 {
			best = i
		}
	}
	return best, nil
}

// contentOf returns the CID of a text.
func contentOf(t *testing.T, text string) cid.Cid {
	t.Helper()
	hash, err := multihash.Sum([]byte(text), multihash.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	return cid.NewCidV1(cid.Raw, hash)
}

// bruteForce returns those of ids that are closest to a key, the closest first,
// without the one who asks. It is written from the definition of the distance
// alone.
func bruteForce(ids []peer.ID, asker peer.ID, key []byte) []peer.ID {
	target := sha256.Sum256(key)
	distance := func(id peer.ID) []byte {
		d := sha256.Sum256([]byte(id))
		for i := range d {
			d[i] ^= target[i]
		}
		return d[:]
	}
	others := slices.DeleteFunc(slices.Clone(ids), func(id peer.ID) bool { return id == asker })
	slices.SortFunc(others, func(a, b peer.ID) int { return bytes.Compare(distance(a), distance(b)) })
	return others[:min(replication, len(others))]
}

// sorted returns ids in an order that does not say anything.
func sorted(ids []peer.ID) []peer.ID {
	return slices.SortedFunc(slices.Values(ids), cmp.Compare[peer.ID])
}

// idsOf returns the IDs of peers.
func idsOf(infos []peer.AddrInfo) []peer.ID {
	ids := make([]peer.ID, len(infos))
	for i, info := range infos {
		ids[i] = info.ID
	}
	return ids
}
