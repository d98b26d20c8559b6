package interop_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"

	"github.com/go-kad/kad/itest/internal/need"
)

// A jsPeer is a node of js-libp2p in a process of its own; see js/peer.mjs.
type jsPeer struct {
	info peer.AddrInfo

	process *os.Process
	in      io.Writer
	out     *bufio.Scanner
}

// A jsPeerInfo is a peer as JavaScript writes it.
type jsPeerInfo struct {
	ID    string   `json:"id"`
	Addrs []string `json:"addrs"`
}

// A jsCommand is a line that a jsPeer reads. Only what a command needs is set.
type jsCommand struct {
	Command string   `json:"command"`
	Addrs   []string `json:"addrs,omitempty"`
	ID      string   `json:"id,omitempty"`
	CID     string   `json:"cid,omitempty"`
	Key     []byte   `json:"key,omitempty"`
	Value   []byte   `json:"value"`
}

// A jsAnswer is a line that a jsPeer writes.
type jsAnswer struct {
	Error string       `json:"error"`
	Value []byte       `json:"value"`
	Peers []jsPeerInfo `json:"peers"`
}

// startJS starts a peer that is a server or a client. It ends with the test.
func startJS(t *testing.T, mode string) *jsPeer {
	t.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		need.Missing(t, "js", "node missing: install nodejs and npm")
	}
	if _, err := os.Stat(filepath.Join("js", "node_modules", "libp2p")); err != nil {
		need.Missing(t, "js", "node_modules missing: run `npm ci` in itest/interop/js")
	}
	cmd := exec.CommandContext(t.Context(), node, "peer.mjs", mode)
	cmd.Dir = "js"
	cmd.Cancel = func() error { return nil } // the end of its input ends it
	cmd.WaitDelay = patience
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
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
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil && !errors.Is(err, t.Context().Err()) {
			t.Errorf("js: %v\n%s", err, stderr.Bytes())
		}
	})
	p := &jsPeer{process: cmd.Process, in: in, out: bufio.NewScanner(out)}
	p.out.Buffer(nil, 1<<20)
	var self jsPeerInfo
	if err := p.read(&self); err != nil {
		t.Fatalf("js: no first line: %v", err)
	}
	p.info = self.parse(t)
	return p
}

// read reads one line. A peer that says nothing for too long is killed, which
// ends the wait.
func (p *jsPeer) read(into any) error {
	defer time.AfterFunc(patience+10*time.Second, func() { _ = p.process.Kill() }).Stop()
	if !p.out.Scan() {
		return errors.Join(p.out.Err(), io.ErrUnexpectedEOF)
	}
	return json.Unmarshal(p.out.Bytes(), into)
}

// try gives a command and returns the answer.
func (p *jsPeer) try(t *testing.T, command jsCommand) (jsAnswer, error) {
	t.Helper()
	line, err := json.Marshal(command)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		t.Fatalf("js: %v", err)
	}
	var answer jsAnswer
	if err := p.read(&answer); err != nil {
		t.Fatalf("js: %s: %v", command.Command, err)
	}
	if answer.Error != "" {
		return answer, fmt.Errorf("js: %s", answer.Error)
	}
	return answer, nil
}

// do gives a command that has to work, and returns the value and the peers of
// the answer.
func (p *jsPeer) do(t *testing.T, command jsCommand) ([]byte, []peer.AddrInfo) {
	t.Helper()
	answer, err := p.try(t, command)
	if err != nil {
		t.Fatal(err)
	}
	var infos []peer.AddrInfo
	for _, info := range answer.Peers {
		infos = append(infos, info.parse(t))
	}
	return answer.Value, infos
}

// connect connects the peer to one of our nodes, and waits until both know what
// the other speaks and where it listens.
func (p *jsPeer) connect(t *testing.T, to node) {
	t.Helper()
	met := meeting(t, to, p.info.ID)
	p.dial(t, infoOf(to))
	met()
}

