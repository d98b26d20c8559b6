// Package observe makes seen what a node does: events for readers, changes of state for the
// log, and how long requests take.
//
// # Decisions
//
// One ring of events for all readers.
// Each reader has a place in it, and loses the oldest events when it is slower than they
// come. Memory is bounded whatever readers do: 1024 events. There is no goroutine, and
// no call waits for a reader.
//
// No event is made without a reader.
// A lookup would make some hundred. Rooms ask Watched before. Changes of state are few,
// and go to the log in any case.
package observe
