package reach

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"net"
	"net/netip"
	"time"
)

const (
	// smallProbe and fullProbe are the sizes of packets that are sent, without the headers of UDP
	// and IP: the smallest one that QUIC servers answer (RFC 9000, section 14.1), and the one with
	// which quic-go begins a connection.
	smallProbe = 1200
	fullProbe  = 1280

	// probes is how often each is sent, and probePause how long an answer may take each time.
	probes     = 3
	probePause = 500 * time.Millisecond

	// probeVersion is a version of QUIC that no server speaks (RFC 9000, section 15).
	probeVersion = 0x1a2a3a4a
)

// ProbeUDP asks servers of QUIC for the versions that they speak, with small packets, and with
// packets as large as those with which a connection begins, which are not split on their way
// where the system can be told so (Linux). It returns which of both were answered, after 1.5 s
// at most, or when ctx ends. It uses a socket of its own.
func ProbeUDP(ctx context.Context, servers []netip.AddrPort) (small, full bool) {
	socket, err := net.ListenUDP("udp", nil)
	if err != nil {
		return false, false
	}
	defer socket.Close() //nolint:errcheck // nothing is lost
	dontSplit(socket)
	var nonce [8]byte
	_, _ = rand.Read(nonce[:])
	for range probes {
		for _, to := range servers {
			for _, size := range []int{smallProbe, fullProbe} {
				_, _ = socket.WriteToUDPAddrPort(probe(nonce, size), to) // what is too large is not sent
			}
		}
		s, f := hear(ctx, socket, nonce)
		small, full = small || s, full || f
		if full || ctx.Err() != nil {
			break
		}
	}
	return small, full
}

// hear reads answers for probePause, or until there is one to a full packet.
func hear(ctx context.Context, socket *net.UDPConn, nonce [8]byte) (small, full bool) {
	ctx, cancel := context.WithTimeout(ctx, probePause)
	defer cancel()
	_ = socket.SetReadDeadline(time.Time{})
	defer context.AfterFunc(ctx, func() { _ = socket.SetReadDeadline(time.Unix(1, 0)) })()
	buf := make([]byte, fullProbe)
	for !full {
		n, _, err := socket.ReadFromUDPAddrPort(buf)
		if err != nil {
			break
		}
		switch answered(nonce, buf[:n]) {
		case smallProbe:
			small = true
		case fullProbe:
			small, full = true, true
		}
	}
	return small, full
}

// probe returns a packet that asks for versions. The ID of its sender, which is repeated in the
// answer, has the size of the packet.
func probe(nonce [8]byte, size int) []byte {
	b := make([]byte, 0, size)
	b = append(b, 0xc0)
	b = binary.BigEndian.AppendUint32(b, probeVersion)
	b = append(append(b, byte(len(nonce))), nonce[:]...)
	b = append(binary.BigEndian.AppendUint16(append(b, byte(2+len(nonce))), uint16(size)), nonce[:]...) //nolint:gosec // at most fullProbe
	return b[:size]
}

// answered returns the size of the packet that a packet answers; 0 if it is no answer.
func answered(nonce [8]byte, b []byte) int {
	const id = 1 + 4 + 1 // where the ID of the receiver begins
	if len(b) < id+2+len(nonce) || b[0]&0x80 == 0 || !bytes.Equal(b[1:5], make([]byte, 4)) ||
		b[5] != byte(2+len(nonce)) || !bytes.Equal(b[id+2:id+2+len(nonce)], nonce[:]) {
		return 0
	}
	return int(binary.BigEndian.Uint16(b[id:]))
}
