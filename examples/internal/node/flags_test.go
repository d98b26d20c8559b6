package node

import (
	"bytes"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	kad "github.com/go-kad/kad/host"
	"github.com/go-kad/kad/host/amino"
)

const somebody = "/ip4/192.0.2.1/tcp/4001/p2p/12D3KooWSCufgHzV4fCwRijfH2k3abrpAJxTKxEvN1FDuRXA2U9x"

func TestBadFlags(t *testing.T) {
	chat := []string{"--network", "/chat"}
	tests := []struct {
		name string
		give []string
		want string // in the line
	}{
		{"no network", nil, "--network is missing"},
		{"network without slash", []string{"--network", "chat"}, "begins with a slash"},
		{"network with slash at the end", []string{"--network", "/chat/"}, "does not end with one"},
		{"network is a protocol", []string{"--network", "/chat/kad/1.0.0"}, "leave /kad/1.0.0 out"},
		{"unknown flag", append(chat, "--foo"), "--foo"},
		{"unknown shorthand", append(chat, "-x"), "'x'"},
		{"no value", []string{"--network"}, "--network"},
		{"argument", append(chat, "foo"), `"foo"`},
		{"mode", append(chat, "--mode", "foo"), "use auto, server or client"},
		{"reachability", append(chat, "--reachability", "maybe"), "use auto, public or private"},
		{"k is 0", append(chat, "--k", "0"), "use 1 to 32"},
		{"relay carries nothing", append(chat, "--relay-bytes", "0"), "--relay-bytes is 0"},
		{"k is 99", append(chat, "--k", "99"), "use 1 to 32"},
		{"k is text", append(chat, "--k", "many"), "use a whole number"},
		{"k on Amino", []string{"--network", "/ipfs", "--k", "10"}, "all nodes use 20"},
		{"alpha is 0", append(chat, "--alpha", "0"), "use 1 to 128"},
		{"alpha is 1000", append(chat, "--alpha", "1000"), "use 1 to 128"},
		{"listen is no multiaddr", append(chat, "--listen", "127.0.0.1:4001"), "not a multiaddr"},
		{"listen without port", append(chat, "--listen", "/ip4/127.0.0.1"), "use an IP address with a port"},
		{"listen on bare UDP", append(chat, "--listen", "/ip4/127.0.0.1/udp/1"), "quic-v1"},
		{"listen on a peer", append(chat, "--listen", somebody), "no /p2p/"},
		{"listen on a name", append(chat, "--listen", "/dns4/example.com/tcp/1"), "use an IP address"},
		{"join is no multiaddr", append(chat, "--join", "192.0.2.1"), "not the address of a peer"},
		{"join without ID", append(chat, "--join", "/ip4/192.0.2.1/tcp/4001"), "such as /ip4/"},
		{"join without address", append(chat, "--join", somebody[strings.Index(somebody, "/p2p/"):]), "no address"},
		{"API for all", append(chat, "--api", "0.0.0.0:0"), "--api-any"},
		{"API for all, implied", append(chat, "--api", ":0"), "--api-any"},
		{"API for the network", append(chat, "--api", "192.0.2.1:80"), "--api-any"},
		{"API under a name", append(chat, "--api", "example.com:80"), "--api-any"},
		{"no token", append(chat, "--api-token", "none"), "--api-token: open none: no such file or directory: name a file"},
		{"token that can be guessed", append(chat, "--api-token", "/dev/null"), "use 16 to 512"},
		{"API without port", append(chat, "--api", "127.0.0.1"), "HOST:PORT"},
		{"API port is 65536", append(chat, "--api", "127.0.0.1:65536"), "HOST:PORT"},
		{"empty data", append(chat, "--data", ""), "--data is empty"},
		{"data and seed", append(chat, "--data", "x", "--identity-seed", "y"), "both given"},
		{"empty seed", append(chat, "--identity-seed", ""), "--identity-seed is empty"},
		{"namespace on Amino", []string{"--network", "/ipfs", "--open-namespace", "v"}, "of your own"},
		{"namespace with slash", append(chat, "--open-namespace", "/v"), "without slashes"},
		{"set with slash", append(chat, "--open-set", "a/b"), "without slashes"},
		{"set and namespace", append(chat, "--open-namespace", "v", "--open-set", "v"), "one of them"},
		{"namespace and validators of IPFS", append(chat, "--ipfs-validators", "--open-namespace", "pk"), "one of them"},
		{"empty namespace", append(chat, "--open-namespace", ""), "without slashes"},
		{"routing without a port", append(chat, "--routing-listen", "0.0.0.0"), "such as 0.0.0.0:8080"},
		{"no swarm key", append(chat, "--swarm-key", "flags_test.go"), "64 hexadecimal digits"},
		{"no file", append(chat, "--swarm-key", "none"), "no such file or directory: name the file"},
		{"swarm key and QUIC", append(chat, "--swarm-key", keyFile(t), "--listen", "/ip4/127.0.0.1/udp/0/quic-v1"), "over TCP alone"},
		{"swarm key of the public network", []string{"--network", "/ipfs", "--swarm-key", keyFile(t)}, "with --join"},
		{"log level", append(chat, "--log", "loud"), "use debug, info, warn or error"},
		{"empty log level", append(chat, "--log", ""), "use debug, info, warn or error"},
		{"two at once", append(chat, "--mode", "foo", "--k", "0"), "--k is 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			code := Run(t.Context(), tt.give, &stdout, &stderr)
			got := stderr.String()
			if code != 2 || stdout.Len() > 0 || strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "\n") {
				t.Errorf("code %d, stdout %q, stderr %q; want 2, nothing and a line", code, &stdout, got)
			}
			if !strings.Contains(got, tt.want) {
				t.Errorf("stderr = %q; want %q in it", got, tt.want)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	var stdout, stderr bytes.Buffer
	if code := Run(t.Context(), []string{"--help"}, &stdout, &stderr); code != 0 || stderr.Len() > 0 {
		t.Errorf("code %d, stderr %q; want 0 and nothing", code, &stderr)
	}
	for _, flag := range []string{"--network NAME", "--listen MULTIADDR", "--join MULTIADDR/p2p/ID", "--mode MODE", "--api HOST:PORT", "--data DIR", "--open-namespace NS"} {
		if !strings.Contains(stdout.String(), flag) {
			t.Errorf("help = %s\nwant %s in it", &stdout, flag)
		}
	}
}

// parsed returns the settings that args come to.
func parsed(t *testing.T, args ...string) (s settings) {
	t.Helper()
	cmd := command(func(_ *cobra.Command, got settings) error {
		s = got
		return nil
	})
	cmd.SetArgs(args)
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestSettings(t *testing.T) {
	s := parsed(t, "--network", "/chat")
	if s.dht.Network != "/chat" || s.dht.K != 20 || s.dht.Alpha != 10 || s.dht.Mode != kad.ModeAuto || len(s.dht.Bootstrap) > 0 {
		t.Errorf("defaults = %+v", s.dht)
	}
	if len(s.listen) != 4 || s.strict || s.api != "127.0.0.1:0" || s.apiAny {
		t.Errorf("defaults = %+v", s)
	}
	s = parsed(t, "--network", "/chat", "--mode", "client", "--k", "7", "--alpha", "3", "--listen", "/ip6/::1/udp/1/quic-v1",
		"--join", somebody, "--join", somebody, "--open-namespace", "a", "--open-namespace", "b", "--api", "0.0.0.0:1", "--api-any")
	if s.dht.K != 7 || s.dht.Alpha != 3 || s.dht.Mode != kad.ModeClient || len(s.dht.Bootstrap) != 1 || len(s.dht.Validators) != 2 {
		t.Errorf("settings = %+v", s.dht)
	}
	if len(s.listen) != 1 || !s.strict || !s.apiAny {
		t.Errorf("settings = %+v", s)
	}
}

// An address can be announced if others can dial it, and the host does so.
func TestAnnounceSettings(t *testing.T) {
	s := parsed(t, "--network", "/chat", "--announce", "/ip4/60.1.0.1/tcp/4001", "--announce", "/dns4/example.com/udp/4001/quic-v1")
	if len(s.dht.AppendAnnounce) != 2 {
		t.Errorf("announced: %v", s.dht.AppendAnnounce)
	}
	for _, args := range [][]string{
		{"--announce", "/ip4/0.0.0.0/tcp/4001"},
		{"--announce", "/ip4/60.1.0.1"},
		{"--announce", "/dns4/example.com"},
		{"--announce", "home:4001"},
		{"--announce", "/ip4/60.1.0.1/tcp/4001", "--traversal=false"},
	} {
		var f flags
		f.define(pflag.NewFlagSet("", pflag.ContinueOnError))
		if err := f.set.Parse(append([]string{"--network", "/chat"}, args...)); err != nil {
			t.Fatal(err)
		}
		if _, err := f.settings(); err == nil || !strings.Contains(err.Error(), "--announce") {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// Traversal is on, unless there is nothing to traverse.
func TestTraversalSettings(t *testing.T) {
	s := parsed(t, "--network", "/chat")
	if !s.traversal || s.dht.OfferRelay || s.reachability != network.ReachabilityUnknown {
		t.Errorf("defaults = %+v", s)
	}
	s = parsed(t, "--network", "/chat", "--traversal=false", "--offer-relay", "--relay-bytes", "131072", "--reachability", "private")
	if s.traversal || !s.dht.OfferRelay || s.dht.Relay.Bytes != 128<<10 || s.reachability != network.ReachabilityPrivate {
		t.Errorf("settings = %+v", s)
	}
	s = parsed(t, "--network", "/chat", "--reachability", "public", "--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip4/192.168.1.2/tcp/1")
	if !s.traversal || s.reachability != network.ReachabilityPublic {
		t.Errorf("settings = %+v", s)
	}
	if s := parsed(t, "--network", "/chat", "--listen", "/ip6/::1/tcp/0"); s.traversal {
		t.Errorf("settings = %+v", s)
	}
}

func TestAminoSettings(t *testing.T) {
	s := parsed(t, "--network", "/ipfs")
	if want := amino.Config(); len(s.dht.Bootstrap) != len(want.Bootstrap) || len(s.dht.Validators) != len(want.Validators) {
		t.Errorf("settings = %+v, want %+v", s.dht, want)
	}
	s = parsed(t, "--network", "/ipfs", "--join", somebody)
	if len(s.dht.Bootstrap) != 1 {
		t.Errorf("Bootstrap = %v; want the one of --join alone", s.dht.Bootstrap)
	}
}

func TestNewIdentities(t *testing.T) {
	var ids []peer.ID
	for range 2 {
		id, err := peer.IDFromPrivateKey(parsed(t, "--network", "/chat").key)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if ids[0] == ids[1] {
		t.Errorf("two nodes have the identity %s", ids[0])
	}
}
