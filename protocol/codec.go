package protocol

import (
	"bytes"
	"fmt"

	"github.com/go-kad/kad/pb"
)

// ParseRequest reads a message, without frame, as a request. It fails with
// [ErrMalformed] if msg is no message or breaks a rule (a type that is not
// known, no key, a record whose key is not the key of the message), and with
// [ErrTooLarge] if key or value are over [MaxKey], [MaxProviderKey] or
// [MaxValue].
//
// The request does not refer to msg. What it does not have a field for is
// ignored.
//
// Spec: libp2p kad-dht, "RPC messages".
func ParseRequest(msg []byte) (Request, error) {
	e, ok := open(msg)
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: not protobuf", ErrMalformed)
	case e.kind < 0 || e.kind > pb.Message_PING:
		return nil, fmt.Errorf("%w: unknown type %d", ErrMalformed, e.kind)
	}
	value := 0
	if e.kind == pb.Message_PUT_VALUE {
		value = len(e.record.value)
	}
	if err := checkSizes(e.kind, len(e.key), value); err != nil {
		return nil, err
	}
	switch e.kind {
	case pb.Message_PUT_VALUE:
		switch {
		case !e.hasRecord || e.badRecord:
			return nil, fmt.Errorf("%w: %v without a record", ErrMalformed, e.kind)
		case !bytes.Equal(e.key, e.record.key):
			return nil, fmt.Errorf("%w: %v with a record of another key", ErrMalformed, e.kind)
		}
		return PutValue{Record: e.record.record()}, nil
	case pb.Message_GET_VALUE:
		return GetValue{Key: bytes.Clone(e.key)}, nil
	case pb.Message_ADD_PROVIDER:
		return AddProvider{
			Key:       bytes.Clone(e.key),
			Providers: parsePeers(msg, fieldProviders, MaxAnnounced),
		}, nil
	case pb.Message_GET_PROVIDERS:
		return GetProviders{Key: bytes.Clone(e.key)}, nil
	case pb.Message_FIND_NODE:
		return FindNode{Target: bytes.Clone(e.key)}, nil
	case pb.Message_PING:
	}
	return Ping{}, nil
}

// ParseResponse reads a message, without frame, as the response to req. It
// fails with [ErrMalformed] if msg is no message, if its type is not that of
// the request, or if it has a record whose key is not the requested one, and
// with [ErrTooLarge] if the record's value is over [MaxValue].
//
// Peers that cannot be used are left out, one by one: see [AppendPeer] for
// addresses. So are those that are listed a second time, and what is over
// [MaxCloser], [MaxProviders] or [MaxPeers]. The response does not refer to msg.
//
// Spec: libp2p kad-dht, "RPC messages".
func ParseResponse(req Request, msg []byte) (Response, error) {
	var resp Response
	want := kindOf(req)
	e, ok := open(msg)
	switch {
	case !ok:
		return resp, fmt.Errorf("%w: not protobuf", ErrMalformed)
	case e.kind != want:
		return resp, fmt.Errorf("%w: the answer to %v has type %v", ErrMalformed, want, e.kind)
	}
	if e.hasRecord && (want == pb.Message_GET_VALUE || want == pb.Message_PUT_VALUE) {
		switch {
		case e.badRecord:
			return resp, fmt.Errorf("%w: the answer to %v has a bad record", ErrMalformed, want)
		case !bytes.Equal(e.record.key, keyOf(req)):
			return resp, fmt.Errorf("%w: the answer to %v has a record of another key", ErrMalformed, want)
		case len(e.record.value) > MaxValue:
			return resp, fmt.Errorf("%w: a value of %d bytes, limit is %d", ErrTooLarge, len(e.record.value), MaxValue)
		}
		rec := e.record.record()
		resp.Record = &rec
	}
	switch want {
	case pb.Message_GET_PROVIDERS:
		resp.Closer = parsePeers(msg, fieldCloser, MaxCloser)
		resp.Providers = parsePeers(msg, fieldProviders, MaxProviders)
	case pb.Message_GET_VALUE, pb.Message_FIND_NODE:
		resp.Closer = parsePeers(msg, fieldCloser, MaxCloser)
	case pb.Message_PUT_VALUE, pb.Message_ADD_PROVIDER, pb.Message_PING:
	}
	return resp, nil
}

