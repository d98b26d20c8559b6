package table

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/host/internal/call/calltest"
)

// BenchmarkContact measures what a contact takes.
func BenchmarkContact(b *testing.B) {
	var peers, contacts float64
	for range b.N {
		peer, contact := footprint(b)
		peers, contacts = peers+float64(peer), contacts+float64(contact)
	}
	b.ReportMetric(contacts/float64(b.N), "B-of-table/contact")
	b.ReportMetric((peers+contacts)/float64(b.N), "B/contact")
}

func TestFootprint(t *testing.T) {
	const most = 580 // 522 bytes; 666 if an encoded announcement has spare bytes
	if _, contact := footprint(t); contact > most {
		t.Errorf("a contact takes %d bytes of the table", contact)
	}
}

// footprint returns how many bytes a contact with four addresses takes: of the peerstore of the
// host, which has its addresses while it is connected and for 15 minutes after it, and of the table.
func footprint(t testing.TB) (ofPeerstore, ofTable uint64) {
	t.Helper()
	const size = 1000
	f := newTable(t, Config{K: 2 * size})
	used := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	know := func(i int) {
		var addrs []multiaddr.Multiaddr
		for _, form := range []string{
			"/ip4/8.8.%d.%d/tcp/4001", "/ip4/8.8.%d.%d/udp/4001/quic-v1",
			"/ip6/2a00::%d:%d/tcp/4001", "/ip6/2a00::%d:%d/udp/4001/quic-v1",
		} {
			addrs = append(addrs, multiaddr.StringCast(fmt.Sprintf(form, i>>8, i&255)))
		}
		f.host.Peerstore().AddAddrs(calltest.ID(i), addrs, peerstore.ConnectedAddrTTL)
		f.speak(t, calltest.ID(i), testProtocol)
	}
	for i := range size { // what is there once, whatever the number of contacts
		know(i + 1)
		f.answer(calltest.ID(i + 1))
	}
	begin := used()
	for i := range size {
		know(i + 1 + size)
	}
	known := used()
	for i := range size {
		f.answer(calltest.ID(i + 1 + size))
	}
	contacts := used()
	if held := f.contacts.Len(); held != 2*size {
		t.Fatalf("%d contacts", held)
	}
	return (known - begin) / size, (contacts - known) / size
}
