package replicate

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/call/calltest"
	"github.com/go-kad/kad/host/internal/holder"
	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/protocol"
)

// A node sends what it was not sent for an interval, once in an interval, to the k
// closest peers, also what it held before it was started. A record that k others are nearer
// to is kept, and sent in every eighth round. A record that another holder has sent
// meanwhile is left alone.
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
			if among {
				ours = append(ours, string(key))
			} else {
				theirs = append(theirs, string(key))
			}
			if times := sent[string(key)]; !among && len(times) == 0 {
				continue
			} else if slices.ContainsFunc(to, func(id peer.ID) bool { return times[id] != 1 }) || len(times) != len(to) {
				t.Errorf("%s was sent to %v, want once to %v", key, times, to)
			}
		}
		if len(ours) < 10 || len(theirs) < 10 {
			t.Fatalf("%d records are ours too, %d theirs alone", len(ours), len(theirs))
		}
		if far := len(sent) - len(ours); far < len(theirs)/farRounds/2 || far > len(theirs)*2/farRounds {
			t.Errorf("%d of %d were sent that are theirs alone", far, len(theirs))
		}
		before, _ := n.Stats()
		n.hold(t, count, count+50)
		n.puts()
		times := make(map[string]int)
		for range 48 {
			time.Sleep(time.Hour / 2)
			n.hold(t, count, count+50)
			for key := range n.puts() {
				times[key]++
			}
		}
		for _, key := range theirs {
			if times[key] < 24/farRounds-1 || times[key] > 24/farRounds+1 {
				t.Errorf("%s was sent in %d of 24 intervals", key, times[key])
			}
		}
		after, _ := n.Stats()
		want := float64(len(ours)) + float64(len(theirs))/farRounds
		if times := float64(after-before) / want / 24; times < 0.4 || times > 1.1 {
			t.Errorf("each record was replicated %.2f times as often as it should be", times)
		}
		for i := range count + 50 {
			if n.holds(t, recordKey(i)) == "" {
				t.Errorf("%s is lost", recordKey(i))
			}
			if times[string(recordKey(i))] > 0 && i >= count {
				t.Errorf("%s was sent, which another holder sends", recordKey(i))
			}
		}
	})
}

// The first round of a node, which begins within an interval, sends all that it holds, also what
// k others are nearer to.
func TestFirstRoundSendsAll(t *testing.T) {
	const count = 100
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 16, time.Hour)
		n.hold(t, 0, count)
		time.Sleep(2 * time.Hour)
		n.puts()
		n.start()
		time.Sleep(2*time.Hour + time.Minute)
		if sent := n.puts(); len(sent) != count {
			t.Errorf("%d of %d are sent in the first round", len(sent), count)
		}
		const rounds = 6
		far, sent := 0, 0
		for range rounds {
			time.Sleep(time.Hour)
			for key := range n.puts() {
				if _, among := n.closest([]byte(key)); !among {
					sent++
				}
			}
		}
		for i := range count {
			if _, among := n.closest(recordKey(i)); !among {
				far++
			}
		}
		if most := far * (rounds + 2) / farRounds; far == 0 || sent > most {
			t.Errorf("%d of %d are sent in %d further rounds, want %d at most", sent, far, rounds, most)
		}
	})
}

// A round that took longer than the interval is followed by one that begins at once, and not by
// one after the other for all that were missed.
func TestLongRound(t *testing.T) {
	now := time.Unix(0, 0)
	s := &round{begins: now, ended: true, pause: time.Minute}
	now = now.Add(10 * time.Hour)
	if s.schedule(now, time.Hour); s.next.After(now) {
		t.Errorf("after a round of 10 h, the next one begins %v later", s.next.Sub(now))
	}
	if s.schedule(now, time.Hour); s.next.Before(now.Add(time.Hour / 2)) {
		t.Errorf("the one after that begins %v later", s.next.Sub(now))
	}
}

// A step goes on beyond its part with the keys that share its lookups, once it has made one, and
// up to a bound.
func TestStepBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const part = 10
		const count = part + stepBurst + 50
		n := newNode(t, 16, time.Hour)
		n.hold(t, 0, count)
		var keys [][]byte
		all, fresh := n.cfg.Lookup.NewSurvey(), n.cfg.Lookup.NewSurvey()
		n.round.survey = all
		walk := func(looks bool) (seen int) {
			t.Helper()
			n.round.from = nil
			var lookedUp atomic.Bool
			lookedUp.Store(looks)
			_, err := n.walk(t.Context(), part, &lookedUp, func(h held) bool {
				if seen++; len(keys) < seen {
					keys = append(keys, h.key)
				}
				return true
			})
			if err != nil {
				t.Fatal(err)
			}
			return seen
		}
		if got := walk(false); got != part {
			t.Errorf("a step that looks nothing up has %d keys, want %d", got, part)
		}
		n.round.survey = fresh
		if got := walk(true); got != part {
			t.Errorf("a step whose lookups tell of no further key has %d keys, want %d", got, part)
		}
		n.round.survey = all
		for i := range count {
			if _, err := all.Closest(t.Context(), recordKey(i), nil); err != nil {
				t.Fatal(err)
			}
		}
		if got := walk(true); got != part+stepBurst {
			t.Errorf("a step whose lookups tell of all keys has %d, want %d", got, part+stepBurst)
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
				time.Sleep(farRounds * 65 * time.Minute)
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
				time.Sleep(farRounds * 65 * time.Minute)
				if sent := n.puts(); len(sent) != count {
					t.Errorf("%d of %d were sent again", len(sent), count)
				}
			})
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

