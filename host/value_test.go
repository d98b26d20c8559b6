package host

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	record "github.com/libp2p/go-libp2p-record"
	"github.com/libp2p/go-libp2p/core/network"
	lrouting "github.com/libp2p/go-libp2p/core/routing"

	"github.com/go-kad/kad/host/internal/roomtest"
	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

// held returns the value that a node holds; "" if none.
func held(t *testing.T, d *DHT, key string) string {
	t.Helper()
	v, err := d.store.Value(t.Context(), []byte(key), time.Now())
	if errors.Is(err, store.ErrNotFound) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(v.Data)
}

// hold makes a node hold a value, whatever it is.
func hold(t *testing.T, d *DHT, key, value string) {
	t.Helper()
	now := time.Now()
	err := d.store.UpdateValue(t.Context(), []byte(key), now, func(store.Value, bool) (store.Value, error) {
		return store.Value{Data: []byte(value), Received: now, Expires: now.Add(time.Hour)}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// gives answers every GET_VALUE with a value.
func gives(value string) reaction {
	return func(s network.Stream, req protocol.Request) {
		var resp protocol.Response
		switch req := req.(type) {
		case protocol.GetValue:
			resp.Record = &protocol.Record{Key: req.Key, Value: []byte(value)}
		case protocol.PutValue:
			resp.Record = &req.Record
		}
		says(resp)(s, req)
	}
}

// Each node gets a value that was put, and the receipt names its holders.
func TestPutGet(t *testing.T) { synctest.Test(t, testPutGet) }

func testPutGet(t *testing.T) {
	n := newTestNet(t)
	nodes := n.nodes(5, Config{})
	receipt, err := nodes[1].Put(t.Context(), "/v/key", []byte("1 one"))
	if err != nil || len(receipt.Stored) != 4 || len(receipt.Failed) != 0 || receipt.Wanted != 4 {
		t.Fatalf("Put() = %+v, %v; want it stored by 4 of 4", receipt, err)
	}
	for i, d := range nodes {
		if got := held(t, d, "/v/key"); got != "1 one" {
			t.Errorf("node %d holds %q", i, got)
		}
		got, err := d.GetValue(t.Context(), "/v/key")
		if err != nil || string(got) != "1 one" {
			t.Errorf("node %d: GetValue() = %q, %v", i, got, err)
		}
	}
	if _, err := nodes[0].GetValue(t.Context(), "/v/nothing"); !errors.Is(err, ErrNotFound) || !errors.Is(err, lrouting.ErrNotFound) {
		t.Errorf("GetValue() = %v, want ErrNotFound", err)
	}
}

// Peers that refuse a value are in the receipt, each with its reason, and the
// error is that reason if no peer stored it.
func TestPutRefused(t *testing.T) { synctest.Test(t, testPutRefused) }

func testPutRefused(t *testing.T) {
	n := newWiredNet(t)
	d := n.node(Config{})
	strict := []*DHT{n.node(Config{Validators: map[string]record.Validator{"x": roomtest.Digits{}}}), n.node(Config{Validators: map[string]record.Validator{}})}
	for _, other := range strict {
		link(t, d, other)
	}
	time.Sleep(time.Second)
	_, err := d.Put(t.Context(), "/v/key", []byte("1"))
	var put *PutError
	if !errors.As(err, &put) || len(put.Stored) != 0 || put.Wanted != 2 {
		t.Fatalf("Put() = %v, want a PutError", err)
	}
	if !errors.Is(err, ErrRefused) || !errors.Is(err, ErrInvalidRecord) {
		t.Errorf("error %v, want ErrRefused and ErrInvalidRecord", err)
	}
	for _, other := range strict {
		mentions(t, err.Error(), other.ID().String())
		if !errors.Is(put.Failed[other.ID()], ErrInvalidRecord) {
			t.Errorf("%v failed with %v, want ErrInvalidRecord", other.ID(), put.Failed[other.ID()])
		}
		if !knows(d, other.host) {
			t.Error("who refuses is alive, and was evicted")
		}
	}
	mentions(t, err.Error(), "stored by 0 of 2 peers")

	link(t, d, n.node(Config{}))
	time.Sleep(time.Second)
	receipt, err := d.Put(t.Context(), "/v/key", []byte("1"))
	if err != nil || len(receipt.Stored) != 1 || len(receipt.Failed) != 2 {
		t.Errorf("Put() = %+v, %v; want it stored by one of three", receipt, err)
	}
	if _, err := d.Put(t.Context(), "/v/key", []byte("1"), Quorum(2)); !errors.As(err, &put) || len(put.Stored) != 1 {
		t.Errorf("Put() = %v, want a PutError for a quorum of two", err)
	}
}

// A value without a validator, or that its validator refuses, is not sent, and
// the error says what is missing.
func TestPutInvalid(t *testing.T) { synctest.Test(t, testPutInvalid) }

func testPutInvalid(t *testing.T) {
	d := newTestNet(t).node(Config{}) // an empty table: nothing waits for it
	tests := []struct {
		key, value string
		want       string
	}{
		{"/w/key", "1", `no validator for namespace "w" in Config.Validators`},
		{"key", "1", "has no namespace"},
		{"", "1", "has no namespace"},
		{"/v/key", "one", roomtest.ErrNoDigit.Error()},
		{"/v/" + string(make([]byte, protocol.MaxKey)), "1", "the limit is"},
		{"/v/key", "1" + string(make([]byte, protocol.MaxValue)), "the limit is"},
	}
	for _, tt := range tests {
		err := d.PutValue(t.Context(), tt.key, []byte(tt.value))
		if !errors.Is(err, ErrInvalidRecord) {
			t.Errorf("PutValue(%.20q) = %v, want ErrInvalidRecord", tt.key, err)
			continue
		}
		mentions(t, err.Error(), tt.want)
	}
	for _, key := range []string{"/w/key", "key"} {
		if _, err := d.GetValue(t.Context(), key); !errors.Is(err, ErrInvalidRecord) {
			t.Errorf("GetValue(%q) = %v, want ErrInvalidRecord", key, err)
		}
		if _, err := d.SearchValue(t.Context(), key); !errors.Is(err, ErrInvalidRecord) {
			t.Errorf("SearchValue(%q) = %v, want ErrInvalidRecord", key, err)
		}
	}
}

// A newer value supersedes an older one, an older one is refused, the same one
// is stored again, and of two that are equally good the greater bytes win,
// whatever the order.
func TestSupersede(t *testing.T) { synctest.Test(t, testSupersede) }

func testSupersede(t *testing.T) {
	tests := []struct {
		first, second, want string
		refused             bool
	}{
		{"1", "2", "2", false},
		{"2", "1", "2", true},
		{"1 a", "1 a", "1 a", false},
		{"1 a", "1 b", "1 b", false},
		{"1 b", "1 a", "1 a", false}, // of equal ones, the one that is put later
	}
	n := newTestNet(t)
	d := n.inert(Config{})
	for i, tt := range tests {
		key := fmt.Sprintf("/v/%d", i)
		if err := d.holder.Store(t.Context(), time.Now(), "a peer", protocol.Record{Key: []byte(key), Value: []byte(tt.first)}); err != nil {
			t.Fatal(err)
		}
		err := d.holder.Store(t.Context(), time.Now(), "a peer", protocol.Record{Key: []byte(key), Value: []byte(tt.second)})
		if errors.Is(err, ErrOldRecord) != tt.refused || err != nil && !tt.refused {
			t.Errorf("%q after %q: %v, refused want %v", tt.second, tt.first, err, tt.refused)
		}
		if got := held(t, d, key); got != tt.want {
			t.Errorf("%q after %q: holds %q, want %q", tt.second, tt.first, got, tt.want)
		}
	}
	if err := d.PutValue(t.Context(), "/v/1", []byte("1")); !errors.Is(err, ErrOldRecord) {
		t.Errorf("PutValue() = %v of a worse value than our own, want ErrOldRecord", err)
	}
}

// However puts interleave, the best value stays.
func TestSupersedeConcurrently(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestNet(t).inert(Config{})
		var puts sync.WaitGroup
		for i := range 100 {
			puts.Go(func() {
				value := fmt.Appendf(nil, "%d %02d", i%10, i)
				err := d.holder.Store(t.Context(), time.Now(), "a peer", protocol.Record{Key: []byte("/v/key"), Value: value})
				if err != nil && !errors.Is(err, ErrOldRecord) {
					t.Error(err)
				}
			})
		}
		puts.Wait()
		if got := held(t, d, "/v/key"); !strings.HasPrefix(got, "9 ") {
			t.Errorf("holds %q, want one of the best", got)
		}
	})
}

// A get ends with the answer that makes the quorum, and awaits no other.
func TestQuorum(t *testing.T) { synctest.Test(t, testQuorum) }

func testQuorum(t *testing.T) {
	n := newTestNet(t)
	d := n.node(Config{})
	var puppets []*puppet
	for range 8 {
		puppets = append(puppets, n.puppet(gives("1")))
	}
	meet(t, d, puppets...)
	for i, p := range puppets { // one answer at a time, however they are asked
		p.will(func(s network.Stream, req protocol.Request) {
			time.Sleep(time.Duration(i) * 5 * time.Millisecond)
			gives("1")(s, req)
		})
	}
	for quorum, want := range map[int]int{1: 1, 3: 3, 8: 8, 9: 8, 0: 8} {
		ctx, trace := WithTrace(t.Context())
		got, err := d.GetValue(ctx, fmt.Sprintf("/v/%d", quorum), Quorum(quorum))
		if err != nil || string(got) != "1" {
			t.Errorf("GetValue() = %q, %v", got, err)
		}
		if got := trace.Stats().Answered; got != want {
			t.Errorf("quorum %d: %d answers, want %d", quorum, got, want)
		}
	}
	time.Sleep(time.Second) // until the puppets are done
}

// A worse value does not count for the quorum; our own counts as one.
func TestQuorumAgreement(t *testing.T) { synctest.Test(t, testQuorumAgreement) }

func testQuorumAgreement(t *testing.T) {
	n := newTestNet(t)
	d := n.node(Config{Alpha: 1})
	meet(t, d, n.puppet(gives("1")), n.puppet(gives("1")), n.puppet(gives("2")))
	got, err := d.GetValue(t.Context(), "/v/key", Quorum(3))
	if err != nil || string(got) != "2" {
		t.Errorf("GetValue() = %q, %v; want the best of all: there is no agreement of three", got, err)
	}
	hold(t, d, "/v/other", "1")
	ctx, trace := WithTrace(t.Context())
	if _, err := d.GetValue(ctx, "/v/other", Quorum(1)); err != nil || trace.Stats().Requests != 0 {
		t.Errorf("GetValue() = %v, %d requests; want our own value, for none", err, trace.Stats().Requests)
	}
}

// Bad values of a quorum are refused by every operation that takes one.
func TestQuorumInvalid(t *testing.T) { synctest.Test(t, testQuorumInvalid) }

func testQuorumInvalid(t *testing.T) {
	d := newTestNet(t).node(Config{})
	bad := Quorum(-1)
	_, searchErr := d.SearchValue(t.Context(), "/v/key", bad)
	_, getErr := d.GetValue(t.Context(), "/v/key", bad)
	for i, err := range []error{searchErr, getErr, d.PutValue(t.Context(), "/v/key", []byte("1"), bad)} {
		if err == nil {
			t.Errorf("operation %d took Quorum(-1)", i)
			continue
		}
		mentions(t, err.Error(), "Quorum(-1)", "use 0 or more")
	}
}

// After a get, all holders of a worse value have the best one, and so have the k closest
// peers that had none.
func TestCorrection(t *testing.T) { synctest.Test(t, testCorrection) }

func testCorrection(t *testing.T) {
	n := newTestNet(t)
	nodes := n.nodes(6, Config{})
	hold(t, nodes[0], "/v/key", "0")
	hold(t, nodes[1], "/v/key", "1")
	hold(t, nodes[2], "/v/key", "2")
	got, err := nodes[0].GetValue(t.Context(), "/v/key")
	if err != nil || string(got) != "2" {
		t.Fatalf("GetValue() = %q, %v", got, err)
	}
	time.Sleep(time.Second)
	for i, d := range nodes {
		if got := held(t, d, "/v/key"); got != "2" {
			t.Errorf("node %d holds %q, want it corrected", i, got)
		}
	}
	if got := nodes[0].Stats().Corrections; got != 4 {
		t.Errorf("%d corrections, want 4 besides our own", got)
	}
}

// A get that ends with its quorum corrects the peers that gave a worse value. A peer that
// gave none may not be among the closest: the closest of them is left a copy. The copy can
// be turned off.
func TestCorrectionAfterQuorum(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  Config
		want map[string]int // how often the holder of a value is sent the best one
	}{
		{"both", Config{}, map[string]int{"1": 1, "": 1}},
		{"no caching", Config{PublisherOnly: true}, map[string]int{"1": 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testCorrectionAfterQuorum(t, tt.cfg, tt.want) })
		})
	}
}

