// Package validate says which value may stand under a key, which of two is better, and
// how the values of a key that holds a set are merged, packed and bounded. It is pure:
// no lock, no clock, no host.
//
// # Decisions
//
// Of two values that the validator takes for equal, the one that was put later wins.
//
//   - Context: many validators have a Select that returns 0, and users expect an update to
//     replace the value before it. Copies of the older value travel all the time.
//   - Decision: a put replaces what is held. A copy replaces it if it expires later, by more
//     than [Tolerance]. A get takes the value that expires last; of those within the
//     Tolerance, the one that most peers gave, and then the greater bytes.
//   - Consequence: the expiry times of holders only grow, so corrections end, and a holder
//     that has missed the update adopts it. All publishers must use the same RecordAge.
//   - It would change if records carried the time of their put in a way that holders can check.
package validate
