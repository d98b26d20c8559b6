package interop_test

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/path"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// A triangle is a holder, which serves; a writer, which does not and is
// connected to the holder alone; and a reader, which comes later and knows the
// holder alone. The writer is in no table, so whatever the reader gets went
// through the holder.
type triangle struct{ writer, holder, reader kind }

func (tr triangle) String() string {
	return fmt.Sprintf("%s write, %s hold, %s read", tr.writer, tr.holder, tr.reader)
}

// TestTriangle runs all triangles with both implementations in them.
func TestTriangle(t *testing.T) {
	kinds := []kind{ours, theirs}
	eachTransport(t, func(t *testing.T, listen string) {
		for _, writer := range kinds {
			for _, holder := range kinds {
				for _, reader := range kinds {
					if writer == holder && holder == reader {
						continue
					}
					tr := triangle{writer, holder, reader}
					t.Run(tr.String(), func(t *testing.T) { tr.run(t, listen) })
				}
			}
		}
	})
}

func (tr triangle) run(t *testing.T, listen string) {
	holder := start(t, tr.holder, setup{listen: listen})
	writer := start(t, tr.writer, setup{listen: listen, client: true})
	introduce(t, writer, holder)

	values := make(map[string][]byte)
	put := func(key string, value []byte) {
		t.Helper()
		if err := writer.PutValue(patient(t), key, value); err != nil {
			t.Fatalf("put %q: %v", key, err)
		}
		values[key] = value
	}
	put("/v/some", []byte("1"))
	put("/v/some", []byte("2")) // better
	put("/v/large", bytes.Repeat([]byte("x"), 60_000))
	put(publicKey(t))
	key, older, newer := name(t)
	put(key, older)
	put(key, newer)

	content := contentOf(t, "content")
	if err := writer.announce(patient(t), content); err != nil {
		t.Fatalf("provide: %v", err)
	}
	const room = "a room"
	if ttl, err := writer.Advertise(patient(t), room); err != nil || ttl <= 0 {
		t.Fatalf("advertise: %v, %v", ttl, err)
	}

	reader := start(t, tr.reader, setup{listen: listen})
	introduce(t, reader, holder)
	if err := holder.admitted(patient(t), reader.Host().ID()); err != nil {
		t.Errorf("the holder does not admit the reader: %v", err)
	}
	for key, want := range values {
		if got, err := reader.GetValue(patient(t), key); err != nil || !bytes.Equal(got, want) {
			t.Errorf("get %q: %d bytes %.20q, %v; want %d bytes %.20q", key, len(got), got, err, len(want), want)
		}
	}
	if got, err := reader.GetValue(patient(t), "/v/nothing"); err == nil {
		t.Errorf("get of what was never put: %q", got)
	}

	var providers []peer.AddrInfo
	for info := range reader.FindProvidersAsync(patient(t), content, 0) {
		providers = append(providers, info)
	}
	checkOnly(t, "find providers", providers, writer)
	var members []peer.AddrInfo
	found, err := reader.FindPeers(patient(t), room)
	if err != nil {
		t.Fatalf("discover: %v", err)
	}
	for info := range found {
		members = append(members, info)
	}
	checkOnly(t, "discover", members, writer)
	info, err := reader.FindPeer(patient(t), writer.Host().ID())
	if err != nil {
		t.Fatalf("find a client: %v", err)
	}
	checkOnly(t, "find a client", []peer.AddrInfo{info}, writer)

	closest, err := reader.closest(patient(t), []byte("some key"))
	if want := []peer.ID{holder.Host().ID()}; err != nil || !slices.Equal(closest, want) {
		t.Errorf("the closest peers are %v, %v; want the holder alone: the writer does not serve", closest, err)
	}
	for _, n := range []node{holder, reader} {
		if slices.Contains(n.contacts(), writer.Host().ID()) {
			t.Errorf("a client is in the table of %v", n.Host().ID())
		}
	}
}

// checkOnly checks that infos are a node, where it listens, and nothing else.
func checkOnly(t *testing.T, what string, infos []peer.AddrInfo, want node) {
	t.Helper()
	if len(infos) != 1 || infos[0].ID != want.Host().ID() {
		t.Errorf("%s: %v, want %v", what, infos, want.Host().ID())
		return
	}
	for _, addr := range want.Host().Addrs() {
		if !slices.ContainsFunc(infos[0].Addrs, addr.Equal) {
			t.Errorf("%s: the addresses are %v, without %v", what, infos[0].Addrs, addr)
		}
	}
}

// publicKey returns a record of a public key that is not contained in the ID of
// its peer.
func publicKey(t *testing.T) (key string, value []byte) {
	t.Helper()
	_, public, err := crypto.GenerateRSAKeyPair(2048, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	value, err = crypto.MarshalPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return "/pk/" + string(id), value
}

// name returns two IPNS records for one name, the second newer than the first.
func name(t *testing.T) (key string, older, newer []byte) {
	t.Helper()
	private, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	to := path.FromCid(contentOf(t, "a page"))
	records := make([][]byte, 2)
	for i := range records {
		rec, err := ipns.NewRecord(private, to, uint64(i), time.Now().Add(time.Hour), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if records[i], err = ipns.MarshalRecord(rec); err != nil {
			t.Fatal(err)
		}
	}
	return string(ipns.NameFromPeer(id).RoutingKey()), records[0], records[1]
}
