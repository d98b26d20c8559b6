package net_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/itest/internal/race"
)

const (
	// millionPublisher has the directory of the process that publishes, and the address through
	// which it joins.
	millionPublisher = "KAD_MILLION_PUBLISHER"

	// millionPeers is how many nodes there are if KAD_MILLION is set.
	millionPeers = 200
)

// numbered returns the content with a number.
func numbered(i int) cid.Cid {
	hash, err := multihash.Encode(binary.BigEndian.AppendUint64(make([]byte, 24, 32), uint64(i)), multihash.SHA2_256)
	if err != nil {
		panic(err) // there is such a hash
	}
	return cid.NewCidV1(cid.Raw, hash)
}

// TestMillionPublisher is the process of the publisher of [TestMillion], and no test. It announces
// the contents with the numbers that it reads, and prints the number of each that is announced,
// and the memory of the process.
func TestMillionPublisher(t *testing.T) {
	if os.Getenv(millionPublisher) == "" {
		t.Skip("it is the publisher of TestMillion")
	}
	if err := publishNumbers(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func publishNumbers(ctx context.Context) error {
	dir, addr, _ := strings.Cut(os.Getenv(millionPublisher), " ")
	key, err := crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, ed25519.SeedSize)))
	if err != nil {
		return err
	}
	first, err := peer.AddrInfoFromString(addr)
	if err != nil {
		return err
	}
	h, err := libp2p.New(libp2p.Identity(key), libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"))
	if err != nil {
		return err
	}
	defer h.Close()
	d, err := kad.New(h, kad.Config{Network: "/itest", Dir: dir, Bootstrap: []peer.AddrInfo{*first}})
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Ready(ctx); err != nil {
		return err
	}
	fmt.Println("publisher", h.ID())
	requests, began, used := d.Stats().Requests, time.Now(), processTime()
	in := bufio.NewScanner(os.Stdin)
	out := bufio.NewWriter(os.Stdout)
	done := 0
	for p := range d.AnnounceMany(ctx, func(yield func(cid.Cid) bool) {
		for in.Scan() {
			if i, err := strconv.Atoi(in.Text()); err != nil || !yield(numbered(i)) {
				return
			}
		}
	}) {
		if p.Err != nil {
			return p.Err
		}
		_, _ = fmt.Fprintln(out, "done", binary.BigEndian.Uint64(p.Content.Hash()[26:]))
		if done++; done%100 == 0 {
			memory, most := residentMemory()
			_, _ = fmt.Fprintln(out, "memory", memory, most)
			_ = out.Flush()
		}
	}
	_, _ = fmt.Fprintln(out, "end", d.Stats().Publications, d.Stats().Requests-requests,
		(processTime() - used).Milliseconds(), time.Since(began).Milliseconds())
	return errors.Join(in.Err(), out.Flush())
}

// residentMemory returns the memory of the process without parts of files, and the most that it
// had with these, in MiB; 0 where there is no /proc.
func residentMemory() (anonymous, most int) {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		_, _ = fmt.Sscanf(line, "RssAnon: %d kB", &anonymous)
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &most)
	}
	return anonymous >> 10, most >> 10
}

// A million is what TestMillion does, with what it has seen.
type million struct {
	dir, addr string
	publisher peer.ID
	done      []bool // contents that were announced
	count     int    // how many of them
	memory    int    // the most that the process had, in MiB
	began     time.Time
}

// newMillion has nothing announced yet. Without a directory, the publisher keeps nothing.
func newMillion(f *fleet, dir string, count int) *million {
	first := f.hosts[0]
	return &million{dir: dir, addr: fmt.Sprintf("%s/p2p/%s", first.Addrs()[0], first.ID()), done: make([]bool, count), began: time.Now()}
}

// BenchmarkPublish announces contents to 200 nodes with sockets, from a process of its own, of
// which it tells the processor's time. The nodes have the same processors.
func BenchmarkPublish(b *testing.B) {
	f := launchMany(b, millionPeers, 1)
	for _, count := range []int{1000, 10_000} {
		b.Run(strconv.Itoa(count), func(b *testing.B) {
			var requests, cpu, wall float64
			for range b.N {
				var publications, r, c, w int
				ended := newMillion(f, "", count).publish(b, count+1)
				if _, err := fmt.Sscan(ended, &publications, &r, &c, &w); err != nil || publications != count {
					b.Fatalf("the publisher ended with %q", ended)
				}
				requests, cpu, wall = requests+float64(r), cpu+float64(c), wall+float64(w)
			}
			runs := float64(b.N)
			b.ReportMetric(requests/runs/float64(count), "requests/key")
			b.ReportMetric(cpu/runs, "cpu-ms")
			b.ReportMetric(wall/runs, "wall-ms")
		})
	}
}

