// Package publish publishes values and announcements of ours, and publishes them again
// until they are withdrawn or superseded.
//
// A [Publisher] owns the agenda, which says when each publication is due, under a lock
// of its own. The store has the same, for after a restart: a second lock is held while
// both change together.
//
// # Decisions
//
// The node publishes again, not the caller.
//
//   - Context: holders forget a record after its age, 48h by default.
//   - Decision: values and announcements are published again every 22h, until they are
//     withdrawn. An advertisement is not: its interface has the caller advertise again.
//   - Consequence: an application publishes once, also if it is restarted.
//   - It would change if holders kept records for ever.
//
// Each key has its place in the interval.
//
//   - Context: a million contents that are published at once would be published again at once.
//   - Decision: a key is published again when its place in the key space comes, once in each
//     interval; for the first time after 11h on average.
//   - Consequence: of 20 000 contents that are published at once among 2 000 peers, an hour has
//     775 to 1298, for 0.72 requests each; what is published is published once more in its life.
//   - It would change if keys were not spread over the key space.
//
// A value is given up when we hold a better one.
//
//   - Context: a holder may refuse a value of ours as an old one, and lie.
//   - Decision: then a get looks for the better value, which we adopt if it is valid.
//   - Consequence: a liar cannot end a publication.
//   - It would change if a refusal came with the better value.
//
// An announcement of ours stays in our own store until it is withdrawn.
//
//   - Context: a node that provides a content may be asked for its providers.
//   - Decision: it answers from its own store, which has the announcement without an
//     age.
//   - Consequence: its answer does not depend on other holders.
//   - It would change if the agenda were consulted for each answer.
package publish
