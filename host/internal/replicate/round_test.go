package replicate

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
)

// A node sends what it was not sent for an interval, once in an interval, to the k
// closest peers, also what it held before it was started. A record that is theirs alone
// is forgotten then. A record that another holder has sent meanwhile is left alone.
func TestRounds(t *testing.T) {
	const count = 200
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 16, time.Hour)
		n.hold(t, 0, count)
		time.Sleep(2 * time.Hour)
		n.hold(t, count, count+50) // sent to us just now
		n.run()
		time.Sleep(59 * time.Minute)
		sent := n.puts()
		var theirs, ours []string
		for i := range count {
			key := recordKey(i)
			to, among := n.closest(key)
			if slices.ContainsFunc(to, func(id peer.ID) bool { return sent[string(key)][id] != 1 }) || len(sent[string(key)]) != len(to) {
				t.Errorf("%s was sent to %v, want once to %v", key, sent[string(key)], to)
			}
			if among {
				ours = append(ours, string(key))
			} else {
				theirs = append(theirs, string(key))
			}
			if held := n.holds(t, key) != ""; held != among {
				t.Errorf("%s: held %v, among the closest %v", key, held, among)
			}
		}
		if len(ours) < 10 || len(theirs) < 10 {
			t.Fatalf("%d records are ours too, %d theirs alone", len(ours), len(theirs))
		}
		if replicated, _ := n.Stats(); replicated < count {
			t.Errorf("%d of %d were replicated", replicated, count)
		}
		for range 24 {
			time.Sleep(time.Hour)
			n.hold(t, count, count+50)
			n.puts()
		}
		before, _ := n.Stats()
		for range 24 {
			time.Sleep(time.Hour / 2)
			n.hold(t, count, count+50)
		}
		for key, to := range n.puts() {
			if !slices.Contains(ours, key) {
				t.Errorf("%s was sent to %v", key, to)
			}
		}
		after, _ := n.Stats()
		if times := float64(after-before) / float64(len(ours)) / 12; times < 0.4 || times > 1.1 {
			t.Errorf("each record was replicated %.2f times an interval", times)
		}
	})
}

// A record that its holders do not take is kept, and sent again in the next round.
func TestRefusedIsKept(t *testing.T) {
	for name, put := range map[string]calltest.Answer{"refused": calltest.Refuses, "silent": calltest.Silent} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const count = 20
				n := newNode(t, 16, time.Hour)
				n.hold(t, 0, count)
				for _, id := range n.peers {
					n.net.Add(id, toPuts(put, calltest.Knows(testK, n.peers...)))
				}
				time.Sleep(time.Hour)
				n.run()
				time.Sleep(6 * time.Hour)
				if replicated, _ := n.Stats(); replicated != 0 || len(n.puts()) != count {
					t.Errorf("%d were replicated", replicated)
				}
				for _, id := range n.peers {
					n.net.Add(id, calltest.Knows(testK, n.peers...))
				}
				for i := range count {
					if n.holds(t, recordKey(i)) == "" {
						t.Errorf("%s is lost", recordKey(i))
					}
				}
				time.Sleep(3 * time.Hour)
				if sent := n.puts(); len(sent) != count {
					t.Errorf("%d of %d were sent again", len(sent), count)
				}
			})
		})
	}
}

// A record that is theirs alone is kept while less than half of them have stored it.
func TestTooFewHaveIt(t *testing.T) {
	for stores, forgotten := range map[int]bool{1: false, 2: true} {
		synctest.Test(t, func(t *testing.T) {
			n := newNode(t, testK, time.Hour)
			others := calltest.Knows(testK, n.peers...)
			for _, id := range n.peers[stores:] {
				n.net.Add(id, toPuts(calltest.Refuses, others))
			}
			n.hold(t, 0, 100)
			time.Sleep(time.Hour)
			n.run()
			time.Sleep(59 * time.Minute)
			theirs, lost := 0, 0
			for i := range 100 {
				if _, among := n.closest(recordKey(i)); among {
					continue
				}
				if theirs++; n.holds(t, recordKey(i)) == "" {
					lost++
				}
			}
			if sent := len(n.puts()); sent != 100 || theirs == 0 {
				t.Fatalf("%d records were sent, %d are theirs", sent, theirs)
			}
			if want := map[bool]int{true: theirs}[forgotten]; lost != want {
				t.Errorf("%d of %d holders store it: %d of %d records are forgotten, want %d", stores, testK, lost, theirs, want)
			}
		})
	}
}

