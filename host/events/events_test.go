package events

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// all has one event of each type.
var all = []What{
	Joined{},
	JoinFailed{},
	Offline{},
	Back{},
	Single{},
	ModeChanged{},
	LookupBegan{},
	LookupAsked{},
	LookupAnswered{},
	LookupFailed{},
	LookupEnded{},
	ContactAdded{},
	ContactRemoved{},
	RelaysChanged{},
	PresenceTold{},
	LimitReached{},
	Published{},
}

// Each type has a name of its own, that of its Go type, and becomes JSON.
func TestTypes(t *testing.T) {
	for _, what := range all {
		if want := underscored(reflect.TypeOf(what).Name()); what.Type() != want {
			t.Errorf("%T is called %s, want %s", what, what.Type(), want)
		}
		text, err := json.Marshal(Event{What: what})
		if err != nil {
			t.Fatal(err)
		}
		var object map[string]any
		if err := json.Unmarshal(text, &object); err != nil || object["type"] != what.Type() {
			t.Errorf("%T becomes %s, %v", what, text, err)
		}
		_, change := what.(Change)
		if _, says := object["says"].(string); says != change {
			t.Errorf("%T becomes %s; says a sentence: want %v", what, text, change)
		}
	}
	if _, err := json.Marshal(Event{}); err == nil {
		t.Error("an event without content becomes JSON")
	}
}

func TestJSON(t *testing.T) {
	id, err := peer.Decode("12D3KooWHvLp7Pb2jCaeugAkUGW1XgqNPimeE2TiqGZF8kCvPZJP")
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	text, err := json.Marshal(Event{at, 3, Joined{[]peer.ID{id}, 7, 1500 * time.Microsecond}})
	want := `{"at":"2026-01-02T03:04:05Z","contacts":7,"missed":3,"says":"joined the network",` +
		`"through":["12D3KooWHvLp7Pb2jCaeugAkUGW1XgqNPimeE2TiqGZF8kCvPZJP"],"took_ms":1.5,"type":"joined"}`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v; want\n%s", text, err, want)
	}
}

// A node without bootstrap peers waits, which is no failure.
func TestJoinFailedSays(t *testing.T) {
	waits, _ := JoinFailed{}.Says()
	fails, _ := JoinFailed{Bootstrap: 1}.Says()
	if waits == fails {
		t.Errorf("both say %q", waits)
	}
}

// The fields of a log line name the unit of a time.
func TestSaysUnits(t *testing.T) {
	for _, c := range []Change{Joined{Took: 1499 * time.Millisecond}, JoinFailed{Again: 1499 * time.Millisecond}} {
		if _, fields := c.Says(); !slices.Contains(fields, any("1.499s")) {
			t.Errorf("%T: the fields are %v", c, fields)
		}
	}
}

// Each limit has a sentence that says what has happened.
func TestLimitReachedSays(t *testing.T) {
	for _, limit := range []string{"streams", "memory", "turns", "share", "store", "named"} {
		if says, _ := (LimitReached{Limit: limit}).Says(); says == "a limit is reached: "+limit {
			t.Errorf("%s has no sentence", limit)
		}
	}
}