// dial connects the peer to another.
func (p *jsPeer) dial(t *testing.T, to peer.AddrInfo) {
	t.Helper()
	full, err := peer.AddrInfoToP2pAddrs(&to)
	if err != nil {
		t.Fatal(err)
	}
	command := jsCommand{Command: "connect"}
	for _, addr := range full {
		command.Addrs = append(command.Addrs, addr.String())
	}
	p.do(t, command)
}

// admitted waits until another peer is in the routing table.
func (p *jsPeer) admitted(t *testing.T, id peer.ID) {
	t.Helper()
	p.do(t, jsCommand{Command: "admitted", ID: id.String()})
}

// parse returns the peer; its addresses may or may not end in its ID.
func (i jsPeerInfo) parse(t *testing.T) peer.AddrInfo {
	t.Helper()
	id, err := peer.Decode(i.ID)
	if err != nil {
		t.Fatal(err)
	}
	info := peer.AddrInfo{ID: id}
	for _, s := range i.Addrs {
		addr, err := multiaddr.NewMultiaddr(s)
		if err != nil {
			t.Fatal(err)
		}
		if addr, of := peer.SplitAddr(addr); addr != nil && (of == "" || of == id) {
			info.Addrs = append(info.Addrs, addr)
		}
	}
	return info
}

// A withJS is a network of our nodes and of peers in JavaScript, as many of
// each. All have met all.
type withJS struct {
	ours []*ourNode
	js   []*jsPeer
	ids  []peer.ID // of all
}

const perLanguage = 3

func launchJS(t *testing.T) *withJS {
	t.Helper()
	w := new(withJS)
	for range perLanguage {
		w.js = append(w.js, startJS(t, "server"))
	}
	for i := range perLanguage {
		// All join through JavaScript.
		s := setup{bootstrap: []peer.AddrInfo{w.js[i].info}}
		w.ours = append(w.ours, start(t, ours, s).(*ourNode))
		if err := w.ours[i].Bootstrap(patient(t)); err != nil {
			t.Fatal(err)
		}
	}
	// One half is dialled by JavaScript. It looks for neighbours once at the start
	// and then every few minutes, so it is told to connect.
	for i, p := range w.js {
		for _, o := range w.ours[i:] {
			p.connect(t, o)
		}
		for _, other := range w.js[i+1:] {
			p.dial(t, other.info)
		}
		w.ids = append(w.ids, p.info.ID)
	}
	for _, o := range w.ours {
		if err := o.Bootstrap(patient(t)); err != nil {
			t.Fatal(err)
		}
		w.ids = append(w.ids, o.Host().ID())
	}
	return w
}

func TestJavaScript(t *testing.T) {
	w := launchJS(t)
	t.Run("admission", w.admission)
	t.Run("closest peers", w.closestPeers)
	t.Run("values", w.values)
	t.Run("refusals", w.refusals)
	t.Run("correction", w.correction)
	t.Run("providers", w.providers)
	t.Run("peers", w.peers)
	t.Run("our client", w.ourClient)
	t.Run("their client", w.theirClient)
	t.Run("only JavaScript is left", w.onlyJS) // the last one
}

// oursAmong returns those of infos that are ours, and theirsAmong the others.
func (w *withJS) oursAmong(infos []peer.AddrInfo) (among []peer.ID) {
	for _, o := range w.ours {
		if slices.Contains(idsOf(infos), o.Host().ID()) {
			among = append(among, o.Host().ID())
		}
	}
	return among
}

func (w *withJS) theirsAmong(ids []peer.ID) (among []peer.ID) {
	for _, p := range w.js {
		if slices.Contains(ids, p.info.ID) {
			among = append(among, p.info.ID)
		}
	}
	return among
}

