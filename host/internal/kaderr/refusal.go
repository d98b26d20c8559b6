package kaderr

import (
	"errors"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/network"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multistream"

	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

// Codes with which a stream is reset, so that the requester learns the reason of a
// refusal. Other implementations ignore them, and send none.
const (
	codeInvalid   network.StreamErrorCode = 0x6b01 + iota // the validator refuses the value, or there is no validator
	codeOld                                               // a better value is stored
	codeFull                                              // the store's limits are reached
	codeBadPeer                                           // the provider is not the sender, or has no usable address
	CodeBusy                                              // too many streams
	codeMalformed                                         // the request cannot be read
	codeInternal                                          // it could not be handled
	codeTooMany                                           // the key holds as many values as it may
	codeOverQuota                                         // the sender has used up its share of the store
	codeExpired                                           // the record had expired before it arrived
	codeForbidden                                         // Config.OnRequest refuses it
)

// ErrBusy is the refusal of a peer that serves too many streams, or too much on them.
var ErrBusy = fmt.Errorf("%w: it is busy", ErrRefused)

// refusals are the codes, each with the errors it stands for, where a server has
// them, and what the requester is told.
var refusals = []struct { //nolint:gochecknoglobals // a constant
	code   network.StreamErrorCode
	causes []error
	told   error
}{
	{codeInvalid, []error{ErrInvalidRecord}, fmt.Errorf("%w: %w: its validator does not accept the value", ErrRefused, ErrInvalidRecord)},
	{codeOld, []error{ErrOldRecord}, fmt.Errorf("%w: %w", ErrRefused, ErrOldRecord)},
	{codeTooMany, []error{ErrTooMany}, fmt.Errorf("%w: the key holds as many values there as it may", ErrRefused)},
	{codeOverQuota, []error{ErrOverQuota}, fmt.Errorf("%w: it has stored as much for us as it does for one peer", ErrRefused)},
	{codeExpired, []error{ErrExpired}, fmt.Errorf("%w: it had expired before it arrived", ErrRefused)},
	{codeFull, []error{store.ErrFull, store.ErrTooLarge}, fmt.Errorf("%w: its store is full", ErrRefused)},
	{codeBadPeer, []error{ErrBadProvider, ErrBadProof}, fmt.Errorf("%w: it was given no address of the provider that it could pass on", ErrRefused)},
	{codeMalformed, []error{protocol.ErrMalformed, protocol.ErrTooLarge}, fmt.Errorf("%w: it could not read the request", ErrRefused)},
	{CodeBusy, []error{ErrBusy}, ErrBusy},
	{codeForbidden, []error{ErrForbidden}, fmt.Errorf("%w: by a rule of its own", ErrRefused)}, // after those that the rule may name
	{network.StreamResourceLimitExceeded, nil, ErrBusy},                                        // its resource manager
	{network.StreamRateLimited, nil, ErrBusy},                                                  // its rate limiter
	{codeInternal, nil, fmt.Errorf("%w: it failed to handle the request", ErrRefused)},
}

// CodeOf returns the code that says why a request was not served.
func CodeOf(err error) network.StreamErrorCode {
	for _, r := range refusals {
		for _, cause := range r.causes {
			if errors.Is(err, cause) {
				return r.code
			}
		}
	}
	return codeInternal
}

// Ended reports whether the other side has ended a stream, as it does when it has nothing more
// to say. The end of a connection is none, though its error may wrap [io.EOF] too: yamux
// wraps what the connection was read with.
func Ended(err error) bool { return errors.Is(err, io.EOF) && !errors.Is(err, network.ErrReset) }

// TimedOut reports whether an error is that of a deadline.
func TimedOut(err error) bool {
	timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && timeout.Timeout()
}

// OfStream translates what the other side says of a stream into [ErrRefused]: that it does not
// speak its protocol, or a reset, with the reason if it gave one. Other errors are returned as
// they are: the end of a connection resets its streams too, with an error that has no side, and
// refuses nothing.
func OfStream(err error) error {
	if errors.Is(err, multistream.ErrNotSupported[lprotocol.ID]{}) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	reset, ok := errors.AsType[*network.StreamError](err)
	if !ok || !reset.Remote {
		return err
	}
	if told := toldBy(reset.ErrorCode); told != nil {
		return told
	}
	return fmt.Errorf("%w: %w", ErrRefused, err)
}

// OfCode returns what a requester is told by a code that came as an answer: nil by 0.
func OfCode(code network.StreamErrorCode) error {
	if code == 0 {
		return nil
	}
	if told := toldBy(code); told != nil {
		return told
	}
	return fmt.Errorf("%w: with code %#x", ErrRefused, uint32(code))
}

// toldBy returns what a requester is told by a code of ours; nil if it is none.
func toldBy(code network.StreamErrorCode) error {
	for _, r := range refusals {
		if r.code == code {
			return r.told
		}
	}
	return nil
}
