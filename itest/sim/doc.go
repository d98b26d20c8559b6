// Package sim is a network of any size in virtual time, from a seed: it judges
// how package routing looks up, joins and survives.
//
// A [Scenario] says what the network is like, a [Population] who is in it. Both
// together with a seed make a [World], in which operations are run: a lookup, a
// get, a join. A [Row] is an operation in a scenario, run in many worlds, and
// what is to be reached; its [Check] functions say what must hold each time.
//
// What decides is the real thing: each node that does something has a
// [routing.Table], [routing.Paces], a [routing.Recall] and [routing.Doubts], and each
// lookup is a [routing.Lookup]. Their rules and limits are those of package routing
// too. What package host does around them, with goroutines and streams, is done here
// with events: dials and timeouts, the order of joining. What host spends in computing
// is not simulated, so that latency alone limits 256 lookups at once. Nor does a
// lookup that is over leave its requests some time for their answers.
//
// `make sim` prints all rows, targets and measured values side by side, and
// draws plots. Failures print the command that replays them.
//
// # What to change when routing changes
//
// A new field of [routing.LookupConfig] or [routing.TableConfig] is set in a
// Scenario as it is. What a node knows of a contact beyond its ID, such as whether it
// is in doubt, is in memory.go, for seeds and for answers. How a lookup is driven is
// in search.go, a table in upkeep.go, a join in join.go: what package host changes
// there is changed here as well. A number or a rule that both need is in routing.
//
// # Decisions
//
// No goroutines. Events happen one at a time, in the order of a heap, and those
// of one instant in the order in which they were planned. What depends on a node
// or a link alone, its latency or what is wrong with it, is a hash of the seed
// and its number, so that nothing needs to be drawn in order, or kept. Then the
// same seed is the same run, on any machine. Were one run too slow for one core,
// we would think of it again; runs are independent.
//
// Tables when they are touched. A million full tables do not fit in memory, and
// a lookup meets 40 nodes. So what a node knows follows from the seed too: of
// each CPL a sample of k of the nodes that have it, all of them where they are
// fewer, as among its closest. That is what a table holds after all others have
// answered it in random order, and a test compares both. As soon as something
// changes for a node it has a table of its own. After long churn, tables are not
// like that: Upkeep is for such scenarios.
//
// Networks with a past beside the random ones. Real buckets keep their oldest contacts,
// so that all far tables overlook the same late nodes. Aged is the extreme: all tables
// saw one order of arrival. Grown plays the past: nodes arrive, join, tend their tables
// by the rules of package routing, leave and are replaced, or not, over days; tables name
// nodes that have just left. Only its tables are simulated; its messages take no time. A
// [Network] is measured by Calibrate.
//
// One world for each operation. An operation changes the table of the node that
// does it, so that the next one there would be easier. Worlds share what does
// not change, so that they cost nothing; operations that are to follow each
// other are one.
//
// A node has a past. Before the start it has asked 64 peers four times each and made
// 5 lookups, and it knows which of its neighbours answer. Without that, its lookups
// would have the patience of the first one. Without its neighbours, the dead in its
// table would count for the size of the network: with two fifths dead, an accuracy of
// 0.9745, where it is 0.9798. Scenarios with Upkeep need no past.
//
// Warm means that any two nodes are connected. A node of a network of 1000 is
// soon connected to most of it. In larger networks it is not; TableOpen is what
// remains without luck, and a row shows it.
//
// Links are 25 to 75 ms in one direction, and jitter adds up to 10 ms to each
// message. So a round trip is 100 ms on average before jitter, and 110 ms with
// it: the harder reading of "100 ms, up to 10 ms jitter".
//
// Loss is delay. libp2p runs over connections, which repeat what is lost. Only
// where nothing arrives any more, a message is dropped.
//
// The accuracy of a lookup is the share of the k closest nodes that answer that
// it found. The dead, the silent and those that cannot be dialled do not count;
// the slow do, and so do liars, for they answer.
//
// Liars that name sybils have found IDs that are closer to the target than
// anybody, and keep them from all others. Who trusts the k closest gets only
// sybils. What can be asked for is that the closest honest node was asked: then
// its answer is heard.
package sim
