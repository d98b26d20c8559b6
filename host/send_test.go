package host

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/protocol"
)

// A sentLog keeps what a node sends, and when.
type sentLog struct {
	mu   sync.Mutex
	from *DHT
	sent []sentRequest
}

type sentRequest struct {
	at  time.Time
	to  peer.ID
	req protocol.Request
}

// add is for [memNet.watch].
func (l *sentLog) add(from *DHT, to peer.ID, req protocol.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if from == l.from {
		l.sent = append(l.sent, sentRequest{time.Now(), to, req})
	}
}

// A put sends to those who are certain to be among the closest while it looks for
// the others, and returns when its quorum is reached, whatever is left of the lookup.
func TestPutDoesNotWaitForItsLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newMemNet(t, 50*time.Millisecond)
		var log sentLog
		n.watch = log.add
		d := n.node(Config{})
		n.nodes(149, Config{})
		for i := range 10 { // until it knows the size of the network
			closestTo(t, n, d, fmt.Sprint(i))
		}
		early, before := 0, 0
		for i := range 20 {
			time.Sleep(10 * time.Second)
			log.mu.Lock()
			log.from, log.sent = d, nil
			log.mu.Unlock()
			start := time.Now()
			receipt, err := d.Put(t.Context(), recordKey(i), []byte("1"), Quorum(1))
			if err != nil {
				t.Fatal(err)
			}
			returned := time.Since(start)
			if receipt, err = receipt.Wait(t.Context()); err != nil || len(receipt.Stored) < 20 || len(receipt.Failed) > 0 || receipt.Wanted != len(receipt.Stored) {
				t.Errorf("receipt %v, %v; want it stored by all", receipt, err)
			}
			if lacking := slices.DeleteFunc(n.closest([]byte(recordKey(i)), 20, d), func(id peer.ID) bool { return slices.Contains(receipt.Stored, id) }); len(lacking) > 0 {
				t.Errorf("%d of the closest have not stored it", len(lacking))
			}
			log.mu.Lock()
			var found, put []time.Duration
			for _, s := range log.sent {
				switch req := s.req.(type) {
				case protocol.FindNode:
					if string(req.Target) == recordKey(i) {
						found = append(found, s.at.Sub(start))
					}
				case protocol.PutValue:
					put = append(put, s.at.Sub(start))
				}
			}
			log.mu.Unlock()
			if put[0] < found[len(found)-1] {
				early++
			}
			if returned < found[len(found)-1] {
				before++
			}
		}
		if early < 5 {
			t.Errorf("%d of 20 puts began while the lookup asked others, want 5", early)
		}
		if before == 0 {
			t.Error("no put with a quorum of 1 returned before its lookup had asked all")
		}
	})
}