// admission checks that everybody is in everybody's table, and that JavaScript says what it is:
// it may leave a further request of a stream unanswered.
func (w *withJS) admission(t *testing.T) {
	for i, p := range w.js {
		for _, o := range w.ours {
			p.admitted(t, o.Host().ID())
			if !slices.Contains(o.contacts(), p.info.ID) {
				t.Errorf("JavaScript peer %d is not in the table of %v", i, o.Host().ID())
			}
			agent, err := o.Host().Peerstore().Get(p.info.ID, "AgentVersion")
			if name, _ := agent.(string); !strings.Contains(name, "js-libp2p") {
				t.Errorf("JavaScript peer %d says that it is %v, %v: its streams are reused", i, agent, err)
			}
		}
	}
}

// closestPeers checks that both kinds find the same peers. There are fewer than
// k, so it is about whom they are named by the other kind, and in which order.
func (w *withJS) closestPeers(t *testing.T) {
	for i := range perLanguage {
		key := fmt.Appendf(nil, "key %d", i)
		o, p := w.ours[i], w.js[i]
		got, err := o.closest(patient(t), key)
		if want := bruteForce(w.ids, o.Host().ID(), key); err != nil || !slices.Equal(got, want) {
			t.Errorf("we find %v, %v; want %v", got, err, want)
		}
		// JavaScript promises no order.
		_, infos := p.do(t, jsCommand{Command: "closest", Key: key})
		if want := bruteForce(w.ids, p.info.ID, key); !slices.Equal(sorted(idsOf(infos)), sorted(want)) {
			t.Errorf("JavaScript finds %v; want %v", idsOf(infos), want)
		}
	}
}

// values puts with each kind, and gets with the other.
func (w *withJS) values(t *testing.T) {
	for i := range perLanguage {
		o, p := w.ours[i], w.js[i]

		key, value := fmt.Sprintf("/v/ours %d", i), bytes.Repeat([]byte{byte('a' + i)}, 1+i*10_000)
		receipt, err := o.Put(patient(t), key, value)
		if err != nil {
			t.Fatal(err)
		}
		if stored := w.theirsAmong(receipt.Stored); len(stored) != perLanguage {
			t.Errorf("our value was stored by %d JavaScript peers, want all; failed: %v", len(stored), receipt.Failed)
		}
		got, from := p.do(t, jsCommand{Command: "get", Key: []byte(key)})
		if !bytes.Equal(got, value) {
			t.Errorf("JavaScript gets %d bytes, want our %d", len(got), len(value))
		}
		if given := w.oursAmong(from); len(given) != perLanguage {
			t.Errorf("%d of us gave JavaScript the value, want all", len(given))
		}

		key, value = fmt.Sprintf("/v/js %d", i), fmt.Appendf(nil, "from JavaScript %d", i)
		_, stored := p.do(t, jsCommand{Command: "put", Key: []byte(key), Value: value})
		if stored := w.oursAmong(stored); len(stored) != perLanguage {
			t.Errorf("JavaScript stored its value with %d of us, want all", len(stored))
		}
		if got, err := held(t, o, key); err != nil || got != string(value) {
			t.Errorf("we hold %q, %v; want %q", got, err, value)
		}
		if got, err := o.GetValue(patient(t), key); err != nil || !bytes.Equal(got, value) {
			t.Errorf("we get %q, %v; want %q", got, err, value)
		}
	}

	key, value := publicKey(t)
	if _, err := w.ours[0].Put(patient(t), key, value); err != nil {
		t.Fatal(err)
	}
	if got, _ := w.js[0].do(t, jsCommand{Command: "get", Key: []byte(key)}); !bytes.Equal(got, value) {
		t.Errorf("JavaScript gets %x, want the public key %x", got, value)
	}
}

// refusals checks that we refuse an invalid value and an older one, and that
// JavaScript, which has no check against older ones, refuses an invalid one.
func (w *withJS) refusals(t *testing.T) {
	o, p := w.ours[0], w.js[0]
	const key = "/v/refused"
	_, stored := p.do(t, jsCommand{Command: "put", Key: []byte(key), Value: []byte("bad")})
	if stored := w.oursAmong(stored); len(stored) != 0 {
		t.Errorf("an invalid value was stored by %v", stored)
	}
	if _, err := o.Put(patient(t), key, []byte("2")); err != nil {
		t.Fatal(err)
	}
	_, stored = p.do(t, jsCommand{Command: "put", Key: []byte(key), Value: []byte("1")})
	if stored := w.oursAmong(stored); len(stored) != 0 {
		t.Errorf("an older value was stored by %v", stored)
	}
	if got, err := held(t, o, key); err != nil || got != "2" {
		t.Errorf("we hold %q, %v; want the better value", got, err)
	}
}

