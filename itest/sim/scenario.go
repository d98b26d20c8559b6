package sim

import (
	"time"

	"github.com/go-kad/kad/routing"
)

// A Scenario says what a network is like. The zero value of a field means its
// default, so Scenario{} is a network in which all are well: 100 ms mean round
// trip and jitter, all connected, nobody comes or goes.
type Scenario struct {
	// Latency of a message in one direction. If nil, uniform from 25 to 75 ms.
	Latency Latency

	// Jitter bounds what is added to the latency of each message, each delay up
	// to it equally likely. If zero, 10 ms. If negative, none.
	Jitter time.Duration

	// Loss is the share of messages that are lost, from 0 to 1. A connection
	// repeats what is lost, 200 ms later and then twice as late each time: loss
	// is delay, until a message was lost 6 times.
	Loss float64

	// Links says which connections are open at the start. If zero, all are.
	Links Links

	// DialTimeout is when a dial of somebody who is not there fails. If zero, 5s.
	DialTimeout time.Duration

	// RequestTimeout is when a request fails, its dial included. If zero, 10s.
	RequestTimeout time.Duration

	// Dead, Silent, Slow, Liars and NATed are the shares of nodes that are so,
	// from 0 to 1 together. No node is two of these. The others are well. The
	// dead are in tables as if they were well; nobody is connected to them, and
	// who dials them waits. The silent are connected, and never answer. The slow
	// answer after SlowFor. Liars answer with a lie. NATed nodes can dial, and
	// cannot be dialled; nobody is connected to them at the start.
	Dead, Silent, Slow, Liars, NATed float64

	// SlowFor is how long a slow node takes to answer. If zero, 2s.
	SlowFor time.Duration

	// Lie is what liars answer. If zero, LieFriends.
	Lie Lie

	// Churn says how nodes come and go. If zero, they do not.
	Churn Churn

	// Partitions say when the network is in two parts.
	Partitions []Partition

	// Upkeep makes all nodes tend their tables: they probe what is due, refresh
	// what is stale, meet those who ask them, and join when they come back. It
	// is for networks of some hundreds: each of them costs time.
	Upkeep bool

	// RefreshInterval is the age at which a node with Upkeep looks a bucket up
	// again. If zero, 10m.
	RefreshInterval time.Duration

	// Bootstraps is how many nodes that are well a newcomer knows. If zero, 3.
	Bootstraps int

	// Lookup configures all lookups. If its SlowAfter is zero, it is 1s.
	Lookup routing.LookupConfig

	// Table configures all tables.
	Table routing.TableConfig
}

// withDefaults returns s with every zero field set to its default.
func (s Scenario) withDefaults() Scenario {
	if s.Latency == nil {
		s.Latency = Uniform(25*time.Millisecond, 75*time.Millisecond)
	}
	if s.Churn.Absence == nil {
		s.Churn.Absence = s.Churn.Session
	}
	setDefault(&s.Jitter, 10*time.Millisecond)
	setDefault(&s.DialTimeout, 5*time.Second)
	setDefault(&s.RequestTimeout, 10*time.Second)
	setDefault(&s.SlowFor, 2*time.Second)
	setDefault(&s.RefreshInterval, 10*time.Minute)
	setDefault(&s.Bootstraps, 3)
	setDefault(&s.Lookup.K, 20)
	setDefault(&s.Lookup.SlowAfter, time.Second)
	return s
}

// setDefault sets a field that is zero to its default.
func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// bucketSize returns the K of a table.
func bucketSize(cfg routing.TableConfig) int {
	setDefault(&cfg.K, 20)
	return cfg.K
}

// Links says which connections are open at the start of a scenario. Those that
// are dialled stay open.
type Links uint8

// The states of the links.
const (
	AllOpen   Links = iota // between any two that are there, as after many lookups
	TableOpen              // from each node to those it knows
	NoneOpen               // as after a restart
)

// A Lie is what liars answer when they are asked for closer contacts.
type Lie uint8

// The lies.
const (
	LieFriends Lie = iota // the liars closest to the target, who lie as well
	LieSybils             // liars that only liars know, closer to the target than anybody; they answer
	LieInvent             // contacts closer to the target than anybody, who do not exist
)

// Churn is how nodes come and go. At the start all are there, each somewhere in
// its session.
type Churn struct {
	// Session and Absence are how long a node stays, and how long it is away.
	// If Session is nil, nobody leaves. If Absence is nil, it is Session.
	Session, Absence Span
}

// A Span turns 64 random bits into a length of time above 0.
type Span func(draw uint64) time.Duration

// A Partition is a time in which a share of the nodes, from 0 to 1, cannot reach
// the others, nor they them. Connections stay, and messages are dropped.
type Partition struct {
	From, For time.Duration
	Share     float64
}
