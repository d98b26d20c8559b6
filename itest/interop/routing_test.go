package interop_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/boxo/ipns"
	"github.com/ipfs/boxo/path"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multihash"

	"github.com/go-kad/kad/itest/internal/program"

	"github.com/go-kad/kad/itest/internal/need"
)

// A process is one of examples/node.
type process struct {
	ID           string
	Addrs        []string
	API, Routing string
}

// run starts a process of examples/node, which ends with the test.
func run(t *testing.T, built string, args ...string) (p process) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), built, append([]string{"--listen", tcp, "--ipfs-validators"}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = patience
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	first, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(first, &p)
	}
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// call calls the API of a process.
func (p process) call(t *testing.T, method, path string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.API+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if text, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s %s %v", method, path, resp.Status, text, err)
	}
}

// helia runs Helia's client of delegated routing, and returns what it was told.
func helia(t *testing.T, args ...string) (told struct {
	Error                     string
	Providers, Peers, Closest []jsPeerInfo
	Record                    []byte
},
) {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		need.Missing(t, "js", "node missing: install nodejs and npm")
	}
	if _, err := os.Stat(filepath.Join("js", "node_modules", "@helia")); err != nil {
		need.Missing(t, "js", "node_modules missing: run `npm ci` in itest/interop/js")
	}
	cmd := exec.CommandContext(t.Context(), node, append([]string{"routing.mjs"}, args...)...)
	cmd.Dir = "js"
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, &told)
	}
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, out, &stderr)
	}
	return told
}

// Helia, which knows the URL of one node alone, finds providers, peers and the closest peers,
// and publishes and resolves a name. At the address for strangers, it finds the same, and
// cannot publish.
func TestHeliaRoutes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no SIGINT")
	}
	built := program.Build(t, "./examples/node")
	first := run(t, built, "--network", "/interop", "--routing-v1", "--routing-listen", "127.0.0.1:0")
	second := run(t, built, "--network", "/interop", "--join", first.Addrs[0])
	third := run(t, built, "--network", "/interop", "--join", first.Addrs[0])
	for _, p := range []process{first, second, third} {
		p.call(t, http.MethodGet, "/v1/ready")
	}
	hash, err := multihash.Sum([]byte("a content"), multihash.SHA2_256, -1)
	if err != nil {
		t.Fatal(err)
	}
	content := cid.NewCidV1(cid.Raw, hash).String()
	second.call(t, http.MethodPost, "/v1/provide?cid="+content)
	target, err := peer.Decode(third.ID)
	if err != nil {
		t.Fatal(err)
	}
	name, record := newName(t, content)

	api := helia(t, first.API, content, peer.ToCid(target).String(), name, base64.StdEncoding.EncodeToString(record))
	public := helia(t, first.Routing, content, peer.ToCid(target).String(), name)
	for url, told := range map[string]struct {
		err                       string
		providers, peers, closest []jsPeerInfo
		record                    []byte
	}{
		first.API:     {api.Error, api.Providers, api.Peers, api.Closest, api.Record},
		first.Routing: {public.Error, public.Providers, public.Peers, public.Closest, public.Record},
	} {
		if told.err != "" {
			t.Errorf("%s: %s", url, told.err)
		}
		if len(told.providers) != 1 || told.providers[0].ID != second.ID || len(told.providers[0].Addrs) == 0 {
			t.Errorf("%s: the providers are %v, want %s", url, told.providers, second.ID)
		}
		if len(told.peers) != 1 || told.peers[0].ID != third.ID || !slices.Contains(third.Addrs, told.peers[0].Addrs[0]+"/p2p/"+third.ID) {
			t.Errorf("%s: the peer is %v, want %s at %v", url, told.peers, third.ID, third.Addrs)
		}
		if !slices.ContainsFunc(told.closest, func(p jsPeerInfo) bool { return p.ID == third.ID }) {
			t.Errorf("%s: the closest peers are %v, want %s among them", url, told.closest, third.ID)
		}
		if !bytes.Equal(told.record, record) {
			t.Errorf("%s: the name has another record", url)
		}
	}
	other, its := newName(t, content)
	refused := helia(t, first.Routing, content, peer.ToCid(target).String(), other, base64.StdEncoding.EncodeToString(its))
	if !strings.Contains(refused.Error, "PUT ipns") {
		t.Errorf("a stranger publishes: %q", refused.Error)
	}
}

// newName returns a new IPNS name, as a CID, and its record, which points to a content.
func newName(t *testing.T, content string) (name string, record []byte) {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	to, err := path.NewPath("/ipfs/" + content)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := ipns.NewRecord(key, to, 1, time.Now().Add(time.Hour), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if record, err = ipns.MarshalRecord(signed); err != nil {
		t.Fatal(err)
	}
	return ipns.NameFromPeer(id).Cid().String(), record
}
