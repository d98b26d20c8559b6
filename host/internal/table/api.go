// Package table: API TO IMPLEMENT (this file is a stub that its owner replaces).
package table

import (
	"context"
	"time"

	lhost "github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"

	"github.com/go-kad/kad/host/internal/announce"
	"github.com/go-kad/kad/host/internal/tasks"
	"github.com/go-kad/kad/routing"
)

// An Outcome is what became of one request. Package call decides it, and Heard records it.
type Outcome uint8

const (
	Answered   Outcome = iota // the peer answered
	Refused                   // it refused, so it is there
	Silent                    // it did not answer in time, or could not be dialled
	Late                      // no answer when the requester gave up, after long enough to count
	Unsent                    // given up before it was sent, or too soon to count: it says nothing
	OwnFailure                // no stream, memory or file descriptor was left here, or the host is closed: it says nothing
)

type Config struct {
	Host        lhost.Host
	Protocol    lprotocol.ID
	Tasks       *tasks.Group
	K           int
	ProbeAfter  time.Duration // Config.RefreshInterval of the node
	MaxPerGroup int
	SlowAfter   time.Duration
	Dir         string // "": contacts are not saved
	Bootstrap   int    // how many bootstrap peers are configured, for NotReadyError
	Wake        func() // wakes the loop; does not block
}

type Table struct{}

func New(cfg Config) *Table { panic("stub") } // restores the contacts of Dir

// what requests show
func (t *Table) Heard(c routing.Contact, o Outcome, took time.Duration) { panic("stub") } // took: 0 if it is not to be measured
func (t *Table) Checked(c routing.Contact, o Outcome, took time.Duration)                   { panic("stub") } // the outcome of a check that Due asked for
func (t *Table) Found(key routing.Key, closest []routing.Contact)       { panic("stub") } // what a converged lookup found (size estimate)
func (t *Table) LookedUp(key routing.Key)                               { panic("stub") } // its bucket needs no refresh now
func (t *Table) Expect(contacts []routing.Contact)                      { panic("stub") } // sets Doubtful, RoundTrip, Expect, Connected (was DHT.judge)
func (t *Table) Network() (routing.Estimate, float64)                   { panic("stub") }
func (t *Table) Patience() time.Duration                                { panic("stub") } // a dial and an answer take at most that, as a rule
func (t *Table) Strangers() time.Duration                               { panic("stub") }

// what the host shows
func (t *Table) Wants(id peer.ID) bool                 { panic("stub") } // was DHT.met: true if the peer is to be introduced
func (t *Table) WantsAsker(id peer.ID) bool            { panic("stub") } // was DHT.noticed
func (t *Table) Disconnected(id peer.ID)               { panic("stub") }
func (t *Table) Connected(id peer.ID) bool             { panic("stub") }
func (t *Table) Speaks(id peer.ID) bool                { panic("stub") }
func (t *Table) Learn(c routing.Contact)               { panic("stub") } // was DHT.locate: gives the host the addresses of a contact
func (t *Table) Announcement(id peer.ID) announce.Wire { panic("stub") }

// contacts
func (t *Table) Self() routing.Key                                   { panic("stub") }
func (t *Table) Has(id peer.ID) bool                                 { panic("stub") }
func (t *Table) Seeds(target routing.Key, n int) []routing.Contact   { panic("stub") }
func (t *Table) Closest(target routing.Key, n int) []routing.Contact { panic("stub") } // can be given to others (was sound)
func (t *Table) Neighbours(n int) []routing.Contact                  { panic("stub") }
func (t *Table) Departed(n int) []routing.Contact                    { panic("stub") } // contacts that left, up to n at random
func (t *Table) HasDeparted() bool                                   { panic("stub") }
func (t *Table) Entered() []routing.Contact                          { panic("stub") } // since it was called last
func (t *Table) CountCloser(key routing.Key) int                     { panic("stub") }
func (t *Table) HandsOver(key, newcomer routing.Key) bool            { panic("stub") }
func (t *Table) OwnPrefix(newcomer routing.Key) (routing.Key, int)   { panic("stub") }

// upkeep
func (t *Table) Due(now time.Time, n int) ([]routing.Contact, time.Time)   { panic("stub") }
func (t *Table) Stale(now time.Time, age time.Duration) (cpl int, ok bool) { panic("stub") } // also marks it refreshed
func (t *Table) Fill() *Fill                                               { panic("stub") }
func (t *Table) Save() error                                               { panic("stub") }
func (t *Table) Small() bool                                               { panic("stub") }
func (t *Table) Stats() routing.Stats                                      { panic("stub") }
func (t *Table) View() []Bucket                                            { panic("stub") }

// A Fill hands out the requests that fill buckets: routing.Fill under the lock of the table.
type Fill struct{}

func (f *Fill) Next() (routing.FillRequest, bool)                      { panic("stub") }
func (f *Fill) Ended(req routing.FillRequest, named []routing.Contact) { panic("stub") }

// readiness
func (t *Table) Live() bool                            { panic("stub") }
func (t *Table) WhenLive() <-chan struct{}             { panic("stub") }
func (t *Table) Offline() (now bool, last time.Time)   { panic("stub") } // last: when the node was offline for the last time
func (t *Table) Ready(ctx context.Context) error       { panic("stub") } // as DHT.Ready
func (t *Table) ReadyWithin(ctx context.Context) error { panic("stub") } // as DHT.readyWithin
func (t *Table) NotReady(cause error) *NotReadyError   { panic("stub") }
func (t *Table) NoteDial(id peer.ID, err error)        { panic("stub") } // a bootstrap peer; nil if it answered
func (t *Table) NoteFiltered(id peer.ID, by string)    { panic("stub") }
func (t *Table) ForgetFiltered()                       { panic("stub") }

// Field for field as host.NotReadyError, which is made of it.
type NotReadyError struct {
	Offline   bool
	Protocol  lprotocol.ID
	Bootstrap int
	Dials     map[peer.ID]error
	Others    map[peer.ID][]lprotocol.ID
	Filtered  map[peer.ID]string
	Cause     error
}

func (e *NotReadyError) Error() string   { panic("stub") }
func (e *NotReadyError) Unwrap() []error { panic("stub") }

// A Bucket and a Contact are as host.Bucket and host.Contact.
type Bucket struct {
	CPL      int
	Contacts []Contact
	Pending  int
}

type Contact struct {
	peer.AddrInfo
	LastSeen time.Time
	RTT      time.Duration
	Suspect  bool
}
