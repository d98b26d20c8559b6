package gossip

import (
	"encoding/binary"
	"errors"
)

// The kinds of frames.
const (
	frameMessage = 'm' // number is that of the message
	frameHello   = 'h' // number is that of the next message
)

// A frame is a message as it is on the wire: its kind, the session and the number as
// unsigned varints, and the data.
type frame struct {
	kind    byte
	session uint64 // drawn when the peer joined: numbers begin at 1 again
	number  uint64 // among the messages of the peer, from 1 on
	data    []byte
}

// errFrame is why a frame is refused.
var errFrame = errors.New("gossip: not a message of this package")

func (f frame) marshal() []byte {
	b := binary.AppendUvarint([]byte{f.kind}, f.session)
	return append(binary.AppendUvarint(b, f.number), f.data...)
}

// parseFrame reads a frame of any peer. The data is not copied.
func parseFrame(b []byte) (frame, error) {
	if len(b) == 0 || (b[0] != frameMessage && b[0] != frameHello) {
		return frame{}, errFrame
	}
	f := frame{kind: b[0]}
	for _, field := range []*uint64{&f.session, &f.number} {
		v, n := binary.Uvarint(b[1:])
		if n <= 0 {
			return frame{}, errFrame
		}
		*field, b = v, b[n:]
	}
	if f.number == 0 {
		return frame{}, errFrame
	}
	f.data = b[1:]
	return f, nil
}
