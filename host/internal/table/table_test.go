package table

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	mocknet "github.com/libp2p/go-libp2p/p2p/net/mock"
	"github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	"github.com/go-kad/kad/host/internal/kaderr"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/routing"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testProtocol = lprotocol.ID("/test/kad/1.0.0")

// A node is a table on a host in memory, and how often it woke the loop.
type node struct {
	*Table
	host  lhost.Host
	group *tasks.Group
	wakes atomic.Int64
}

func newNode(t *testing.T, cfg Config) *node {
	t.Helper()
	net := mocknet.New()
	h, err := net.GenPeer()
	if err != nil {
		t.Fatal(err)
	}
	n := &node{host: h, group: tasks.NewGroup()}
	cfg.Host, cfg.Protocol, cfg.Tasks, cfg.Wake = h, testProtocol, n.group, func() { n.wakes.Add(1) }
	if cfg.K == 0 {
		cfg.K = 20
	}
	if cfg.SlowAfter == 0 {
		cfg.SlowAfter = time.Second
	}
	if cfg.ProbeAfter == 0 {
		cfg.ProbeAfter = 10 * time.Minute
	}
	n.Table = New(cfg)
	t.Cleanup(func() {
		n.group.Cancel()
		n.group.Wait(new(sync.WaitGroup))
		_ = net.Close()
	})
	return n
}

// meets gives the host an address of a peer, and has it answer once.
func (n *node) meets(id peer.ID, addr string) routing.Contact {
	if addr != "" {
		n.host.Peerstore().AddAddr(id, multiaddr.StringCast(addr), peerstore.PermanentAddrTTL)
	}
	c := routing.ContactOf(id)
	n.Heard(c, Answered, time.Millisecond)
	return c
}

func inBubble(f func(t *testing.T)) func(t *testing.T) {
	return func(t *testing.T) { synctest.Test(t, f) }
}

// Each outcome changes the table as it should, and the last two not at all.
func TestHeard(t *testing.T) {
	for _, tt := range []struct {
		outcome           Outcome
		suspect, doubtful bool
		failing           bool
	}{
		{Answered, false, false, false},
		{Refused, false, false, false},
		{Silent, true, true, true},
		{Late, false, true, true},
		{Unsent, false, false, false},
		{OwnFailure, false, false, false},
	} {
		t.Run(fmt.Sprint(tt.outcome), inBubble(func(t *testing.T) {
			n := newNode(t, Config{})
			for i := range 4 { // others, so that one silence is no outage
				n.meets(peer.ID(fmt.Sprint("other", i)), "")
			}
			c := n.meets("contact", "")
			n.Heard(c, tt.outcome, 0)
			got := []routing.Contact{routing.ContactOf("contact")}
			n.Expect(got)
			_, failing := n.Network()
			if suspects := n.Stats().Suspects; (suspects == 1) != tt.suspect || got[0].Doubtful != tt.doubtful || (failing > 0) != tt.failing {
				t.Errorf("%d suspects, doubtful %v, failing %v; want %v, %v, %v", suspects, got[0].Doubtful, failing, tt.suspect, tt.doubtful, tt.failing)
			}
			if !n.Has("contact") {
				t.Error("the contact is gone")
			}
		}))
	}
}

// A stranger that does not answer enters no table; one that answers does, unless it has
// announced that it stopped serving.
func TestHeardOfStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, Config{})
		for _, o := range []Outcome{Refused, Silent, Late, Unsent, OwnFailure} {
			if n.Heard(routing.ContactOf("stranger"), o, 0); n.Has("stranger") {
				t.Errorf("outcome %d: it is in the table", o)
			}
		}
		if err := n.host.Peerstore().AddProtocols("stopped", "/other"); err != nil {
			t.Fatal(err)
		}
		if n.meets("stopped", ""); n.Has("stopped") {
			t.Error("a peer that stopped serving is in the table")
		}
		if n.meets("serves", ""); !n.Has("serves") || !n.Live() {
			t.Error("a peer that answered is not in the table")
		}
		if got := n.Entered(); len(got) != 1 || got[0].ID != "serves" || len(n.Entered()) != 0 {
			t.Errorf("entered: %v", got)
		}
	})
}

