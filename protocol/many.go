package protocol

import (
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// Numbers of the fields of the messages Many and Outcomes, as in the schema of package pb.
const (
	fieldRequests protowire.Number = 1
	fieldCodes    protowire.Number = 1
)

// AppendManyFrame appends the frame of several requests that store something, [PutValue] and
// [AddProvider], in one message of the protocol for many. It writes any number of them:
// [SplitMany] refuses more than [MaxMany].
func AppendManyFrame(dst []byte, reqs []Request) []byte {
	start := len(dst)
	dst = openFrame(dst)
	for _, r := range reqs {
		dst = protowire.AppendTag(dst, fieldRequests, protowire.BytesType)
		dst = AppendRequestFrame(dst, r) // a message in a message begins with its length, as a frame does
	}
	return closeFrame(dst, start)
}

// SplitMany returns the messages of the requests in a message of the protocol for many, for
// [RequestParser.Parse]. They refer to msg. The error is [ErrMalformed] if msg is no message
// or has no request, and [ErrTooLarge] if it has more than [MaxMany].
func SplitMany(msg []byte) ([][]byte, error) {
	count := 0
	f := walk(msg, maxManyFields)
	for f.next() {
		if _, ok := f.bytes(fieldRequests); ok {
			count++
		}
	}
	switch {
	case f.bad:
		return nil, fmt.Errorf("%w: not protobuf", ErrMalformed)
	case count == 0:
		return nil, fmt.Errorf("%w: no request among many", ErrMalformed)
	case count > MaxMany:
		return nil, fmt.Errorf("%w: %d requests in a message, limit is %d", ErrTooLarge, count, MaxMany)
	}
	requests := make([][]byte, 0, count)
	for f = walk(msg, maxManyFields); f.next(); {
		if request, ok := f.bytes(fieldRequests); ok {
			requests = append(requests, request)
		}
	}
	return requests, nil
}

// AppendOutcomesFrame appends the frame of the answer to many requests: a code for each, in
// their order. It is 0 if what the request brought is stored, and else says why not; package
// protocol gives codes no meaning.
func AppendOutcomesFrame(dst []byte, codes []uint32) []byte {
	start := len(dst)
	dst = openFrame(dst)
	size := 0
	for _, c := range codes {
		size += protowire.SizeVarint(uint64(c))
	}
	dst = protowire.AppendTag(dst, fieldCodes, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(size))
	for _, c := range codes {
		dst = protowire.AppendVarint(dst, uint64(c))
	}
	return closeFrame(dst, start)
}

// ParseOutcomes reads the answer to so many requests. The error is [ErrMalformed] if msg is no
// message, or has another number of codes.
func ParseOutcomes(msg []byte, requests int) ([]uint32, error) {
	codes := make([]uint32, 0, requests)
	add := func(n uint64) bool {
		if len(codes) == requests {
			return false
		}
		codes = append(codes, uint32(n)) //nolint:gosec // cut to 32 bits, as protobuf has it
		return true
	}
	f := walk(msg, maxOther+requests)
	for f.next() {
		if n, ok := f.varint(fieldCodes); ok && !add(n) {
			return nil, errOutcomes(requests)
		}
		packed, ok := f.bytes(fieldCodes)
		for ok && len(packed) > 0 {
			n, size := protowire.ConsumeVarint(packed)
			if size < 0 {
				return nil, fmt.Errorf("%w: not protobuf", ErrMalformed)
			}
			if !add(n) {
				return nil, errOutcomes(requests)
			}
			packed = packed[size:]
		}
	}
	switch {
	case f.bad:
		return nil, fmt.Errorf("%w: not protobuf", ErrMalformed)
	case len(codes) != requests:
		return nil, errOutcomes(requests)
	}
	return codes, nil
}

// errOutcomes returns the error for an answer with another number of outcomes than requests.
func errOutcomes(requests int) error {
	return fmt.Errorf("%w: not one outcome for each of %d requests", ErrMalformed, requests)
}