func testCorrectionAfterQuorum(t *testing.T, cfg Config, want map[string]int) {
	n := newTestNet(t)
	d := n.node(cfg)
	puppets := n.crowd(4)
	meet(t, d, puppets...)
	values := []string{"", "1", "2", "2"}
	for i, p := range puppets {
		p.will(func(s network.Stream, req protocol.Request) {
			if _, ok := req.(protocol.GetValue); ok && values[i] == "" {
				says(protocol.Response{})(s, req)
				return
			}
			time.Sleep(time.Duration(i) * 10 * time.Millisecond)
			gives(values[i])(s, req)
		})
	}
	if got, err := d.GetValue(t.Context(), "/v/key", Quorum(2)); err != nil || string(got) != "2" {
		t.Fatalf("GetValue() = %q, %v", got, err)
	}
	time.Sleep(time.Second)
	for i, p := range puppets {
		puts := 0
		for _, req := range p.requests() {
			if put, ok := req.(protocol.PutValue); ok && string(put.Record.Value) == "2" {
				puts++
			}
		}
		if puts != want[values[i]] {
			t.Errorf("the holder of %q was sent the best value %d times, want %d", values[i], puts, want[values[i]])
		}
	}
}

// SearchValue yields each value that is better than the one before, the best
// one last.
func TestSearchValue(t *testing.T) { synctest.Test(t, testSearchValue) }

