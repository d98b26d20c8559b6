package protocol

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/go-kad/kad/pb"
)

// ParseRequest reads a message, without frame, as a request. It fails with
// [ErrMalformed] if msg is no message or breaks a rule (an unknown type, no key, a
// record under another key than the message), and with
// [ErrTooLarge] if it is over [MaxKey], [MaxProviderKey], [MaxValue],
// [MaxRecords] or [MaxProof].
//
// The request does not refer to msg. Unknown fields are ignored, and so is what follows the
// first 384 fields.
//
// Spec: libp2p kad-dht, "RPC messages".
func ParseRequest(msg []byte) (Request, error) {
	var none *RequestParser
	return none.Parse(msg)
}

// A RequestParser parses requests of one peer. It remembers what the peer has announced of
// itself last, since a peer announces many keys with the same addresses, and most of the work
// is to decode these. The zero RequestParser is ready for use. It is not safe for concurrent
// use.
type RequestParser struct {
	wire      []byte // the Peer message that was announced last, up to maxRemembered bytes
	providers []Peer // what it says; nil if there was none
}

// maxRemembered bounds what a [RequestParser] remembers: about 30 addresses of usual size.
const maxRemembered = 512

// Parse is [ParseRequest]. The Providers of announcements can share memory with those of
// earlier ones: they must not be changed.
func (p *RequestParser) Parse(msg []byte) (Request, error) {
	var e envelope
	if !e.open(msg, maxRequestFields) {
		return nil, fmt.Errorf("%w: not protobuf", ErrMalformed)
	}
	if err := e.checkRequest(); err != nil {
		return nil, err
	}
	switch e.kind {
	case pb.Message_PUT_VALUE:
		return e.put()
	case pb.Message_GET_VALUE:
		return GetValue{Key: bytes.Clone(e.key)}, nil
	case pb.Message_ADD_PROVIDER:
		return AddProvider{
			Key:       bytes.Clone(e.key),
			Providers: p.announced(e.msg),
			Proof:     clone(e.proof),
		}, nil
	case pb.Message_GET_PROVIDERS:
		return GetProviders{Key: bytes.Clone(e.key)}, nil
	case pb.Message_FIND_NODE:
		return FindNode{Target: bytes.Clone(e.key)}, nil
	case pb.Message_PING:
	}
	return Ping{}, nil
}

// checkRequest returns why a message is no request, or over a limit.
func (e *envelope) checkRequest() error {
	if e.kind < 0 || e.kind > pb.Message_PING {
		return fmt.Errorf("%w: unknown type %d", ErrMalformed, e.kind)
	}
	s := sizes{key: len(e.key)}
	switch e.kind {
	case pb.Message_PUT_VALUE:
		s.records, s.values = 1+e.more, len(e.record.value)+e.moreValues
	case pb.Message_ADD_PROVIDER:
		s.proof = len(e.proof)
	case pb.Message_GET_VALUE, pb.Message_GET_PROVIDERS, pb.Message_FIND_NODE, pb.Message_PING:
	}
	return s.check(e.kind)
}

// put returns the request that stores the records of a message.
func (e *envelope) put() (Request, error) {
	switch {
	case !e.hasRecord || e.badRecord:
		return nil, fmt.Errorf("%w: %v without a record", ErrMalformed, e.kind)
	case !bytes.Equal(e.key, e.record.key):
		return nil, errOtherKey(e.kind)
	}
	put := PutValue{Record: e.record.record()}
	if put.More = parseMore(e.msg, &put.Record, e.more); len(put.More) < e.more {
		return nil, fmt.Errorf("%w: %v with a malformed record, or one of another key", ErrMalformed, e.kind)
	}
	return put, nil
}

// announced returns the providers of an announcement that was opened.
func (p *RequestParser) announced(msg []byte) []Peer {
	if p == nil {
		return parsePeers(msg, fieldProviders, MaxAnnounced)
	}
	wire, one := onlyField(msg, fieldProviders)
	if one && p.providers != nil && bytes.Equal(wire, p.wire) {
		return p.providers
	}
	providers := parsePeers(msg, fieldProviders, MaxAnnounced)
	if one && len(providers) == 1 && len(wire) <= maxRemembered {
		p.wire, p.providers = append(p.wire[:0], wire...), providers[:1:1]
	}
	return providers
}

// onlyField returns the field with a number of a message that was opened; false if it has
// none, or several.
func onlyField(msg []byte, num protowire.Number) (value []byte, one bool) {
	f := walk(msg, len(msg))
	for f.next() {
		v, ok := f.bytes(num)
		if !ok {
			continue
		}
		if one {
			return nil, false
		}
		value, one = v, true
	}
	return value, one
}

