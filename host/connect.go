package host

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multiaddr"
)

// Via is the way in which we are connected to a peer.
type Via uint8

const (
	// ViaDirect is a connection that was direct from the beginning.
	ViaDirect Via = iota + 1

	// ViaPunched is a direct connection that came after a relayed one, as by hole
	// punching.
	ViaPunched

	// ViaRelayed is a connection through a relay. It is limited, as a rule: streams on
	// it need network.WithAllowLimitedConn, and it ends after some minutes and bytes.
	ViaRelayed
)

// String returns direct, punched or relayed.
func (v Via) String() string {
	switch v {
	case ViaDirect:
		return "direct"
	case ViaPunched:
		return "punched"
	case ViaRelayed:
		return "relayed"
	default:
		return "none"
	}
}

// A Connection says how a peer was reached.
type Connection struct {
	Via   Via                 // 0 if it was not
	Addr  multiaddr.Multiaddr // of the peer, as the connection has it
	Steps []Step              // what was done for it, in the order in which it began
}

// A Step is a part of [DHT.Connect].
type Step struct {
	// Name says what was tried: "known", the addresses that the host knew; "find", a
	// lookup; "direct", a dial without relay; "relay", a dial through one; "punch",
	// the wait for a direct connection after that.
	Name string

	Addrs []multiaddr.Multiaddr // that were known, found or dialled; none for punch
	Took  time.Duration         // some are under way at the same time
	Err   error                 // nil if it succeeded
}

// String returns the step in words.
func (s Step) String() string {
	text := fmt.Sprintf("%s (%v", s.Name, s.Took.Round(time.Millisecond))
	if len(s.Addrs) > 0 {
		text += ", " + plural(len(s.Addrs), "address")
	}
	if s.Err == nil {
		return text + ")"
	}
	return text + "): " + strings.TrimPrefix(strings.ReplaceAll(s.Err.Error(), "\n", " "), "kad: ")
}

// A ConnectError is returned by [DHT.Connect] when a peer was not reached.
type ConnectError struct {
	ID    peer.ID
	Steps []Step // what was tried with which addresses, and why it failed
	Cause error  // of the context, if that has ended; else nil
}

// Error says what was tried, and why it failed.
func (e *ConnectError) Error() string {
	tried := make([]string, len(e.Steps))
	for i, s := range e.Steps {
		tried[i] = s.String()
	}
	text := "kad: not connected to " + e.ID.String()
	if e.Cause != nil {
		text += " in time"
	}
	if len(tried) > 0 {
		text += ": tried " + strings.Join(tried, "; ")
	}
	return text
}

// Unwrap returns the reasons, so that errors.Is finds, for instance, [ErrNotFound].
func (e *ConnectError) Unwrap() []error {
	var errs []error
	if e.Cause != nil {
		errs = append(errs, e.Cause)
	}
	for _, s := range e.Steps {
		if s.Err != nil {
			errs = append(errs, s.Err)
		}
	}
	return errs
}

// Connect connects to a peer, wherever it is: with the addresses that the host knows,
// and with those of [DHT.Locate] if there are none, if they fail, or if they have not
// led to it after half a second; if those fail too, it looks the peer up once more. It
// dials directly and, if nothing has come of that
// after a moment, through the relays of the peer as well; then it waits for a direct
// connection, which the peer makes by hole punching, for as long as [WaitDirect] says.
// If none comes, the connection stays relayed, and that is no error. A peer punches when
// it is connected: of a relayed connection that was there before, nothing more comes
// than a dial of the addresses that are known or found.
//
// The error is a [*ConnectError] that says what was tried. Connect takes as long as
// ctx lasts, at most; without a deadline, some minutes where all dials hang.
func (d *DHT) Connect(ctx context.Context, id peer.ID, opts ...lrouting.Option) (Connection, error) {
	ctx, end := d.begin(ctx)
	defer end()
	o, err := d.options(opts)
	if err != nil {
		return Connection{}, err
	}
	if err := id.Validate(); err != nil {
		return Connection{}, fmt.Errorf("kad: %q is not a peer ID: %w", string(id), err)
	}
	if id == d.self {
		return Connection{}, errors.New("kad: the peer to connect to is this node itself")
	}
	dialling, giveUp := context.WithCancel(ctx)
	defer giveUp() // what is under way then is not needed any more
	c := &connecting{
		dht: d, id: id, dialling: dialling,
		ended: make(chan func()), moved: make(chan struct{}, 1),
	}
	defer c.watch()()
	if conn := c.direct(); conn != nil {
		return Connection{Via: ViaDirect, Addr: conn.RemoteMultiaddr()}, nil
	}
	c.tryKnown() //nolint:contextcheck // what it dials may be of use after reach
	if err := c.reach(ctx); err != nil {
		return Connection{Steps: c.story()}, err
	}
	via := ViaDirect
	if c.wasRelayed {
		c.punch(ctx, o.direct)
		if !c.dialled {
			via = ViaPunched
		}
	}
	conn := c.direct()
	if conn == nil {
		via, conn = ViaRelayed, c.relayed()
	}
	if conn == nil {
		return Connection{Steps: c.story()}, c.failure(ctx)
	}
	return Connection{Via: via, Addr: conn.RemoteMultiaddr(), Steps: c.story()}, nil
}
