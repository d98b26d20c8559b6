// Package nat is a laboratory for what happens behind address translation: an
// internet of its own, in network namespaces of Linux, with routers that
// translate and filter as those of homes and companies do, and with the time
// that packets need on their way.
//
//	          internet: forwards, delays; nothing leads out of it
//	40.1.0.1   41.1.0.1   ...   60.1.0.1          61.1.0.1
//	public 0   public 1         router 0          router 1
//	                            192.168.1.1       192.168.2.1
//	                            host 0            host 1
//	                            192.168.1.10      192.168.2.10
//
// [Up] builds a lab and [Lab.Down] removes it. A [Machine] runs programs and
// opens sockets; [Lab.Rewan] and [Machine.Cut] do to it what happens to machines.
// Labs know nothing of each other: several can be up at once, with the same
// addresses.
//
// It takes root, iproute2 and iptables: [Missing] says what is not there. The
// tests say what the peers of this module do in such a lab, and `make nat` writes
// it to RESULTS.md.
//
// # Decisions
//
// The namespaces have no names. Each belongs to one thread of this process, and to
// the programs that the thread has started, which the kernel kills when the thread
// ends. So nothing is left of a lab whose process was killed, nothing of an older
// one needs to be swept up, and two labs cannot get into each other's way. What
// would change our mind is a wish to look into a lab by hand that `nsenter -t PID
// -n` does not fulfil.
//
// The internet routes, it does not bridge. It takes no kernel module for bridges,
// an address that moves needs no ARP cache to forget it, and what is sent to an
// address that nobody has disappears without an answer, as it mostly does outside.
//
// Packets are delayed in a queue of netfilter by this process, since the queueing
// discipline that is made for it, netem, is not in every kernel. The price is that
// a busy machine adds to the delay: the delay is a lower bound.
package nat
