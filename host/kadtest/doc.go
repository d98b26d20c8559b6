// Package kadtest makes networks of DHTs for tests: real ones of package host, on libp2p
// hosts in memory. In a bubble of testing/synctest they run in virtual time, so that
// latencies, timeouts and days cost a test nothing but the work that is done in them.
//
//	func TestLookup(t *testing.T) {
//		synctest.Test(t, func(t *testing.T) {
//			n := kadtest.New(t, kadtest.Config{Seed: 1})
//			nodes := n.Add(100, kad.Config{})
//			n.Settle()
//			n.Kill(nodes[1:10]...)
//			found, err := nodes[0].DHT.ClosestPeers(t.Context(), []byte("key"))
//			// compare it with n.Closest("key", 20, nodes[0])
//		})
//	}
//
// # The network
//
// [New] makes an empty network. [Network.Add] adds nodes that join it, servers or
// clients as their kad.Config says; [Network.AddHosts] adds hosts without a DHT. Each
// [Node] has its Host and its DHT. [Network.Settle] waits until the network has come to
// rest. [Network.Closest] is what a lookup should find, and [Network.Pick] draws nodes.
//
// # What goes wrong
//
//   - [Network.Kill]: the process ends. Connections break, dials are refused.
//   - [Network.Silence]: the process hangs. It takes streams, and answers none.
//   - [Network.Unplug]: the host is cut off. Nothing arrives, dials hang.
//   - Kill after Unplug: the host is gone, and nothing says so.
//   - [Network.Partition]: nothing passes between some nodes and others.
//   - [Network.Restart]: the node is back, with what its Config.Dir or Store has kept.
//   - [Network.Churn]: for some time, nodes go and others come.
//   - Config.Loss and Config.Filter lose single messages.
//
// [Network.Heal] takes back Silence, Unplug and Partition.
//
// # What is counted
//
// Config.Filter sees each request, with its sender and its receiver. What a node has
// sent and answered is in the Stats of its DHT, its contacts in the Table.
//
// # The hosts
//
// A host carries the streams of all protocols: set handlers with SetStreamHandler, and
// open streams with NewStream. It reports peers on its event bus and to the notifiees of
// its network, so that ping or pubsub of libp2p run on it, too. Two hosts have one
// connection, which lasts until one of them closes it or is gone. A host has no identify
// service, no relays, no NAT and no resource limits: its address is a loopback address,
// and the protocols of a peer are known when it is connected.
//
// # Virtual time
//
// In a bubble, time stands still while any goroutine runs, and leaps to the next timer
// when all wait. So a network costs the work of its nodes, about 0.2 ms of one core for a
// request. Joining takes 250 requests per node in a network of 100, and 440 in one of
// 1 000; after that a node sends 15 a minute, nearly all of them to refresh its table. A
// simulation of hours is faster with a longer RefreshInterval in its kad.Config, and any
// simulation with the environment variable GOGC=400. All nodes share the clock of the
// bubble, which starts on 1 January 2000: nodes whose clocks differ cannot be tested.
// Goroutines run in any order: a seed leads to the same network, and to the same faults,
// but messages that arrive at the same moment come in any order.
//
// Outside of a bubble a network runs in real time.
//
// # Decisions
//
// Streams carry bytes.
//
//   - Context: a fake below the DHT, which hands messages over, would take two thirds of the
//     time.
//   - Decision: hosts have streams, with deadlines, half-closes, resets and their codes.
//   - Consequence: only public API is used, other protocols run on the same hosts; of the time a
//     network takes, a fifth is spent here, and the rest in the DHTs.
//   - It would change if a network of 1 000 nodes were mostly streams.
//
// The reader waits, not the message.
//
//   - Context: a message takes time to arrive.
//   - Decision: it is in the inbox of its receiver at once, with the time of its arrival, and
//     the reader has a timer.
//   - Consequence: a request costs two timers of readers and one goroutine, that of its handler;
//     a cut postpones arrivals, and need not catch what is on its way.
//   - It would change if arrivals had to be observed that nothing reads.
//
// Loss is delay.
//
//   - Context: libp2p has streams over TCP and QUIC, which send again what is lost.
//   - Decision: a lost message arrives later, by 200ms and a round trip, and twice that.
//   - Consequence: requests time out only where loss is heavy, or something is cut.
//   - It would change with datagrams.
//
// One kind of cut.
//
//   - Context: a peer that vanishes is seen at once, late, or never.
//   - Decision: nothing arrives, and connections end after Config.KeepAlive.
//   - Consequence: 1ns is a cut that is seen at once, -1 one that never is; the default is the
//     idle timeout of QUIC, 30s.
//   - It would change if the two ends had to notice at different times.
package kadtest