// A value of ours is left to the agenda.
func TestOwnValueIsNotReplicated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 16, time.Hour)
		if _, err := n.publish.Put(t.Context(), time.Now(), recordKey(0), []byte("1"), 0, 0); err != nil {
			t.Fatal(err)
		}
		if err := n.holder.Provide(t.Context(), recordKey(0), 0, time.Now()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		n.net.Asked()
		n.run()
		time.Sleep(5 * time.Hour)
		if asked := n.net.Asked(); len(asked) > 0 {
			t.Errorf("%d requests for records of ours", len(asked))
		}
	})
}

// A holder that has a better value shows it in a get, and it is held from then on.
func TestBetterValueIsAdopted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 16, time.Hour)
		n.hold(t, 0, 100)
		old := calltest.Fails(errors.Join(kaderr.ErrRefused, kaderr.ErrOldRecord))
		others := calltest.Knows(testK, n.peers...)
		for _, id := range n.peers {
			n.net.Add(id, toPuts(old, func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
				resp, err := others(ctx, req)
				if get, ok := req.(protocol.GetValue); ok {
					resp.Record = &protocol.Record{Key: get.Key, Value: []byte("2")}
				}
				return resp, err
			}))
		}
		time.Sleep(time.Hour)
		n.run()
		time.Sleep(59 * time.Minute)
		adopted := 0
		for i := range 100 {
			_, among := n.closest(recordKey(i))
			switch got := n.holds(t, recordKey(i)); {
			case among && got != "2":
				t.Errorf("%s: %q is held", recordKey(i), got)
			case among:
				adopted++
			case got != "":
				t.Errorf("%s, which others hold: %q is held", recordKey(i), got)
			}
		}
		if adopted == 0 {
			t.Error("none of the records is ours")
		}
	})
}

// An announcement is replicated if its provider has signed it.
func TestAnnouncementsAreReplicated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 16, time.Hour)
		private, provider := roomtest.NewPeer(t)
		key := []byte("a multihash")
		proof := announce.Proof{Network: "/test", Key: key, Published: time.Now()}.Sign(private)
		for id, proof := range map[peer.ID][]byte{provider: proof, calltest.ID(99): nil} {
			add := protocol.AddProvider{Key: key, Providers: []protocol.Peer{{ID: id, Addrs: n.net.Host().Addrs()}}, Proof: proof}
			if err := n.holder.Announced(t.Context(), holder.From{ID: id}, add, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		n.net.Asked()
		n.run()
		time.Sleep(59 * time.Minute)
		var to []peer.ID
		for _, a := range n.net.Asked() {
			if add, ok := a.Req.(protocol.AddProvider); ok {
				if to = append(to, a.To); len(add.Providers) != 1 || add.Providers[0].ID != provider {
					t.Errorf("replicated %v", add)
				}
			}
		}
		want, _ := n.closest(key)
		slices.Sort(to)
		slices.Sort(want)
		if !slices.Equal(to, want) {
			t.Errorf("replicated to %d peers, want %d", len(to), len(want))
		}
	})
}

// The first round begins at a moment of the node's own within the first interval.
func TestFirstRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		early := 0
		const nodes = 40
		for range nodes {
			n := newNode(t, 16, time.Hour)
			n.hold(t, 0, 1)
			loop := tasks.NewLoop(n.group)
			loop.Add(n.jobs()...)
			time.Sleep(time.Hour)
			n.group.Go(func(ctx context.Context) { loop.Run(ctx, nil, func(time.Time, any) {}) })
			time.Sleep(30 * time.Minute)
			sent := len(n.puts())
			early += sent
			time.Sleep(30 * time.Minute)
			if sent += len(n.puts()); sent != 1 {
				t.Errorf("the record was sent %d times in the first interval", sent)
			}
		}
		if early < nodes/5 || early > nodes*4/5 {
			t.Errorf("%d of %d nodes began in the first half", early, nodes)
		}
	})
}

// Without rounds, only the hand-over is left.
func TestWithoutRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 16, -1)
		n.hold(t, 0, 100)
		n.run()
		time.Sleep(10 * time.Hour)
		if asked := n.net.Asked(); len(asked) > 0 {
			t.Errorf("%d requests", len(asked))
		}
	})
}
