package interop_test

import (
	"errors"
	"slices"
	"testing"

	kbucket "github.com/libp2p/go-libp2p-kbucket"
	record "github.com/libp2p/go-libp2p-record"
	lrouting "github.com/libp2p/go-libp2p/core/routing"

	kad "github.com/go-kad/kad/host"
)

// eachTransport runs a test over TCP and over QUIC.
func eachTransport(t *testing.T, test func(t *testing.T, listen string)) {
	t.Run("tcp", func(t *testing.T) { test(t, tcp) })
	t.Run("quic", func(t *testing.T) { test(t, quic) })
}

// Whoever of the two dials, both admit the other to their tables, without
// anything else being done.
func TestAdmission(t *testing.T) {
	eachTransport(t, func(t *testing.T, listen string) {
		for _, dialer := range []kind{ours, theirs} {
			t.Run(string(dialer)+" dials", func(t *testing.T) {
				from := start(t, dialer, setup{listen: listen})
				to := start(t, dialer.other(), setup{listen: listen})
				connect(t, from, to)
				if err := from.admitted(patient(t), to.Host().ID()); err != nil {
					t.Errorf("the dialer does not admit the other: %v", err)
				}
				if err := to.admitted(patient(t), from.Host().ID()); err != nil {
					t.Errorf("the dialer is not admitted: %v", err)
				}
			})
		}
	})
}

// putAlone stores a value with a node that knows nobody yet, so that nobody else
// gets it.
func putAlone(t *testing.T, n node, key, value string) {
	t.Helper()
	// The other implementation has no such option, but stores before it looks
	// for others.
	err := n.PutValue(patient(t), key, []byte(value), lrouting.Offline)
	if err != nil && !errors.Is(err, kbucket.ErrLookupFailure) {
		t.Fatal(err)
	}
}

// held returns the value that one of our nodes holds itself.
func held(t *testing.T, n *ourNode, key string) (string, error) {
	t.Helper()
	value, err := n.GetValue(patient(t), key, lrouting.Offline)
	return string(value), err
}

// pair starts one node of each kind, with validators of their own, and puts a
// value with each before they meet. Ours does not hand its value over to the other as to a
// newcomer, so that only what a test asks for is sent.
func pair(t *testing.T, key, ourValue, theirValue string, ourOwn, theirOwn map[string]record.Validator) (*ourNode, *theirNode) {
	t.Helper()
	o := start(t, ours, setup{validators: ourOwn, quiet: true})
	x := start(t, theirs, setup{validators: theirOwn})
	if ourValue != "" {
		putAlone(t, o, key, ourValue)
	}
	if theirValue != "" {
		putAlone(t, x, key, theirValue)
	}
	introduce(t, o, x)
	if err := x.admitted(patient(t), o.Host().ID()); err != nil {
		t.Fatal(err)
	}
	return o.(*ourNode), x.(*theirNode)
}

// Our node is told that the other did not store a value, and the other keeps
// what it has.
func TestTheyRefuse(t *testing.T) {
	const key = "/v/contested"
	everything := map[string]record.Validator{"strict": greatest{}, "unknown": greatest{}}
	o, x := pair(t, key, "", "2", everything, map[string]record.Validator{"strict": greatest{refuse: "bad"}})
	for _, tt := range []struct{ name, key, value string }{
		{"older value", key, "1"},
		{"invalid value", "/strict/key", "bad"},
		{"namespace without a validator", "/unknown/key", "1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for range 50 { // the reset comes at one point of the exchange or another
				receipt, err := o.Put(patient(t), tt.key, []byte(tt.value))
				var failed *kad.PutError
				if !errors.As(err, &failed) || !errors.Is(err, kad.ErrRefused) {
					t.Errorf("Put() = %v; want a *PutError that wraps ErrRefused", err)
				}
				if why := receipt.Failed[x.Host().ID()]; !errors.Is(why, kad.ErrRefused) || len(receipt.Stored) != 0 {
					t.Errorf("the receipt says stored by %v, failed because %v; want ErrRefused", receipt.Stored, why)
				}
				if t.Failed() {
					break
				}
			}
		})
	}
	if got, err := x.GetValue(patient(t), key); err != nil || string(got) != "2" {
		t.Errorf("the other holds %q, %v; want its own value", got, err)
	}
}