// correction lets peers of both kinds hold a worse value and some a better one.
func (w *withJS) correction(t *testing.T) {
	const ours, key = "/v/corrected by us", "/v/corrected by JavaScript"

	// JavaScript stores whatever is valid, and our own nodes refuse the worse.
	putAlone(t, w.ours[0], ours, "2")
	w.js[0].do(t, jsCommand{Command: "put", Key: []byte(ours), Value: []byte("1")})
	before := w.ours[0].Stats().Corrections
	if got, err := w.ours[0].GetValue(patient(t), ours); err != nil || string(got) != "2" {
		t.Errorf("we get %q, %v; want the better value", got, err)
	}
	// A correction goes on in the background, and nobody waits for it.
	others := uint64(len(w.ids) - 1)
	eventually(t, "a correction that all have accepted", func() bool {
		return w.ours[0].Stats().Corrections-before == others
	})
	_, from := w.js[1].do(t, jsCommand{Command: "get", Key: []byte(ours)})
	if len(from) != len(w.ids)-1 {
		t.Errorf("%d peers have the value, want all others", len(from))
	}

	// All of us have the worse value, one peer in JavaScript the better.
	w.js[0].do(t, jsCommand{Command: "put", Key: []byte(key), Value: []byte("1")})
	putAlone(t, w.ours[0], key, "2")
	if got, _ := w.js[0].do(t, jsCommand{Command: "get", Key: []byte(key)}); string(got) != "2" {
		t.Errorf("JavaScript gets %q, want the better value", got)
	}
	for _, o := range w.ours {
		if got, err := held(t, o, key); err != nil || got != "2" {
			t.Errorf("we hold %q, %v after a correction by JavaScript", got, err)
		}
	}
}

// providers provides with each kind, and looks with the other.
func (w *withJS) providers(t *testing.T) {
	for i := range perLanguage {
		o, p := w.ours[i], w.js[i]

		content := contentOf(t, fmt.Sprint("ours ", i))
		receipt, err := o.Announce(patient(t), content)
		if err != nil {
			t.Fatal(err)
		}
		if stored := w.theirsAmong(receipt.Stored); len(stored) != perLanguage {
			t.Errorf("our announcement was stored by %d JavaScript peers, want all; failed: %v", len(stored), receipt.Failed)
		}
		_, infos := p.do(t, jsCommand{Command: "findProviders", CID: content.String()})
		checkAll(t, "JavaScript looks for our content", infos, infoOf(o))

		content = contentOf(t, fmt.Sprint("js ", i))
		p.do(t, jsCommand{Command: "provide", CID: content.String()})
		// JavaScript has done when it has written, and hears of nothing after that.
		var found []peer.AddrInfo
		eventually(t, "a provider in JavaScript", func() bool {
			found = nil
			for info, err := range o.Providers(patient(t), content, 0) {
				if err != nil {
					t.Fatal(err)
				}
				found = append(found, info)
			}
			return len(found) > 0
		})
		checkAll(t, "we look for content in JavaScript", found, p.info)
	}
}

// checkAll checks that infos are about one peer, once or more, and contain all
// its addresses.
func checkAll(t *testing.T, what string, infos []peer.AddrInfo, want peer.AddrInfo) {
	t.Helper()
	if len(infos) == 0 {
		t.Errorf("%s: nothing was found", what)
	}
	for _, info := range infos {
		if info.ID != want.ID {
			t.Errorf("%s: found %v, want %v", what, info.ID, want.ID)
		}
		for _, addr := range want.Addrs {
			if !slices.ContainsFunc(info.Addrs, addr.Equal) {
				t.Errorf("%s: the addresses are %v, without %v", what, info.Addrs, addr)
			}
		}
	}
}