// TestMillion announces contents, from a process with a directory to nodes with sockets, and kills
// that process in the middle. Each content is found after it. If KAD_MILLION says how many contents
// there are, there are 200 nodes, which need the machine for themselves.
func TestMillion(t *testing.T) {
	if race.Enabled {
		t.Skip("the race detector watches the same code in the tests of the rooms")
	}
	count, peers := 5000, 12
	if want := os.Getenv("KAD_MILLION"); want != "" {
		var err error
		if count, err = strconv.Atoi(want); err != nil {
			t.Fatal("KAD_MILLION is no number of contents")
		}
		peers = millionPeers
	}
	f := launchMany(t, peers, 1)
	m := newMillion(f, t.TempDir(), count)
	m.publish(t, count/2)
	m.publish(t, count+1)
	held := 0
	for _, d := range f.nodes {
		held += d.Stats().Providers
	}
	t.Logf("%d of %d contents, %.2f copies of each; the publisher had up to %d MiB", m.count, count, float64(held)/float64(count), m.memory)
	if m.count < count {
		t.Errorf("%d of %d contents were announced", m.count, count)
	}
	const sample = 1000
	missing := 0
	for _, i := range rand.New(rand.NewPCG(1, 1)).Perm(count)[:min(sample, count)] {
		found := false
		for p, err := range f.pick().Providers(t.Context(), numbered(i), 1) {
			found = found || err == nil && p.ID == m.publisher
		}
		if !found {
			missing++
		}
	}
	t.Logf("%d of %d contents are not found", missing, min(sample, count))
	if missing > 0 {
		t.Errorf("%d of %d contents are not found", missing, min(sample, count))
	}
}

// publish runs the process of the publisher, with the contents that were not announced, and kills
// it when so many are. It returns what the process has told at its end.
func (m *million) publish(t testing.TB, until int) (ended string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMillionPublisher$", "-test.timeout=0")
	cmd.Env = append(os.Environ(), millionPublisher+"="+m.dir+" "+m.addr)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	began, from := time.Now(), m.count
	given := make(chan struct{})
	go func() {
		defer close(given)
		writeNumbers(in, m.undone())
	}()
	killed := false
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // the last line of a process that was killed may be cut
		}
		what, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		switch what {
		case "publisher":
			if m.publisher, err = peer.Decode(rest); err != nil {
				t.Fatal(err)
			}
		case "done":
			m.settle(t, rest)
		case "memory":
			var anonymous, most int
			_, _ = fmt.Sscan(rest, &anonymous, &most)
			m.memory = max(m.memory, anonymous)
		case "end":
			ended = rest
		default:
			t.Log(line)
		}
		if m.count >= until && !killed {
			killed = cmd.Process.Kill() == nil
		}
	}
	<-given
	if err := cmd.Wait(); (err != nil) != killed {
		t.Errorf("the publisher ended with %v", err)
	}
	t.Logf("%d contents in %v; publications, requests, and ms of processors and of time of the process: %s",
		m.count-from, time.Since(began).Round(time.Millisecond), ended)
	return ended
}

// settle takes in that a content was announced.
func (m *million) settle(t testing.TB, number string) {
	t.Helper()
	i, err := strconv.Atoi(number)
	if err != nil || m.done[i] {
		t.Errorf("announced %q, again: %v", number, err)
		return
	}
	m.done[i] = true
	if m.count++; m.count%max(1, len(m.done)/20) == 0 {
		t.Logf("%d of %d contents are announced after %v; the process has %d MiB", m.count, len(m.done), time.Since(m.began).Round(time.Second), m.memory)
	}
}

// undone returns the numbers of the contents that were not announced.
func (m *million) undone() []int {
	var list []int
	for i, done := range m.done {
		if !done {
			list = append(list, i)
		}
	}
	return list
}

// writeNumbers writes numbers, and ends when nothing reads them.
func writeNumbers(to io.WriteCloser, numbers []int) {
	defer to.Close()
	w := bufio.NewWriter(to)
	for _, i := range numbers {
		if _, err := fmt.Fprintln(w, i); err != nil {
			return
		}
	}
	_ = w.Flush()
}