// Our node refuses what the other sends, and keeps what it has.
func TestWeRefuse(t *testing.T) {
	const key = "/v/contested"
	everything := map[string]record.Validator{"strict": greatest{}, "unknown": greatest{}}
	o, x := pair(t, key, "2", "", map[string]record.Validator{"strict": greatest{refuse: "bad"}}, everything)
	for _, tt := range []struct {
		name, key, value string

		want    string
		wantErr error
	}{
		{"older value", key, "1", "2", nil},
		{"invalid value", "/strict/key", "bad", "", kad.ErrNotFound},
		{"namespace without a validator", "/unknown/key", "1", "", kad.ErrInvalidRecord},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := o.Stats()
			// The other does not say what became of a value, but it waits for that.
			if err := x.PutValue(patient(t), tt.key, []byte(tt.value)); err != nil {
				t.Fatal(err)
			}
			if o.Stats().InboundRefused == before.InboundRefused {
				t.Error("nothing was refused")
			}
			if got, err := held(t, o, tt.key); got != tt.want || !errors.Is(err, tt.wantErr) {
				t.Errorf("we hold %q, %v; want %q, %v", got, err, tt.want, tt.wantErr)
			}
		})
	}
}

// Whoever reads gets the better of two values, and whoever held the worse one
// is sent the better.
func TestCorrection(t *testing.T) {
	const key = "/v/contested"
	t.Run("ours corrects theirs", func(t *testing.T) {
		o, x := pair(t, key, "2", "1", nil, nil)
		if got, err := o.GetValue(patient(t), key); err != nil || string(got) != "2" {
			t.Errorf("we read %q, %v; want the better value", got, err)
		}
		// A correction goes on in the background, and nobody waits for it.
		eventually(t, "a correction that the other has accepted", func() bool { return o.Stats().Corrections == 1 })
		if err := o.Close(); err != nil { // so that only its own value counts
			t.Fatal(err)
		}
		if got, err := x.GetValue(patient(t), key); err != nil || string(got) != "2" {
			t.Errorf("the other holds %q, %v; want the better value", got, err)
		}
	})
	t.Run("theirs corrects ours", func(t *testing.T) {
		o, x := pair(t, key, "1", "2", nil, nil)
		if got, err := x.GetValue(patient(t), key); err != nil || string(got) != "2" {
			t.Errorf("the other reads %q, %v; want the better value", got, err)
		}
		// As above.
		eventually(t, "a correction that we have accepted", func() bool {
			got, err := held(t, o, key)
			return err == nil && got == "2"
		})
	})
	t.Run("ours is the one with the worse value", func(t *testing.T) {
		o, _ := pair(t, key, "1", "2", nil, nil)
		if got, err := o.GetValue(patient(t), key); err != nil || string(got) != "2" {
			t.Errorf("we read %q, %v; want the better value", got, err)
		}
	})
	t.Run("theirs is the one with the worse value", func(t *testing.T) {
		_, x := pair(t, key, "2", "1", nil, nil)
		if got, err := x.GetValue(patient(t), key); err != nil || string(got) != "2" {
			t.Errorf("the other reads %q, %v; want the better value", got, err)
		}
	})
}

// A node that ceases to serve leaves the table of the other, and comes back.
func TestModeChange(t *testing.T) {
	o, x := pair(t, "", "", "", nil, nil)
	id := o.Host().ID()
	if err := o.SetMode(kad.ModeClient); err != nil {
		t.Fatal(err)
	}
	// The other has an event for those who enter its table, none for those who leave.
	eventually(t, "the other forgets a node that became a client", func() bool {
		return !slices.Contains(x.contacts(), id)
	})
	if err := o.SetMode(kad.ModeServer); err != nil {
		t.Fatal(err)
	}
	if err := x.admitted(patient(t), id); err != nil {
		t.Errorf("a client that became a server is not admitted: %v", err)
	}
}
