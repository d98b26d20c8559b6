// Package observe makes seen what a node does: events for readers, changes of state for the
// log, and how long requests take.
//
// # Decisions
//
// All readers of events share one ring.
//
//   - Context: a reader may be slow, or stop reading, and must cost the node nothing then.
//   - Decision: each reader has a place in a ring of 1 024 events. A reader that is slower
//     than events come loses the oldest ones, and is told how many.
//   - Consequence: memory is bounded whatever readers do, and no call waits for a reader.
//   - It would change if a reader had to see each event.
//
// An event is made only if there is a reader.
//
//   - Context: a lookup makes some hundred events.
//   - Decision: rooms ask Watched before they make one. Changes of state are few, and go to
//     the log in any case.
//   - Consequence: without a reader, a lookup allocates nothing for events.
//   - It would change if events were few.
package observe
