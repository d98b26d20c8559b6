package main

// rows returns the rows of the table.
func rows() []row {
	const (
		memory = "BenchmarkServe/"
		tcp    = "BenchmarkServerCost/"
		net    = "BenchmarkMeasure/"
		cpu    = " server-µs/request"

		asking  = "BenchmarkLookup"
		lookups = "BenchmarkFigures/"
	)
	var list []row
	for _, r := range []struct {
		name, work string
		allocs     float64
	}{
		{"ping", "PING", 1},
		{"find-node", "FIND_NODE, 20 peers named", 4},
		{"get-value", "GET_VALUE, 20 peers named", 0},
		{"put-value", "PUT_VALUE of what is held", 0},
		{"add-provider", "ADD_PROVIDER with the addresses of the one before it, and a PING", 0},
		{"add-provider-of-other-addresses", "ADD_PROVIDER with other addresses, and a PING", 0},
		{"get-providers", "GET_PROVIDERS, 1 provider and 20 peers named", 0},
	} {
		list = append(list,
			row{work: r.work + ": handler", figure: memory + r.name + " allocs/op", target: r.allocs},
			row{work: r.work + ": handler, beside an echo in memory", figure: memory + r.name + " ns/op", beside: memory + "echo ns/op"})
	}
	return append(list, []row{
		{work: "what a request of our lookups costs its server: µs of CPU, a busy machine counts", figure: tcp + "dht" + cpu, target: 16},
		{work: "the same, beside an echo on one stream", figure: tcp + "dht" + cpu, beside: tcp + "echo" + cpu},
		{work: "the same, beside an echo on one stream that is asked as seldom", figure: tcp + "dht" + cpu, beside: tcp + "echo-seldom" + cpu},
		{work: "the same, beside a stream for each request", figure: tcp + "dht" + cpu, beside: tcp + "stream-each" + cpu, target: 16.0 / 68},
		{work: "the same: bytes in both directions", figure: tcp + "dht wire-B/request"},
		{work: "a stream for each request: bytes in both directions", figure: tcp + "stream-each wire-B/request"},
		{work: "requests on one stream: CPU of an echo, beside that of ours", figure: tcp + "echo" + cpu, beside: tcp + "one-stream" + cpu, least: true, target: 0.85},
		{work: "a stream for each request: CPU of an echo, beside that of ours", figure: tcp + "echo-stream-each" + cpu, beside: tcp + "stream-each" + cpu, least: true, target: 0.9},
		{work: "requests on one stream: CPU of an echo, beside that of the incumbent", figure: tcp + "echo" + cpu, beside: tcp + "incumbent-one-stream" + cpu},
		{work: "a stream for each request: CPU of an echo, beside that of the incumbent", figure: tcp + "echo-stream-each" + cpu, beside: tcp + "incumbent-stream-each" + cpu},

		{work: "requests on one stream over QUIC: CPU of an echo, beside that of ours", figure: tcp + "echo-quic" + cpu, beside: tcp + "one-stream-quic" + cpu, least: true, target: 0.9},
		{work: "requests on one stream over QUIC: CPU of an echo, beside that of the incumbent", figure: tcp + "echo-quic" + cpu, beside: tcp + "incumbent-one-stream-quic" + cpu},
		{work: "a lookup among 100 peers that answer at once: CPU of asking", figure: asking + " ns/op", target: 400_000},

		{work: "warm lookups, 1 000 nodes, round trips of 100 ms: median", figure: lookups + "warm median-ms", target: 300},
		{work: "the same: p95", figure: lookups + "warm p95-ms", target: 450},
		{work: "the same: requests", figure: lookups + "warm requests", target: 26},
		{work: "the same: accuracy", figure: lookups + "warm accuracy", least: true, target: 0.995},
		{work: "256 of these at once: lookups", figure: lookups + "rate lookups/s", least: true, target: 300},
		{work: "the same: accuracy", figure: lookups + "256-at-once accuracy", least: true, target: 0.995},
		{work: "a node joins 1 000 others: time until its table is complete", figure: lookups + "join median-ms", target: 1800},
		{work: "the same: requests", figure: lookups + "join requests", target: 220},
		{work: "a node joins 200 others: time until its table is complete", figure: net + "Joins complete-ms", target: 1200},
		{work: "the same: requests", figure: net + "Joins requests/join", target: 160},
		{work: "right after round trips of 2 ms have become 100 ms longer, 200 nodes: accuracy of lookups", figure: net + "Jump accuracy", least: true, target: 0.995},
		{work: "the same: of the worst", figure: net + "Jump worst-accuracy", least: true, target: 0.95},
		{work: "announce, 200 nodes, round trips of 100 ms: median", figure: net + "Operations announce-ms", target: 350},
		{work: "the same: requests", figure: net + "Operations announce-requests", target: 28},
		{work: "put: median", figure: net + "Operations put-ms", target: 350},
		{work: "the same: requests", figure: net + "Operations put-requests", target: 40},
		{work: "get: median", figure: net + "Operations get-ms", target: 250},
		{work: "the same: requests", figure: net + "Operations get-requests", target: 24},
		{work: "the first provider: median", figure: net + "Operations first-provider-ms", target: 70},
		{work: "the same: requests", figure: net + "Operations first-provider-requests", target: 8},
		{work: "a get of what no peer has: median", figure: net + "Operations nothing-ms", target: 200},
		{work: "the same: requests", figure: net + "Operations nothing-requests", target: 25},

		{work: "cold lookups in a row, 200 nodes, 50 ms: median", figure: net + "ColdLookups median-ms", target: 500},
		{work: "the same: p95", figure: net + "ColdLookups p95-ms", target: 620},
		{work: "the same: requests", figure: net + "ColdLookups requests/op"},
		{work: "the same: accuracy", figure: net + "ColdLookups accuracy", least: true, target: 0.995},
		{work: "announce 5 000 keys among 200 nodes: requests of the publisher", figure: net + "Many requests/key", target: 1},
		{work: "the same: virtual time", figure: net + "Many virtual-ms/key"},
		{work: "the same to peers that take one in a message: requests", figure: net + "ManyAlone requests/key", target: 20.05},
		{work: "the same: virtual time", figure: net + "ManyAlone virtual-ms/key"},
		{work: "idle, 100 nodes: requests that a node sends", figure: net + "Idle requests/node/min", target: 8},
		{work: "the same: the node and minute with the most", figure: net + "Idle worst-requests", target: 20},
		{work: "the same: bytes of requests", figure: net + "Idle B-of-requests/node/min"},
		{work: "heap of a node that knows 99 others, with its host in memory", figure: net + "Footprint KiB/node"},
		{work: "2 000 nodes with hosts in memory start and join in one process: CPU", figure: net + "Start s-of-CPU"},
		{work: "the same: heap", figure: net + "Start MiB-of-heap"},
	}...)
}