// A check that was not made, or was given up, says nothing about the contact; a refusal
// proves that it is alive; silence puts it out in the end.
func TestChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, Config{})
		for i := range 30 {
			n.meets(peer.ID(fmt.Sprint("other", i)), "")
		}
		n.meets("contact", "")
		c := routing.ContactOf("contact")
		for _, o := range []Outcome{Unsent, Late, OwnFailure, Refused, Answered} {
			n.Disconnected("contact")
			check, _ := n.Due(time.Now(), 1)
			if len(check) != 1 || check[0].ID != "contact" {
				t.Fatalf("due: %v, want the contact that was disconnected", check)
			}
			n.Checked(c, o, 0)
			got := []routing.Contact{c}
			if n.Expect(got); !n.Has("contact") || n.Stats().Suspects != 0 {
				t.Errorf("outcome %d: the contact is gone, or a suspect", o)
			}
			if alive := o == Answered || o == Refused; got[0].Doubtful == alive {
				t.Errorf("outcome %d: doubtful %v", o, got[0].Doubtful)
			}
			time.Sleep(20 * time.Minute) // it may be doubted once in ProbeAfter
			for _, other := range []int{0} {
				_ = other
			}
			n.Heard(c, Answered, 0)
		}
		n.Disconnected("contact")
		for range 20 {
			check, _ := n.Due(time.Now(), 32)
			for _, k := range check {
				o := Answered
				if k.ID == "contact" {
					o = Silent
				}
				n.Checked(k, o, 0)
			}
			time.Sleep(time.Minute)
		}
		if n.Has("contact") {
			t.Error("a contact that is silent for ever stays")
		}
		if !n.HasDeparted() || len(n.Departed(9)) != 0 && n.Departed(9)[0].ID != "contact" {
			t.Logf("departed: %v", n.Departed(9)) // without addresses, it is not worth remembering
		}
	})
}

// A check that was under way when a contact stopped serving does not bring it back.
func TestCheckDoesNotResurrect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, Config{})
		n.meets("other", "")
		c := n.meets("contact", "")
		n.Disconnected("contact")
		if check, _ := n.Due(time.Now(), 1); len(check) != 1 {
			t.Fatal("the contact is not due")
		}
		if n.Wants("contact") || n.Has("contact") { // its protocols are known, and ours is not among them
			t.Fatal("it is still in the table")
		}
		if n.Checked(c, Answered, 0); n.Has("contact") {
			t.Error("the contact is back")
		}
	})
}

// By default, two contacts of one public network are admitted to a bucket, and the
// others are noted.
func TestGroupLimit(t *testing.T) {
	n := newNode(t, Config{})
	for i := range 5 {
		n.meets(peer.ID(rune('a'+i)), fmt.Sprintf("/ip4/8.8.8.%d/tcp/1", i+1))
	}
	if got := n.Stats().Contacts; got != 2 {
		t.Errorf("%d contacts of one network, want 2", got)
	}
	if filtered := n.NotReady(nil).Filtered; len(filtered) != 3 {
		t.Errorf("noted %v, want three", filtered)
	}
	if n.ForgetFiltered(); len(n.NotReady(nil).Filtered) != 0 {
		t.Error("the notes are not forgotten")
	}
	open := newNode(t, Config{MaxPerGroup: -1})
	for i := range 50 {
		open.meets(peer.ID(rune('a'+i)), fmt.Sprintf("/ip4/8.8.8.%d/tcp/1", i+1))
	}
	if got := open.Stats().Contacts; got < 20 {
		t.Errorf("%d contacts without a bound", got)
	}
}