// A set that has values of others beside one of ours is replicated.
func TestSetWithOwnValueIsReplicated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 3, time.Hour)
		key := []byte("/s/key")
		if _, err := n.publish.Put(t.Context(), time.Now(), key, []byte("1"), 0, 0); err != nil {
			t.Fatal(err)
		}
		if err := n.holder.Store(t.Context(), time.Now(), "a peer", protocol.Record{Key: key, Value: []byte("2")}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		n.puts()
		n.run()
		time.Sleep(time.Hour)
		if sent := n.puts()[string(key)]; len(sent) != len(n.peers) {
			t.Errorf("sent to %d of %d peers", len(sent), len(n.peers))
		}
	})
}

// A holder that is slow to say that it has a better value is heard, though another one has taken
// ours at once.
func TestSlowBetterValueIsAdopted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 16, time.Hour)
		number := n.ours()
		n.hold(t, number, number+1)
		to, _ := n.closest(recordKey(number))
		for _, id := range to[1:] {
			n.net.Add(id, n.better(time.Second))
		}
		time.Sleep(time.Hour)
		n.run()
		time.Sleep(59 * time.Minute)
		if got := n.holds(t, recordKey(number)); got != "2" {
			t.Errorf("%q is held, want the better value", got)
		}
	})
}

// A holder that has a better value shows it in a get, and it is held from then on.
func TestBetterValueIsAdopted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 16, time.Hour)
		n.hold(t, 0, 100)
		for _, id := range n.peers {
			n.net.Add(id, n.better(0))
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
			case got == "":
				t.Errorf("%s, which others hold, is lost", recordKey(i))
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
		key := recordKey(n.ours())
		proof := announce.Proof{Network: "/test", Key: key, Published: time.Now()}.Sign(private)
		for id, proof := range map[peer.ID][]byte{provider: proof, calltest.ID(99): nil} {
			add := protocol.AddProvider{Key: key, Providers: []protocol.Peer{{ID: id, Addrs: n.net.Host().Addrs()}}, Proof: proof}
			if err := n.holder.Announced(t.Context(), holder.From{ID: id}, add, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		verified := countVerified(t)
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
		if n := verified(); n != 1 {
			t.Errorf("the signature was verified %d times, want once", n)
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
			i := n.ours()
			n.hold(t, i, i+1)
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

// A record that another holder sends while the lookup for it is under way is left alone.
func TestFasterHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 16, time.Hour)
		i := n.ours()
		n.hold(t, i, i+1)
		time.Sleep(2 * time.Hour)
		for _, id := range n.peers {
			n.net.Add(id, toPuts(calltest.Names(), func(ctx context.Context, req protocol.Request) (protocol.Response, error) {
				n.hold(t, i, i+1) //nolint:contextcheck // of the test
				return calltest.Knows(testK, n.peers...)(ctx, req)
			}))
		}
		n.run()
		time.Sleep(30 * time.Minute)
		if asked := n.net.Asked(); len(asked) == 0 || slices.ContainsFunc(asked, func(a calltest.Asked) bool {
			_, put := a.Req.(protocol.PutValue)
			return put
		}) {
			t.Errorf("%d requests, want a lookup and no put", len(asked))
		}
	})
}

// countVerified counts the signatures with a key like that of a new peer which are verified
// from now on, until the test ends.
func countVerified(t *testing.T) func() int64 {
	t.Helper()
	var count atomic.Int64
	_, id := roomtest.NewPeer(t)
	key, err := id.ExtractPublicKey()
	if err != nil {
		t.Fatal(err)
	}
	before := crypto.PubKeyUnmarshallers[key.Type()]
	crypto.PubKeyUnmarshallers[key.Type()] = func(data []byte) (crypto.PubKey, error) {
		key, err := before(data)
		return countedKey{key, &count}, err
	}
	t.Cleanup(func() { crypto.PubKeyUnmarshallers[key.Type()] = before })
	return count.Load
}

// A countedKey counts the signatures that it verifies.
type countedKey struct {
	crypto.PubKey
	count *atomic.Int64
}

func (k countedKey) Verify(data, signature []byte) (bool, error) {
	k.count.Add(1)
	return k.PubKey.Verify(data, signature)
}