// peers finds a peer of each kind with the other.
func (w *withJS) peers(t *testing.T) {
	for i := range perLanguage {
		o, p := w.ours[i], w.js[i]
		_, infos := p.do(t, jsCommand{Command: "findPeer", ID: w.ours[(i+1)%perLanguage].Host().ID().String()})
		checkAll(t, "JavaScript looks for one of us", infos, infoOf(w.ours[(i+1)%perLanguage]))

		want := w.js[(i+1)%perLanguage].info
		info, err := o.FindPeer(patient(t), want.ID)
		if err != nil {
			t.Fatal(err)
		}
		checkAll(t, "we look for a peer in JavaScript", []peer.AddrInfo{info}, want)
	}
}

// ourClient connects a client of ours to JavaScript alone: a node that is not
// connected to it finds it.
func (w *withJS) ourClient(t *testing.T) {
	client := start(t, ours, setup{client: true})
	w.js[0].connect(t, client)
	info, err := w.ours[0].FindPeer(patient(t), client.Host().ID())
	if err != nil {
		t.Fatal(err)
	}
	checkAll(t, "we look for a client of ours", []peer.AddrInfo{info}, infoOf(client))
	for _, o := range w.ours {
		if slices.Contains(o.contacts(), client.Host().ID()) {
			t.Error("a client is in our table")
		}
	}
}

// theirClient connects a client in JavaScript to one of us alone: others in
// JavaScript find it, and it can use the network.
func (w *withJS) theirClient(t *testing.T) {
	const key = "/v/by a client"
	client := startJS(t, "client")
	client.connect(t, w.ours[0])
	client.admitted(t, w.ours[0].Host().ID())
	_, infos := w.js[0].do(t, jsCommand{Command: "findPeer", ID: client.info.ID.String()})
	checkAll(t, "JavaScript looks for a client", infos, client.info)

	client.do(t, jsCommand{Command: "put", Key: []byte(key), Value: []byte("1")})
	if got, err := w.ours[1].GetValue(patient(t), key); err != nil || string(got) != "1" {
		t.Errorf("we get %q, %v; want the value of the client", got, err)
	}
	for _, o := range w.ours {
		if slices.Contains(o.contacts(), client.info.ID) {
			t.Error("a client is in our table")
		}
	}
}

// onlyJS ends all of our nodes but a new one, which joins through JavaScript and
// gets from there what the others left.
func (w *withJS) onlyJS(t *testing.T) {
	const key = "/v/a legacy"
	content := contentOf(t, "a legacy")
	gone := w.ours[0]
	if _, err := gone.Put(patient(t), key, []byte("1")); err != nil {
		t.Fatal(err)
	}
	if _, err := gone.Announce(patient(t), content); err != nil {
		t.Fatal(err)
	}
	provider := infoOf(gone)
	for _, o := range w.ours {
		if err := o.Close(); err != nil {
			t.Fatal(err)
		}
		if err := o.Host().Close(); err != nil {
			t.Fatal(err)
		}
	}
	heir := start(t, ours, setup{bootstrap: []peer.AddrInfo{w.js[0].info}})
	if err := heir.Bootstrap(patient(t)); err != nil {
		t.Fatal(err)
	}
	if got := sorted(heir.contacts()); !slices.Equal(got, sorted(w.theirsAmong(w.ids))) {
		t.Errorf("the table is %v, want the JavaScript peers", got)
	}
	if got, err := heir.GetValue(patient(t), key); err != nil || string(got) != "1" {
		t.Errorf("we get %q, %v; want what one of us left", got, err)
	}
	var found []peer.AddrInfo
	for info := range heir.FindProvidersAsync(patient(t), content, 0) {
		found = append(found, info)
	}
	checkAll(t, "we look for what one of us left", found, provider)
}
