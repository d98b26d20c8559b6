package kaderr

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	lprotocol "github.com/libp2p/go-libp2p/core/protocol"
	lrouting "github.com/libp2p/go-libp2p/core/routing"
	"github.com/multiformats/go-multistream"
	"go.uber.org/goleak"

	"github.com/go-kad/kad/host/store"
	"github.com/go-kad/kad/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// What a server refuses with, a requester learns by the code of the reset; codes are
// fixed, since they are on the wire.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct {
		cause error
		code  network.StreamErrorCode
		is    error // beside ErrRefused
	}{
		{ErrInvalidRecord, 0x6b01, ErrInvalidRecord},
		{ErrOldRecord, 0x6b02, ErrOldRecord},
		{store.ErrFull, 0x6b03, nil},
		{store.ErrTooLarge, 0x6b03, nil},
		{store.ErrNoSpace, 0x6b07, nil}, // a failure of the holder, and not a limit
		{ErrBadProvider, 0x6b04, nil},
		{ErrBadProof, 0x6b04, nil},
		{protocol.ErrMalformed, 0x6b06, nil},
		{protocol.ErrTooLarge, 0x6b06, nil},
		{io.ErrUnexpectedEOF, 0x6b07, nil},
		{ErrTooMany, 0x6b08, nil},
		{ErrOverQuota, 0x6b09, nil},
		{ErrExpired, 0x6b0a, nil},
		{ErrForbidden, 0x6b0b, nil},
		{fmt.Errorf("%w: %w", ErrForbidden, ErrOldRecord), 0x6b02, ErrOldRecord}, // the rule says why
	} {
		code := CodeOf(fmt.Errorf("wrapped: %w", tt.cause))
		if code != tt.code {
			t.Errorf("CodeOf(%v) = %#x, want %#x", tt.cause, uint32(code), uint32(tt.code))
		}
		err := OfStream(&network.StreamError{ErrorCode: code, Remote: true})
		if !errors.Is(err, ErrRefused) || tt.is != nil && !errors.Is(err, tt.is) {
			t.Errorf("code %#x is %v", uint32(code), err)
		}
		if answered := OfCode(code); !errors.Is(answered, ErrRefused) || answered.Error() != err.Error() {
			t.Errorf("code %#x is %v as an answer, and %v as a reset", uint32(code), answered, err)
		}
	}
	if err := OfCode(0); err != nil || !errors.Is(OfCode(7), ErrRefused) {
		t.Errorf("the answer 0 is %v, and an unknown one %v", err, OfCode(7))
	}
	for _, code := range []network.StreamErrorCode{network.StreamResourceLimitExceeded, network.StreamRateLimited} {
		if !errors.Is(OfStream(&network.StreamError{ErrorCode: code, Remote: true}), ErrBusy) {
			t.Errorf("code %#x of a peer that had no room is not busy", uint32(code))
		}
	}
	if errors.Is(OfStream(&network.ConnError{Remote: true}), ErrRefused) {
		t.Error("the end of a connection counts as a refusal")
	}
	if !errors.Is(OfStream(&network.StreamError{ErrorCode: CodeBusy, Remote: true}), ErrBusy) {
		t.Error("a busy peer is not told from others")
	}
}

// A reset of our own is no refusal; one of the other side is, with or without a code, and so is
// that it does not speak the protocol.
func TestOfStream(t *testing.T) {
	own := &network.StreamError{ErrorCode: codeOld}
	if err := OfStream(own); errors.Is(err, ErrRefused) || !errors.Is(err, own) {
		t.Errorf("our own reset is %v", err)
	}
	if err := OfStream(&network.StreamError{ErrorCode: 7, Remote: true}); !errors.Is(err, ErrRefused) {
		t.Errorf("an unknown code is %v", err)
	}
	if err := OfStream(&network.StreamError{Remote: true}); !errors.Is(err, ErrRefused) || !errors.Is(err, network.ErrReset) {
		t.Errorf("a reset without a code is %v", err)
	}
	if err := OfStream(fmt.Errorf("wrapped: %w", multistream.ErrNotSupported[lprotocol.ID]{})); !errors.Is(err, ErrRefused) {
		t.Errorf("another protocol is %v", err)
	}
	// What yamux makes of the streams of a connection that has broken.
	if err := OfStream(fmt.Errorf("%w: connection closed", network.ErrReset)); errors.Is(err, ErrRefused) {
		t.Errorf("the end of a connection is %v", err)
	}
	broken := fmt.Errorf("%w: connection closed: %w", network.ErrReset, io.EOF)
	if err := OfStream(broken); !errors.Is(err, network.ErrReset) || errors.Is(err, ErrRefused) || Ended(broken) {
		t.Errorf("the end of a connection is %v, and the end of a stream: %v", err, Ended(broken))
	}
	if !Ended(io.EOF) || !Ended(fmt.Errorf("wrapped: %w", io.EOF)) || Ended(nil) || Ended(io.ErrUnexpectedEOF) {
		t.Error("the end of a stream is not told from others")
	}
	if err := OfStream(io.EOF); !errors.Is(err, io.EOF) || errors.Is(err, ErrRefused) {
		t.Errorf("an end is %v", err)
	}
	if !errors.Is(ErrNotFound, lrouting.ErrNotFound) {
		t.Error("ErrNotFound is not libp2p's")
	}
}
