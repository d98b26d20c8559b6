// Package pb holds the protobuf schema of the Kademlia messages, and the Go
// code that is generated from it.
//
// The schema is that of the libp2p specification, kad-dht, "RPC messages".
// Package protocol reads and writes these messages by itself: it takes the
// numbers of the types from here, and its tests take this package as their
// oracle. Code of this module outside protocol has no use for it.
//
// # Decisions
//
// Generated with buf. Context: protoc is a C++ program, which each machine has
// in another version or not at all. Decision: buf, a Go module, parses the
// schema and runs protoc-gen-go; both are pinned. Consequence: "go generate
// ./pb" needs Go alone; the first run compiles buf, which takes a minute or
// two. What would change our mind: a Go command of the protobuf project that
// does it.
//
// Names of their own. Context: the protobuf registry is global to a process,
// and panics if two packages register one name or one file. Decision: package
// kad.pb in files kad_dht.proto and kad_record.proto, which no other
// implementation uses. Consequence: a program may link another implementation
// beside this one. Names are not on the wire.
package pb

//go:generate go run github.com/bufbuild/buf/cmd/buf@v1.60.0 generate