func testSearchValue(t *testing.T) {
	n := newTestNet(t)
	d := n.node(Config{Alpha: 1})
	meet(t, d, n.puppet(gives("1")), n.puppet(gives("2")), n.puppet(gives("3")))
	values, err := d.SearchValue(t.Context(), "/v/key")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for v := range values {
		all = append(all, string(v))
	}
	if !slices.IsSorted(all) || len(all) == 0 || all[len(all)-1] != "3" {
		t.Errorf("values %q, want better and better ones, and the best", all)
	}

	ctx, cancel := context.WithCancel(t.Context())
	if _, err := d.SearchValue(ctx, "/v/key"); err != nil {
		t.Fatal(err)
	}
	synctest.Wait() // the best value waits for a reader, and there is none
	cancel()
}

// A node without a network finds the value that it holds itself, by a search as by a get; what
// it reads offline does not depend on the network.
func TestHeldWithoutNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newTestNet(t).node(Config{})
		hold(t, d, "/v/key", "1")
		var all []string
		spent := roomtest.Took(func() {
			values, err := d.SearchValue(t.Context(), "/v/key")
			if err != nil {
				t.Fatal(err)
			}
			for v := range values {
				all = append(all, string(v))
			}
		})
		if !slices.Equal(all, []string{"1"}) || spent > d.cfg.SlowAfter {
			t.Errorf("found %q after %v", all, spent)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := d.GetValue(ctx, "/v/key", lrouting.Offline); !errors.Is(err, context.Canceled) || errors.Is(err, ErrNoContacts) {
			t.Errorf("offline, and given up: %v", err)
		}
	})
}

