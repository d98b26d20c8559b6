// Package events has what a DHT tells of itself while it runs: changes of its state,
// lookups as they go, contacts, and what it publishes. DHT.Events yields them:
//
//	for e := range d.Events(ctx) {
//		switch what := e.What.(type) {
//		case events.Joined:
//			fmt.Println("joined, with", what.Contacts, "contacts")
//		case events.LookupAnswered:
//			fmt.Println(what.Peer, "answered")
//		}
//	}
//
// A change of state, a [Change], is what the log has at level info, in the same words.
//
// # Decisions
//
// The types are a package of their own, which imports nothing of this module. Rooms of
// host make events, and users read them: one type serves both, and none is converted.
// An event costs nothing while there is no reader, except the few changes of state.
package events