// Ready waits until there is a contact, and says why there is none.
func TestReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, Config{Bootstrap: 1})
		n.NoteDial("boot", errors.New("refused"))
		start := time.Now()
		err := n.Ready(t.Context())
		var notReady *NotReadyError
		if !errors.As(err, &notReady) || !errors.Is(err, kaderr.ErrNoContacts) || time.Since(start) != readyTimeout || notReady.Dials["boot"] == nil {
			t.Errorf("Ready() = %v after %v", err, time.Since(start))
		}
		if n.NoteDial("boot", nil); len(n.NotReady(nil).Dials) != 0 {
			t.Error("a dial that succeeded is still noted")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go func() { time.Sleep(time.Second / 2); n.meets("contact", "") }()
		if err := n.Ready(ctx); err != nil {
			t.Errorf("Ready() = %v with a contact", err)
		}
		n.group.Cancel()
		if err := n.Ready(t.Context()); !errors.Is(err, kaderr.ErrClosed) {
			t.Errorf("Ready() = %v when closed", err)
		}
	})
}

// A node of which all contacts are silent is offline, keeps them, and is back when one
// answers.
func TestOffline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, Config{})
		var contacts []routing.Contact
		for i := range 20 {
			contacts = append(contacts, n.meets(peer.ID(fmt.Sprint(i)), ""))
		}
		for range 10 {
			for _, c := range contacts {
				n.Heard(c, Silent, 0)
			}
			time.Sleep(time.Second)
		}
		if off, _ := n.Offline(); !off || n.Live() || !n.NotReady(nil).Offline {
			t.Fatal("not offline, though no contact answers")
		}
		if got := n.Stats().Contacts; got != len(contacts) {
			t.Errorf("%d contacts are left of %d", got, len(contacts))
		}
		n.Heard(contacts[3], Answered, 0)
		off, last := n.Offline()
		if off || !n.Live() || !last.Equal(time.Now()) {
			t.Errorf("offline %v, back at %v", off, last)
		}
		got := []routing.Contact{contacts[5]}
		if n.Expect(got); !got[0].Doubtful {
			t.Log("the others are checked before they count again")
		}
	})
}

// What is saved comes back as departed contacts, the most recent first; a file that is
// broken, or too large, counts as none.
func TestSave(t *testing.T) {
	dir := t.TempDir()
	n := newNode(t, Config{Dir: dir})
	if err := n.Save(); err != nil {
		t.Fatal(err)
	}
	if got := readContacts(dir); got != nil {
		t.Errorf("an empty table is saved as %v", got)
	}
	key, err := peer.Decode("QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N")
	if err != nil {
		t.Fatal(err)
	}
	n.meets(key, "/ip4/192.0.2.1/tcp/1")
	n.meets("without addresses", "")
	if err := n.Save(); err != nil {
		t.Fatal(err)
	}
	again := newNode(t, Config{Dir: dir})
	departed := again.Departed(9)
	if len(departed) != 1 || departed[0].ID != key || again.Live() || len(departed[0].Wire) == 0 {
		t.Errorf("restored %v, live %v", departed, again.Live())
	}
}

// A peer that is reached through no connection is not wanted; one that says that it
// serves leaves and enters by its protocols.
func TestWants(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, Config{})
		if n.Wants("silent") || n.WantsAsker("silent") {
			t.Error("a peer that says nothing is wanted")
		}
		if err := n.host.Peerstore().AddProtocols("serves", testProtocol); err != nil {
			t.Fatal(err)
		}
		if !n.WantsAsker("serves") {
			t.Error("a peer that serves and asks is not wanted")
		}
		n.meets("other", "")
		n.Heard(routing.ContactOf("serves"), Silent, 0)
		if n.WantsAsker("serves") {
			t.Error("a peer in doubt is wanted")
		}
		n.meets("serves", "")
		if n.WantsAsker("serves") || n.Wants("serves") {
			t.Error("a contact is wanted")
		}
		if err := n.host.Peerstore().RemoveProtocols("serves", testProtocol); err != nil {
			t.Fatal(err)
		}
		if n.Wants("serves") || n.Has("serves") {
			t.Error("a peer that stopped serving stays")
		}
	})
}