// A peer cannot make a get return a value that its validator refuses, nor one of
// another key.
func TestLyingHolder(t *testing.T) { synctest.Test(t, testLyingHolder) }

func testLyingHolder(t *testing.T) {
	n := newTestNet(t)
	d := n.node(Config{})
	otherKey := func(s network.Stream, req protocol.Request) {
		if _, ok := req.(protocol.GetValue); !ok {
			says(protocol.Response{})(s, req)
			return
		}
		lie := protocol.GetValue{Key: []byte("/v/another")}
		_, _ = s.Write(protocol.AppendResponseFrame(nil, lie, protocol.Response{
			Record: &protocol.Record{Key: lie.Key, Value: []byte("9")},
		}))
		_ = s.Close()
	}
	meet(t, d, n.puppet(gives("invalid")), n.puppet(gives("")), n.puppet(otherKey))
	if got, err := d.GetValue(t.Context(), "/v/key"); !errors.Is(err, ErrNotFound) {
		t.Errorf("GetValue() = %q, %v; want ErrNotFound", got, err)
	}
	meet(t, d, n.puppet(gives("1")))
	if got, err := d.GetValue(t.Context(), "/v/key"); err != nil || string(got) != "1" {
		t.Errorf("GetValue() = %q, %v; want the valid one", got, err)
	}
}
