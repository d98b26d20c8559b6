package routing_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/routing"
)

// crowd returns the contacts of a network of n peers.
func crowd(n int) []routing.Contact {
	contacts := make([]routing.Contact, n)
	for i := range contacts {
		contacts[i] = routing.ContactOf(peer.ID(fmt.Sprint("peer ", i)))
	}
	return contacts
}

// closest returns the 20 of contacts that are closest to a target.
func closest(target routing.Key, contacts []routing.Contact) []routing.Contact {
	sorted := append([]routing.Contact(nil), contacts...)
	routing.SortByDistance(target, sorted)
	return sorted[:min(20, len(sorted))]
}

// Keys are near each other if their first bits are equal. Distance has nothing to do with names.
func ExampleKey() {
	ann, bob, cat := routing.KeyOf([]byte("ann")), routing.KeyOf([]byte("bob")), routing.KeyOf([]byte("cat"))
	fmt.Println("bits that ann shares with bob:", ann.CPL(bob), "and with cat:", ann.CPL(cat))
	fmt.Println("bob is closer to ann than cat is:", ann.Compare(bob, cat) < 0)
	fmt.Println(ann.String()[:8])
	// Output:
	// bits that ann shares with bob: 0 and with cat: 2
	// bob is closer to ann than cat is: false
	// 49915e0d
}

// The contacts of a network, those that are closest to a key first.
func ExampleSortByDistance() {
	target := routing.KeyOf([]byte("my key"))
	contacts := crowd(1000)
	routing.SortByDistance(target, contacts)
	fmt.Println("the closest shares", target.CPL(contacts[0].Key), "bits, the farthest", target.CPL(contacts[999].Key))
	// Output: the closest shares 9 bits, the farthest 0
}

// How densely peers lie around keys says how many there are.
func ExampleSize() {
	network := crowd(1000)
	var size routing.Size
	for i := range 10 {
		target := routing.KeyOf(fmt.Append(nil, "key ", i))
		size.Observe(target, closest(target, network))
	}
	e := size.Estimate()
	fmt.Println("right within a fifth:", e.Nodes > 800 && e.Nodes < 1200, "error:", e.Error < 0.1)

	target := routing.KeyOf([]byte("another key"))
	honest := closest(target, network)
	fmt.Println("crowded:", e.Crowded(target, honest))
	fmt.Printf("as near as the last of 20: about %.0f\n", e.Within(target, honest[19].Key))
	// Output:
	// right within a fifth: true error: true
	// crowded: false
	// as near as the last of 20: about 22
}

// After a lookup of its own key, a node asks for contacts of the buckets that have room.
func ExampleFill() {
	now, rng := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), rand.New(rand.NewPCG(1, 2))
	self, network := routing.KeyOf([]byte("me")), crowd(1000)
	table := routing.NewTable(self, routing.TableConfig{})
	for _, c := range closest(self, network) { // what the lookup of our key has found
		table.Seen(now, c)
	}
	table.Seen(now, network[0])
	fmt.Println("contacts before:", table.Len())

	fill := table.Fill()
	requests := 0
	for {
		req, ok := fill.Next(table)
		if !ok {
			break
		}
		requests++
		table.Seen(now, req.To)                                       // it has answered
		target := routing.KeyOf(routing.Preimage(self, req.CPL, rng)) // what it was asked for
		fill.Ended(req, closest(target, network))
	}
	fmt.Println("contacts after:", table.Len(), "with requests:", requests)
	// Output:
	// contacts before: 21
	// contacts after: 131 with requests: 122
}

// A lookup begins where an earlier one of a near key has ended.
func ExampleRecall() {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	key, network := routing.KeyOf([]byte("my key")), crowd(1000)
	var recall routing.Recall
	found := closest(key, network)
	recall.Learn(now, time.Time{}, key, 20, routing.Result{Closest: found, Answered: found, End: routing.Converged})

	seeds, since := recall.Near(now.Add(time.Minute), key)
	fmt.Println(len(seeds), "seeds, which answered", now.Add(time.Minute).Sub(since), "ago")
	seeds, _ = recall.Near(now.Add(10*time.Minute), key)
	fmt.Println(len(seeds), "after ten minutes")
	// Output:
	// 20 seeds, which answered 1m0s ago
	// 0 after ten minutes
}

// Some lookups answer for many keys that lie near each other.
func ExampleRegion() {
	network, rng := crowd(1000), rand.New(rand.NewPCG(1, 2))
	region := routing.NewRegion(20)
	lookups := 0
	for i := range 10_000 {
		key := routing.KeyOf(fmt.Append(nil, "content ", i))
		for {
			_, prefix, bits, ok := region.Closest(key)
			if ok {
				break // the holders of the content are known
			}
			target := key
			if key.CPL(prefix) < bits {
				target = routing.KeyOf(routing.PreimageOf(prefix, bits, rng))
			}
			lookups++
			region.Add(target, closest(target, network))
		}
	}
	fmt.Println("less than a hundred lookups for 10 000 keys:", lookups < 100)
	// Output: less than a hundred lookups for 10 000 keys: true
}