// ParseResponse reads a message, without frame, as the response to req. It
// fails with [ErrMalformed] if msg is no message, if its type is another than that of
// the request, or if it has a record of another key, and with [ErrTooLarge] if the
// value of the record is over [MaxValue].
//
// Peers that cannot be used are left out, one by one: see [AppendPeer] for
// addresses. So are peers that are listed a second time, or are over [MaxCloser],
// [MaxProviders] or [MaxPeers]. Further records are left out if they are malformed, of
// another key, over [MaxRecords], or over [MaxValue] together with the ones before. What
// follows four times as many fields as the lists may have is ignored. The response does not
// refer to msg.
//
// Spec: libp2p kad-dht, "RPC messages".
func ParseResponse(req Request, msg []byte) (Response, error) {
	var resp Response
	want := kindOf(req)
	var e envelope
	ok := e.open(msg, maxResponseFields(want))
	msg = e.msg
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
		if want == pb.Message_GET_VALUE {
			resp.More = parseMore(msg, &rec, e.more)
		}
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

// AppendRequest appends the message of r, without frame. It writes keys, values
// and proofs of any size, and records of any number: [Check] says whether they
// will be accepted. Of the providers of [AddProvider] it writes at most
// [MaxAnnounced], and leaves out what [AppendPeer] leaves out.
func AppendRequest(dst []byte, r Request) []byte {
	dst = appendKind(dst, kindOf(r))
	if key := keyOf(r); len(key) > 0 {
		dst = appendBytes(dst, fieldKey, key)
	}
	switch r := r.(type) {
	case PutValue:
		dst = appendRecord(dst, fieldRecord, &r.Record)
		dst = appendMore(dst, r.Record.Key, r.More)
	case AddProvider:
		dst = appendPeers(dst, fieldProviders, r.Providers, MaxAnnounced)
		if len(r.Proof) > 0 {
			dst = appendBytes(dst, fieldProof, r.Proof)
		}
	case FindNode, GetValue, GetProviders, Ping:
	}
	return dst
}

// AppendResponse appends the message, without frame, that answers req with r.
// It always stays below [MaxFrame]: peers over [MaxCloser], [MaxProviders] or
// [MaxPeers] are left out, as is a record that is over its limits, or of another key
// than the requested one. The records of More are left out that a reader would leave
// out, and all of them without a Record.
//
// The answer to [PutValue] is the record of the request. It says that the record is
// stored; js-libp2p fails without it. [AddProvider] has no answer; its type and key are
// written, as the specification has it.
func AppendResponse(dst []byte, req Request, r Response) []byte {
	dst = appendHead(dst, req, r.Record)
	k := kindOf(req)
	if hasCloser(k) {
		dst = appendPeers(dst, fieldCloser, r.Closer, MaxCloser)
	}
	if k == pb.Message_GET_PROVIDERS {
		dst = appendPeers(dst, fieldProviders, r.Providers, MaxProviders)
	}
	return appendTail(dst, req, r.Record, r.More)
}

// AppendEncodedResponse is [AppendResponse] for peers that are encoded already.
// It copies them into dst, and allocates nothing if dst has room. Peers with an empty
// Wire are left out. The order is the one of the arguments. The
// first of records is the Record of the response, the best one; the others are
// its More.
func AppendEncodedResponse(dst []byte, req Request, records []Record, closer, providers []EncodedPeer) []byte {
	var (
		first *Record
		more  []Record
	)
	if len(records) > 0 {
		first, more = &records[0], records[1:]
	}
	dst = appendHead(dst, req, first)
	k := kindOf(req)
	if hasCloser(k) {
		dst = appendEncodedPeers(dst, fieldCloser, closer, MaxCloser)
	}
	if k == pb.Message_GET_PROVIDERS {
		dst = appendEncodedPeers(dst, fieldProviders, providers, MaxProviders)
	}
	return appendTail(dst, req, first, more)
}

// hasCloser reports whether the answer to a request of that type names peers.
func hasCloser(k kind) bool {
	return k == pb.Message_FIND_NODE || k == pb.Message_GET_VALUE || k == pb.Message_GET_PROVIDERS
}

// appendHead appends a response up to its peers. The key is repeated where Go and
// JavaScript servers repeat it: everywhere except in FIND_NODE.
func appendHead(dst []byte, req Request, rec *Record) []byte {
	dst = appendKind(dst, kindOf(req))
	if key := keyOf(req); len(key) > 0 && kindOf(req) != pb.Message_FIND_NODE {
		dst = appendBytes(dst, fieldKey, key)
	}
	switch r := req.(type) {
	case PutValue:
		if len(r.Record.Value) <= MaxValue {
			dst = appendRecord(dst, fieldRecord, &r.Record)
		}
	case GetValue:
		if r.takes(rec) {
			dst = appendRecord(dst, fieldRecord, rec)
		}
	case FindNode, GetProviders, AddProvider, Ping:
	}
	return dst
}

// takes reports whether rec can be the record that answers r.
func (r GetValue) takes(rec *Record) bool {
	return rec != nil && len(rec.Value) <= MaxValue && bytes.Equal(rec.Key, r.Key)
}

// appendTail appends what a response has after its peers: the records beside
// first.
func appendTail(dst []byte, req Request, first *Record, more []Record) []byte {
	get, ok := req.(GetValue)
	if !ok || !get.takes(first) {
		return dst
	}
	q := quotaBeside(first)
	for i := range more {
		if r := &more[i]; sameKey(r.Key, get.Key) && q.take(len(r.Value)) {
			dst = appendMore(dst, get.Key, more[i:i+1])
		}
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
