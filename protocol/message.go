package protocol

import (
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/pb"
)

var (
	// ErrMalformed is returned for bytes that are no message of this protocol,
	// and for messages that break its rules.
	ErrMalformed = errors.New("kad: malformed message")

	// ErrTooLarge is returned for a frame, a key, a value, a proof or a number of
	// records over its limit.
	ErrTooLarge = errors.New("kad: message is too large")
)

// A Request is one of the six messages that a peer is asked with: [FindNode],
// [GetValue], [PutValue], [GetProviders], [AddProvider] or [Ping].
//
//sumtype:decl
type Request interface {
	request()
}

// FindNode asks for the peers closest to a key: the routing step of a lookup.
type FindNode struct {
	// Target is a peer ID, a record key or a multihash. It has 1 to [MaxKey] bytes.
	Target []byte
}

// GetValue asks for the record of a key, and for the peers closest to it.
type GetValue struct {
	Key []byte // 1 to MaxKey bytes
}

// PutValue asks a peer to store a record. It answers with the same record if it
// did, and resets the stream if not.
type PutValue struct {
	Record Record // the best one, which is all that other implementations see

	// More are further records under the same key, for peers that hold several:
	// with Record at most [MaxRecords], and their values together at most
	// MaxValue bytes. Their Key is the one of Record, or empty, which means the
	// same. The answer does not repeat them.
	More []Record
}

// GetProviders asks for the providers of a key, and for the peers closest to it.
type GetProviders struct {
	Key []byte // a multihash: 1 to MaxProviderKey bytes
}

// AddProvider announces to a peer that the sender provides a key. There is no answer.
type AddProvider struct {
	Key       []byte // a multihash: 1 to MaxProviderKey bytes
	Providers []Peer // the sender, with its addresses; up to MaxAnnounced are read

	// Proof shows that the first of Providers has made the announcement. It is needed
	// if the sender is another peer, or if the holder may pass the announcement on. It
	// has at most [MaxProof] bytes, which are not checked here. Other implementations
	// ignore it.
	Proof []byte
}

// Ping asks for an answer and nothing else. Peers use the ping protocol of
// libp2p instead; it is here to be answered.
type Ping struct{}

func (FindNode) request()     {}
func (GetValue) request()     {}
func (PutValue) request()     {}
func (GetProviders) request() {}
func (AddProvider) request()  {}
func (Ping) request()         {}

// A Response answers a [Request]. Which fields are in use depends on it.
type Response struct {
	Closer    []Peer  // of FindNode, GetValue, GetProviders: at most MaxCloser
	Providers []Peer  // of GetProviders: at most MaxProviders
	Record    *Record // of GetValue if there is one, of PutValue; its key is the one of the request

	// More are further records under the key, beside the best one, which is
	// Record: of GetValue, only beside a Record, and within the limits of
	// [PutValue]. The ones that were read share the Key of Record, in memory too. Other
	// implementations ignore them.
	More []Record
}

// A Peer is what a message holds of a peer.
type Peer struct {
	ID peer.ID

	// Addrs are the addresses, at most [MaxAddrs], without "/p2p/" and the ID at
	// their end.
	Addrs []multiaddr.Multiaddr

	Connection Connection

	// Certified is the signed peer record of the peer, in its envelope: addresses
	// that it has certified itself, and when. It has at most [MaxCertified] bytes, which
	// are not checked here. Other implementations ignore it, and send none.
	Certified []byte
}

// A Record is a value under a key.
type Record struct {
	Key, Value []byte // up to MaxKey and MaxValue bytes

	// TimeReceived is when the peer that sent it received the record. It is zero
	// if the peer does not say, or nothing that is a time.
	TimeReceived time.Time

	// Publisher is the ID of the peer that put the record first. It is not proved. Among
	// other implementations, only rust-libp2p sends it.
	Publisher []byte

	// TTL is the time until the record expires; zero if the peer does not say, and
	// never negative in a record that was read. It is written in whole seconds,
	// rounded down, from one second up to 136 years: a time that is over is written as
	// one second, since zero would mean that the peer does not say. Among other
	// implementations, only rust-libp2p sends it.
	TTL time.Duration
}

// A Connection is what a peer says of its connection to another one. It is a hint:
// js-libp2p always says NotConnected.
type Connection uint8