// MarshalRequest returns the message of r, without frame.
func MarshalRequest(r Request) []byte {
	return AppendRequest(nil, r)
}

// AppendRequest appends the message of r, without frame. It writes keys and
// values of any size: [Check] tells whether they will be accepted. Of the
// providers of [AddProvider] it writes at most [MaxAnnounced], and leaves out
// what [AppendPeer] leaves out.
func AppendRequest(dst []byte, r Request) []byte {
	dst = appendKind(dst, kindOf(r))
	if key := keyOf(r); len(key) > 0 {
		dst = appendBytes(dst, fieldKey, key)
	}
	switch r := r.(type) {
	case PutValue:
		dst = appendRecord(dst, &r.Record)
	case AddProvider:
		dst = appendPeers(dst, fieldProviders, r.Providers, MaxAnnounced)
	case FindNode, GetValue, GetProviders, Ping:
	}
	return dst
}

// AppendResponse appends the message, without frame, that answers req with r.
// It always stays below [MaxFrame]: peers over [MaxCloser], [MaxProviders] or
// [MaxPeers] are left out, as is a record that is over its limits, or
// that has another key than the requested one.
//
// The answer to [PutValue] is the record of the request, which says that it is
// stored: js-libp2p fails without it. [AddProvider] has no answer; what is
// written for it, its type and key, is what the specification has there.
func AppendResponse(dst []byte, req Request, r Response) []byte {
	dst = appendHead(dst, req, r.Record)
	k := kindOf(req)
	if hasCloser(k) {
		dst = appendPeers(dst, fieldCloser, r.Closer, MaxCloser)
	}
	if k == pb.Message_GET_PROVIDERS {
		dst = appendPeers(dst, fieldProviders, r.Providers, MaxProviders)
	}
	return dst
}

// AppendEncodedResponse is [AppendResponse] for peers that are encoded already.
// It copies them into dst, and allocates nothing if dst has room. Peers
// whose Wire is empty are left out. The order is the one of the arguments.
func AppendEncodedResponse(dst []byte, req Request, rec *Record, closer, providers []EncodedPeer) []byte {
	dst = appendHead(dst, req, rec)
	k := kindOf(req)
	if hasCloser(k) {
		dst = appendEncodedPeers(dst, fieldCloser, closer, MaxCloser)
	}
	if k == pb.Message_GET_PROVIDERS {
		dst = appendEncodedPeers(dst, fieldProviders, providers, MaxProviders)
	}
	return dst
}

// hasCloser reports whether the answer to a request of that type names peers.
func hasCloser(k kind) bool {
	return k == pb.Message_FIND_NODE || k == pb.Message_GET_VALUE || k == pb.Message_GET_PROVIDERS
}

// appendHead appends a response up to its peers. The key is repeated where
// Go and JavaScript servers repeat it, which is everywhere but in FIND_NODE.
func appendHead(dst []byte, req Request, rec *Record) []byte {
	dst = appendKind(dst, kindOf(req))
	if key := keyOf(req); len(key) > 0 && kindOf(req) != pb.Message_FIND_NODE {
		dst = appendBytes(dst, fieldKey, key)
	}
	switch r := req.(type) {
	case PutValue:
		if len(r.Record.Value) <= MaxValue {
			dst = appendRecord(dst, &r.Record)
		}
	case GetValue:
		if rec != nil && len(rec.Value) <= MaxValue && bytes.Equal(rec.Key, r.Key) {
			dst = appendRecord(dst, rec)
		}
	case FindNode, GetProviders, AddProvider, Ping:
	}
	return dst
}

// appendKind appends the type of a message. PUT_VALUE is 0: it is not written.
func appendKind(dst []byte, k kind) []byte {
	if k == pb.Message_PUT_VALUE {
		return dst
	}
	return appendVarint(dst, fieldType, uint64(k)) //nolint:gosec // not negative
}
