package routing_test

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/go-kad/kad/routing"
)

// A lookup is driven by hand: ask whom it names, report the answer, repeat.
func ExampleLookup() {
	knows := map[peer.ID][]peer.ID{"ann": {"bob", "cat"}, "bob": {"dan"}, "cat": {"ann"}}
	seeds := []routing.Contact{routing.ContactOf("ann")}
	l := routing.NewLookup("me", routing.KeyOf([]byte("dan")), seeds, routing.LookupConfig{Alpha: 1})

	for {
		action := l.Next(time.Now())
		if action.Kind == routing.Done {
			break
		}
		var closer []routing.Contact
		for _, id := range knows[action.Contact.ID] {
			closer = append(closer, routing.ContactOf(id))
		}
		l.Answered(action.Contact.ID, closer)
	}
	result := l.Result()
	fmt.Println("closest:", string(result.Closest[0].ID))
	fmt.Println("ended:", result.End)
	// Output:
	// closest: dan
	// ended: exhausted
}

// A table keeps those that answer, and names those that are to be probed.
func ExampleTable() {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	table := routing.NewTable(routing.KeyOf([]byte("me")), routing.TableConfig{ProbeAfter: 10 * time.Minute})
	ann, bob := routing.ContactOf("ann"), routing.ContactOf("bob")
	fmt.Println("ann is", table.Seen(now, ann))
	fmt.Println("bob is", table.Seen(now.Add(time.Minute), bob))

	probe, next := table.Due(now.Add(15*time.Minute), 8)
	for _, c := range probe {
		fmt.Println("probe", string(c.ID))
		table.Checked(now.Add(15*time.Minute), c, false) // it does not answer
	}
	fmt.Println("look again at", next.Format("15:04"))

	for _, c := range table.Closest(ann.Key, 20) {
		fmt.Println("held:", string(c.ID))
	}
	// Output:
	// ann is added
	// bob is added
	// probe ann
	// look again at 12:15
	// held: bob
}

// A bucket that nobody has looked into for a while is looked up.
func ExampleTable_Stale() {
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	self, rng := routing.KeyOf([]byte("me")), rand.New(rand.NewPCG(1, 2))
	table := routing.NewTable(self, routing.TableConfig{})
	table.Seen(now, routing.ContactOf("ann"))

	for {
		cpl, k, ok := table.Stale(now, 10*time.Minute)
		if !ok {
			break
		}
		target := routing.KeyOf(routing.Preimage(self, cpl, rng)) // look this up
		fmt.Println("refresh CPL", self.CPL(target), "with K", k)
		table.Refreshed(now, cpl)
	}
	// Output:
	// refresh CPL 0 with K 20
	// refresh CPL 1 with K 20
}