// Values of a [Connection]. Others, which the schema does not have, are read
// and written as NotConnected.
const (
	NotConnected  = Connection(pb.Message_NOT_CONNECTED)
	Connected     = Connection(pb.Message_CONNECTED)
	CanConnect    = Connection(pb.Message_CAN_CONNECT)
	CannotConnect = Connection(pb.Message_CANNOT_CONNECT)
)

// MaxResponse returns the size of the largest answer to a request that is worth reading. An
// answer with more can have nothing in it that is not left out, except where a list of providers
// or a record makes it large: there it is [MaxFrame].
func MaxResponse(r Request) int {
	switch r.(type) {
	case GetValue, GetProviders:
		return MaxFrame
	case FindNode:
		return MaxCloser*MaxPeer + maxBeside
	case PutValue:
		return MaxValue + maxBeside // it repeats the record
	case AddProvider, Ping:
	}
	return maxBeside
}

// maxBeside is room for what a message has besides its peers and its value: key and proof, and
// fields that we do not know.
const maxBeside = 64 << 10

// kind is the type of a message.
type kind = pb.Message_MessageType

// kindOf returns the type that r has on the wire.
func kindOf(r Request) kind {
	switch r.(type) {
	case FindNode:
		return pb.Message_FIND_NODE
	case GetValue:
		return pb.Message_GET_VALUE
	case PutValue:
		return pb.Message_PUT_VALUE
	case GetProviders:
		return pb.Message_GET_PROVIDERS
	case AddProvider:
		return pb.Message_ADD_PROVIDER
	case Ping:
		return pb.Message_PING
	}
	panic("protocol: nil Request") // the interface is sealed
}

// keyOf returns the key that r is about; nil for [Ping].
func keyOf(r Request) []byte {
	switch r := r.(type) {
	case FindNode:
		return r.Target
	case GetValue:
		return r.Key
	case PutValue:
		return r.Record.Key
	case GetProviders:
		return r.Key
	case AddProvider:
		return r.Key
	case Ping:
	}
	return nil
}

// Check returns the error with which [ParseRequest] would refuse r; nil if it would
// accept it. That is [ErrMalformed] without a key or with records of several keys, and
// [ErrTooLarge] if key, values, their number or the proof are over their limit.
func Check(r Request) error {
	s := sizes{key: len(keyOf(r))}
	switch r := r.(type) {
	case PutValue:
		s.records, s.values = 1+len(r.More), len(r.Record.Value)
		for i := range r.More {
			s.values += len(r.More[i].Value)
			if !sameKey(r.More[i].Key, r.Record.Key) {
				return errOtherKey(pb.Message_PUT_VALUE)
			}
		}
	case AddProvider:
		s.proof = len(r.Proof)
	case FindNode, GetValue, GetProviders, Ping:
	}
	return s.check(kindOf(r))
}

// errOtherKey returns the error for a request with a record of another key.
func errOtherKey(k kind) error {
	return fmt.Errorf("%w: %v with a record of another key", ErrMalformed, k)
}

// sizes are the sizes of a request that have limits. To check them copies nothing.
type sizes struct {
	key     int // bytes
	values  int // bytes, of all records together
	records int
	proof   int // bytes
}

// check applies the limits of requests of type k.
func (s sizes) check(k kind) error {
	limit := MaxKey
	switch k {
	case pb.Message_PING:
		return nil
	case pb.Message_GET_PROVIDERS, pb.Message_ADD_PROVIDER:
		limit = MaxProviderKey
	case pb.Message_PUT_VALUE, pb.Message_GET_VALUE, pb.Message_FIND_NODE:
	}
	switch {
	case s.key == 0:
		return fmt.Errorf("%w: %v without a key", ErrMalformed, k)
	case s.key > limit:
		return fmt.Errorf("%w: %v with a key of %d bytes, limit is %d", ErrTooLarge, k, s.key, limit)
	case s.records > MaxRecords:
		return fmt.Errorf("%w: %v with %d records, limit is %d", ErrTooLarge, k, s.records, MaxRecords)
	case s.values > MaxValue:
		return fmt.Errorf("%w: %v with %d bytes of value, limit is %d", ErrTooLarge, k, s.values, MaxValue)
	case s.proof > MaxProof:
		return fmt.Errorf("%w: %v with a proof of %d bytes, limit is %d", ErrTooLarge, k, s.proof, MaxProof)
	}
	return nil
}
