package main

// rows returns the rows of the table.
func rows() []row {
	var list []row
	for _, part := range [][]row{handlers(), sockets(), lookups(), networks()} {
		list = append(list, part...)
	}
	return list
}

// handlers returns the rows of requests on streams in memory. The targets of GET_VALUE, PUT_VALUE
// and ADD_PROVIDER in objects are what they take today.
func handlers() []row {
	const memory = "BenchmarkServe/"
	var list []row
	for _, r := range []struct {
		name, work     string
		allocs, micros float64 // targets; 0: none
	}{
		{"ping", "PING", 1, 0.6},
		{"find-node", "FIND_NODE, 20 peers named", 4, 2.5},
		{"get-value", "GET_VALUE, 20 peers named", 6, 4},
		{"put-value", "PUT_VALUE of what is held", 13, 2.5},
		{"add-provider", "ADD_PROVIDER with the addresses of the one before it, and a PING", 7, 3},
		{"add-provider-of-other-addresses", "ADD_PROVIDER with other addresses, and a PING", 80, 0},
		{"get-providers", "GET_PROVIDERS, 1 provider and 20 peers named", 3, 0},
		{"get-providers-20", "GET_PROVIDERS, 20 providers and 20 peers named", 3, 6},
		{"get-providers-none", "GET_PROVIDERS, no provider and 20 peers named", 3, 3},
		{"get-providers-20-of-many", "GET_PROVIDERS, 20 providers and 20 peers named, 100 000 other keys held", 3, 6},
		{"get-providers-none-of-many", "GET_PROVIDERS, no provider and 20 peers named, 100 000 other keys held", 3, 3},
	} {
		list = append(list,
			row{work: r.work + ": handler", figure: memory + r.name + " allocs/op", target: r.allocs},
			row{work: r.work + ": time from request to answer, with the stream in memory and its client", figure: memory + r.name + " ns/op", as: "µs", per: 1000, target: r.micros},
			row{work: r.work + ": the same time, beside an echo that answers as many bytes", figure: memory + r.name + " ns/op", beside: memory + "echo-" + r.name + " ns/op"})
	}
	return list
}

// sockets returns the rows of servers with sockets, and of asking.
func sockets() []row {
	const (
		tcp     = "BenchmarkServerCost/"
		cpu     = " server-µs/request"
		publish = "BenchmarkPublish/"
		asking  = "BenchmarkLookup"
		contact = "BenchmarkContact "
	)
	return []row{
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

		{work: "a contact with 4 addresses in the table", figure: contact + "B-of-table/contact", as: "bytes"},
		{work: "the same with the peerstore of its host, which has the addresses while it is connected and 15 minutes longer", figure: contact + "B/contact", as: "bytes", target: 1536},

		{work: "announce 1 000 keys to 200 nodes with sockets, in one process beside that of the publisher: requests", figure: publish + "1000 requests/key", target: 1},
		{work: "the same: real time, with the nodes on the same processors", figure: publish + "1000 wall-ms", target: 500},
		{work: "the same: CPU of the publisher", figure: publish + "1000 cpu-ms", target: 150},
		{work: "announce 10 000 keys to them: requests", figure: publish + "10000 requests/key", target: 1},
		{work: "the same: real time, with the nodes on the same processors", figure: publish + "10000 wall-ms", target: 2000},
		{work: "the same: CPU of the publisher", figure: publish + "10000 cpu-ms", target: 1000},
	}
}

// lookups returns the rows of networks of 1 000 nodes.
func lookups() []row {
	const of = "BenchmarkFigures/"
	return []row{
		{work: "warm lookups, 1 000 nodes, round trips of 100 ms: median", figure: of + "warm median-ms", target: 300},
		{work: "the same: p95", figure: of + "warm p95-ms", target: 450},
		{work: "the same: requests", figure: of + "warm requests", target: 26},
		{work: "the same: accuracy", figure: of + "warm accuracy", least: true, target: 0.995},
		{work: "256 of these at once: lookups", figure: of + "rate lookups/s", least: true, target: 300},
		{work: "the same: accuracy", figure: of + "256-at-once accuracy", least: true, target: 0.995},
		{work: "cold lookups, 1 000 nodes, each by a node that has just hung up on all: median", figure: of + "cold median-ms", target: 500},
		{work: "the same: p95", figure: of + "cold p95-ms", target: 620},
		{work: "the same: requests", figure: of + "cold requests"},
		{work: "the same: accuracy", figure: of + "cold accuracy", least: true, target: 0.995},
		{work: "a node joins 1 000 others: time until its table is complete", figure: of + "join median-ms", target: 1800},
		{work: "the same: requests", figure: of + "join requests", target: 220},
	}
}

// networks returns the rows of other networks in virtual time.
func networks() []row {
	const net = "BenchmarkMeasure/"
	return []row{
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
		{work: "the same: bytes of the messages that a node sends, requests and answers", figure: net + "Idle kB-sent/node/min", target: 10},
		{work: "heap of a node that knows 99 others, with its host in memory", figure: net + "Footprint KiB/node"},
		{work: "2 000 nodes with hosts in memory start and join in one process: CPU", figure: net + "Start s-of-CPU"},
		{work: "the same: real time", figure: net + "Start real-s"},
		{work: "the same: heap", figure: net + "Start MiB-of-heap"},
	}
}
