package nat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A delay holds back what is forwarded in a namespace. The kernel puts each packet
// into a queue and tells us its number; the packet goes on when we say so.
type delay struct {
	socket *os.File
	lost   atomic.Uint32 // in thousandths of the packets
	held   chan heldPacket
	ended  sync.WaitGroup
}

// A heldPacket is a packet in the queue of the kernel.
type heldPacket struct {
	id  uint32
	due time.Time
}

// queueLength is how many packets there can be in the queue. The kernel drops what
// is beyond it.
const queueLength = 1 << 15

// newDelay delays what is forwarded in ns by latency.
func newDelay(ns *namespace, latency time.Duration) (*delay, error) {
	d := &delay{held: make(chan heldPacket, queueLength)}
	if err := ns.do(d.open); err != nil {
		return nil, fmt.Errorf("the queue for the latency: %w", err)
	}
	if err := ns.iptables("*filter", "-A FORWARD -j NFQUEUE --queue-num 0", "COMMIT"); err != nil {
		return nil, errors.Join(err, d.socket.Close())
	}
	d.ended.Go(func() { d.take(latency) })
	d.ended.Go(d.release)
	return d, nil
}

// close stops delaying: what is in the queue is lost, and what comes then, too.
func (d *delay) close() {
	_ = d.socket.Close()
	d.ended.Wait()
}

// What nfnetlink_queue.h of Linux defines, and package unix does not.
const (
	queuePacket  = 0 // from the kernel: a packet is in the queue
	queueVerdict = 1 // to the kernel: what becomes of it
	queueConfig  = 2 // to the kernel

	attrPacket  = 1 // of a packet: what it is, beginning with its number
	attrVerdict = 2 // of a verdict

	attrCommand = 1 // of the configuration
	attrCopy    = 2
	attrLength  = 3
	attrMask    = 4
	attrFlags   = 5

	commandBind = 1
	copyMeta    = 1 // tell the numbers of packets, not what is in them
	flagGSO     = 4 // do not split segments that are joined
	drop        = 0 // a verdict
	accept      = 1 // another one

	headerLength = unix.NLMSG_HDRLEN + 4 // of a message of nfnetlink
)

// open opens the socket to queue 0 of the namespace of this thread.
func (d *delay) open() error {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_NETFILTER)
	if err != nil {
		return err
	}
	d.socket = os.NewFile(uintptr(fd), "nfqueue")
	big := binary.BigEndian
	err = errors.Join(
		unix.Bind(fd, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20),
		unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_NO_ENOBUFS, 1),
		d.configure(
			attribute(attrCommand, []byte{commandBind, 0, 0, 0}),
			attribute(attrCopy, append(big.AppendUint32(nil, 0), copyMeta)),
			attribute(attrLength, big.AppendUint32(nil, queueLength)),
			attribute(attrMask, big.AppendUint32(nil, flagGSO)),
			attribute(attrFlags, big.AppendUint32(nil, flagGSO)),
		),
	)
	if err != nil {
		return errors.Join(err, d.socket.Close())
	}
	return nil
}

// configure sends the configuration of the queue, and waits for the answer.
func (d *delay) configure(attributes ...[]byte) error {
	if _, err := d.socket.Write(message(queueConfig, unix.NLM_F_REQUEST|unix.NLM_F_ACK, attributes...)); err != nil {
		return err
	}
	answer := make([]byte, os.Getpagesize())
	n, err := d.socket.Read(answer)
	if err != nil {
		return err
	}
	native := binary.NativeEndian
	if n < unix.NLMSG_HDRLEN+4 || native.Uint16(answer[4:]) != unix.NLMSG_ERROR {
		return fmt.Errorf("the kernel answers %x", answer[:n])
	}
	if code := -native.Uint32(answer[unix.NLMSG_HDRLEN:]); code != 0 { // it is negative
		return unix.Errno(code)
	}
	return nil
}

// take notes which packets come, until the socket is closed.
func (d *delay) take(latency time.Duration) {
	defer close(d.held)
	buf := make([]byte, 1<<18)
	for {
		n, err := d.socket.Read(buf)
		if err != nil {
			return
		}
		due := time.Now().Add(latency)
		for _, id := range packets(buf[:n]) {
			d.held <- heldPacket{id, due}
		}
	}
}

// release lets packets go when they are due. All wait for the same time, so they
// are due in the order in which they came.
func (d *delay) release() {
	for p := range d.held {
		time.Sleep(time.Until(p.due))
		what := uint32(accept)
		if rand.Uint32N(1000) < d.lost.Load() {
			what = drop
		}
		verdict := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, what), p.id)
		_, _ = d.socket.Write(message(queueVerdict, unix.NLM_F_REQUEST, attribute(attrVerdict, verdict))) // it fails when closed
	}
}

// message returns a message to queue 0.
func message(kind, flags uint16, attributes ...[]byte) []byte {
	native := binary.NativeEndian
	b := native.AppendUint32(nil, 0) // the length
	b = native.AppendUint16(b, unix.NFNL_SUBSYS_QUEUE<<8|kind)
	b = native.AppendUint16(b, flags)
	b = append(b, make([]byte, 8)...) // sequence number and port: not needed
	b = append(b, unix.AF_UNSPEC, unix.NFNETLINK_V0, 0, 0 /* the queue */)
	for _, a := range attributes {
		b = append(b, a...)
	}
	native.PutUint32(b, uint32(len(b))) //nolint:gosec // a few bytes
	return b
}

// attribute returns an attribute of a message.
func attribute(kind uint16, value []byte) []byte {
	native := binary.NativeEndian
	b := native.AppendUint16(nil, uint16(4+len(value))) //nolint:gosec // a few bytes
	b = append(native.AppendUint16(b, kind), value...)
	return append(b, make([]byte, padded(len(b))-len(b))...)
}

// packets returns the numbers of the packets that messages of the kernel tell of.
func packets(b []byte) []uint32 {
	native := binary.NativeEndian
	var ids []uint32
	for len(b) >= headerLength {
		length := int(native.Uint32(b))
		if length < headerLength || length > len(b) {
			break
		}
		if native.Uint16(b[4:]) == unix.NFNL_SUBSYS_QUEUE<<8|queuePacket {
			ids = append(ids, packetID(b[headerLength:length])...)
		}
		b = b[min(padded(length), len(b)):]
	}
	return ids
}

// packetID returns the number of a packet, if it is among its attributes.
func packetID(b []byte) []uint32 {
	for len(b) >= 4 {
		length := int(binary.NativeEndian.Uint16(b))
		if length < 4 || length > len(b) {
			break
		}
		if binary.NativeEndian.Uint16(b[2:])&^unix.NLA_F_NESTED == attrPacket && length >= 8 {
			return []uint32{binary.BigEndian.Uint32(b[4:])}
		}
		b = b[min(padded(length), len(b)):]
	}
	return nil
}

// padded is the length of what netlink aligns.
func padded(n int) int { return (n + 3) &^ 3 }