// What a node has learnt of its peers tells how long to wait for each.
func ExamplePaces() {
	var paces routing.Paces
	for range 10 {
		paces.Answered("ann", 20*time.Millisecond)
		paces.Answered("bob", 300*time.Millisecond)
	}
	contacts := []routing.Contact{routing.ContactOf("ann"), routing.ContactOf("bob"), routing.ContactOf("cat")}
	paces.Expect(contacts)
	fmt.Println("ann is expected before bob:", contacts[0].Expect < contacts[1].Expect)
	fmt.Println("a stranger has the time of all:", contacts[2].Expect == paces.Strangers())
	cfg := paces.Tune(routing.LookupConfig{K: 20}, routing.KeyOf([]byte("me")), nil)
	fmt.Println("the share that fails:", cfg.Failing, "the size is known:", cfg.Size.Nodes > 0)
	// Output:
	// ann is expected before bob: true
	// a stranger has the time of all: true
	// the share that fails: 0 the size is known: false
}

// A peer that did not answer is asked, and not waited for, in the next minute.
func ExampleDoubts() {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	table := routing.NewTable(routing.KeyOf([]byte("me")), routing.TableConfig{})
	table.Seen(now, routing.ContactOf("ann"))
	var doubts routing.Doubts
	doubts.Add(now, "bob")

	contacts := []routing.Contact{routing.ContactOf("ann"), routing.ContactOf("bob")}
	doubts.Mark(now.Add(time.Second), table, table.Live(now), contacts)
	for _, c := range contacts {
		fmt.Println(string(c.ID), c.Doubtful)
	}
	fmt.Println(doubts.Has(now.Add(2*routing.DoubtAge), "bob"))
	// Output:
	// ann false
	// bob true
	// false
}

// Contacts that have left are tried again after an outage.
func ExampleDeparted() {
	now, rng := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC), rand.New(rand.NewPCG(1, 2))
	var departed routing.Departed
	for _, c := range crowd(3) {
		c.Wire = []byte("its addresses")
		departed.Add(now, c)
	}
	departed.Remove("peer 0") // it is back
	fmt.Println(len(departed.Draw(now.Add(time.Hour), 10, rng)))
	// Output: 2
}

// A round trip that is smoothed, and the time after which an answer is late.
func ExampleRTT() {
	var rtt routing.RTT
	for range 20 {
		rtt.Observe(100 * time.Millisecond)
	}
	fmt.Println(rtt.Mean(), rtt.Timeout(0) > rtt.Mean(), rtt.Timeout(0) < 200*time.Millisecond)
	// Output: 100ms true true
}

// Beyond the k closest holders, a copy of a record is kept for less, the more peers are closer.
func ExampleCacheLifetime() {
	for _, closer := range []int{0, 19, 20, 23} {
		fmt.Println(closer, routing.CacheLifetime(48*time.Hour, closer, 20))
	}
	// Output:
	// 0 48h0m0s
	// 19 48h0m0s
	// 20 24h0m0s
	// 23 3h0m0s
}

// Attempts to join are made less and less often.
func ExampleJoinAfter() {
	for wait := routing.JoinAfter(0); ; wait = routing.JoinAfter(wait) {
		fmt.Print(wait, " ")
		if wait >= 30*time.Second {
			break
		}
	}
	fmt.Println("and a request that has hung for", routing.LateAfter(time.Second), "of a second is late")
	// Output: 200ms 400ms 800ms 1.6s 3.2s 6.4s 12.8s 25.6s 30s and a request that has hung for 750ms of a second is late
}

// Changes says what the last call has changed, for instance to draw the table.
func ExampleTable_Changes() {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	table := routing.NewTable(routing.KeyOf([]byte("me")), routing.TableConfig{})
	ann := routing.ContactOf("ann")
	table.Seen(now, ann)
	for _, change := range table.Changes() {
		fmt.Println(string(change.Contact.ID), "entered:", change.Kind == routing.Entered)
	}
	table.Failed(now, ann)
	fmt.Printf("%+v\n", table.Stats(now))
	for _, bucket := range table.Buckets() {
		for _, held := range bucket.Contacts {
			fmt.Println(bucket.CPL, string(held.ID), "is a suspect:", held.Suspect)
		}
	}
	// Output:
	// ann entered: true
	// {Contacts:1 Suspects:1 Pending:0 Offline:false}
	// 0 ann is a suspect: true
}

// Contacts that another lookup has found, and that are connected, need not all be asked again.
func ExampleMarkRecent() {
	found := crowd(2)
	found[0].Connected = true
	routing.MarkRecent(10*time.Second, found)
	fmt.Println(found[0].Recent, found[1].Recent)
	// Output: true false
}

// A contact that could not be asked may be one of the closest.
func ExampleLookup_Hindered() {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	lookup := routing.NewLookup("me", routing.KeyOf([]byte("key")), []routing.Contact{routing.ContactOf("ann"), routing.ContactOf("bob")}, routing.LookupConfig{})
	for lookup.Next(now).Kind == routing.Ask {
	}
	lookup.Answered("ann", nil)
	lookup.Hindered("bob") // no file descriptor was left for its connection
	fmt.Println(lookup.Next(now).Kind, lookup.Result().Confidence)
	// Output: done 0
}

// A contact that sends requests need not be probed yet.
func ExampleTable_Asked() {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	table := routing.NewTable(routing.KeyOf([]byte("me")), routing.TableConfig{ProbeAfter: 10 * time.Minute})
	table.Seen(now, routing.ContactOf("ann"))
	_, before := table.Due(now, 1)
	table.Asked(now.Add(5*time.Minute), routing.ContactOf("ann"))
	_, after := table.Due(now, 1)
	fmt.Println(after.Sub(before))
	// Output: 5m0s
}
