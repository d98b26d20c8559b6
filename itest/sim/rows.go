package sim

import (
	"fmt"
	"time"
)

// ms is a number of milliseconds.
func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// Targets returns the rows that have a target.
func Targets() []Row {
	const n = 1000
	return []Row{
		warm("warm", n, Want{Median: ms(300), P99: ms(600), Requests: 26, Accuracy: 0.99}),
		ailing("cold", "cold lookup", n, Scenario{Links: NoneOpen},
			Want{Median: ms(600), P99: ms(1200), Requests: 28, Accuracy: 0.99}),
		ailing("dead20", "warm, 20 % dead", n, Scenario{Dead: 0.2},
			Want{Median: ms(400), P99: ms(1000), Requests: 40, Accuracy: 0.99}),
		ailing("dead40", "warm, 40 % dead", n, Scenario{Dead: 0.4},
			Want{Median: ms(600), P99: ms(1500), Requests: 60, Accuracy: 0.97}),
		ailing("silent20", "warm, 20 % silent", n, Scenario{Silent: 0.2},
			Want{Median: ms(400), P99: ms(1000), Requests: 40, Accuracy: 0.99}),
		{
			Slug: "again", Name: "same key again", Nodes: n, Do: lookupTwice, Checks: append(always(), FindsClosest),
			Want: Want{Median: ms(110), P99: ms(250), Requests: 3, Accuracy: 0.99},
		},
		{
			Slug: "burst", Name: "256 lookups at once", Nodes: 200, Do: lookupMany(256), Part: 50,
			Checks: append(always(), FindsClosest),
			Want:   Want{P99: ms(3000), Rate: 200},
		},
		{
			Slug: "join", Name: "join until complete", Nodes: n, Do: join, Part: 2, Checks: []Check{Ends, SoundTables, Quiet},
			Want: Want{Median: ms(2000), P99: ms(3000), Requests: 160, Accuracy: 1},
		},
		{
			Slug: "get", Name: "first value of a get", Nodes: n, Do: get, Checks: append(always(), FindsValue),
			Want: Want{Median: ms(150), P99: ms(400)},
		},
		{
			Slug: "provide", Name: "provide, 15 of 20", Nodes: n, Do: provide, Checks: always(),
			Want: Want{Median: ms(500), P99: ms(1000), Requests: 50, Accuracy: 0.99},
		},
		warm("warm100k", 100_000, Want{Median: ms(450), P99: ms(900), Requests: 32, Accuracy: 0.99}),
		warm("warm1m", 1_000_000, Want{Median: ms(550), P99: ms(1100), Requests: 36, Accuracy: 0.99}),
		fooled("friends8", "20 % liars name each other", LieFriends, 8, Want{Reached: 0.99}),
		fooled("sybils8", "20 % liars name sybils", LieSybils, 8, Want{Reached: 0.99}),
		{
			Slug: "outage", Name: "outage of 5 minutes", Nodes: n, Do: outage, Part: 10, Checks: []Check{Ends, SoundTables},
			Want: Want{P99: ms(3000), Filled: 0.8},
		},
	}
}

// Others returns rows without a target: what else a network can be like.
func Others() []Row {
	const n = 1000
	rows := []Row{
		warm("warm10k", 10_000, Want{}),
		ailing("table", "connected to the table alone", n, Scenario{Links: TableOpen}, Want{}),
		ailing("slow20", "warm, 20 % slow", n, Scenario{Slow: 0.2}, Want{}),
		ailing("nated20", "warm, 20 % NATed", n, Scenario{NATed: 0.2}, Want{}),
		ailing("loss", "warm, 1 % loss", n, Scenario{Loss: 0.01}, Want{}),
		ailing("tail", "warm, log-normal latency", n, Scenario{Latency: LogNormal(ms(40), 0.7)}, Want{}),
		ailing("regions", "warm, two continents", n, Scenario{Latency: Matrix([][]time.Duration{
			{ms(10), ms(80)}, {ms(80), ms(10)},
		})}, Want{}),
		{
			Slug: "partition", Name: "warm, a third cut off", Nodes: n, Do: lookupOnce, Checks: []Check{Ends, Settles, SoundTables, Quiet},
			Scenario: Scenario{Partitions: []Partition{{For: time.Hour, Share: 1. / 3}}},
		},
		{
			Slug: "churn", Name: "sessions of half an hour", Nodes: 200, Do: lookupAfterChurn(50), Part: 100,
			Scenario: Scenario{
				Churn:  Churn{Session: Exponential(30 * time.Minute), Absence: Exponential(5 * time.Minute)},
				Upkeep: true,
			},
			Checks: []Check{Ends, Settles, SoundTables},
		},
	}
	for _, paths := range []int{1, 2, 4} {
		rows = append(rows,
			fooled(fmt.Sprint("friends", paths), "20 % liars name each other", LieFriends, paths, Want{}),
			fooled(fmt.Sprint("sybils", paths), "20 % liars name sybils", LieSybils, paths, Want{}),
			fooled(fmt.Sprint("invent", paths), "20 % liars invent", LieInvent, paths, Want{}))
	}
	return append(rows, fooled("invent8", "20 % liars invent", LieInvent, 8, Want{}))
}
