package node

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	kad "github.com/go-kad/kad/host"
)

// What a diagnosis has found is in the fields that scripts read, and in sentences for people.
func TestDiagnosis(t *testing.T) {
	const dependent, independent = network.NATDeviceTypeEndpointDependent, network.NATDeviceTypeEndpointIndependent
	for name, c := range map[string]struct {
		found kad.Diagnosis
		want  map[string]any
		says  []string // the beginnings of sentences
	}{
		"nothing is known": {
			kad.Diagnosis{Mode: kad.ModeServer},
			map[string]any{"nat": map[string]any{"tcp": "unknown", "udp": "unknown"}, "udp_blocked": false, "clock_off_ms": 0.0, "offline": false, "best": "", "ready": true},
			[]string{"Lookups work.", "It is not known yet", "It is a server: "},
		},
		"a symmetric router": {
			kad.Diagnosis{Reachability: network.ReachabilityPrivate, NATTCP: independent, NATUDP: dependent, Filtering: kad.FilteringDialled, Relays: []peer.ID{"a", "b"}, Asked: 5, Told: 3, Advice: []string{"First.", "Second."}},
			map[string]any{"nat": map[string]any{"tcp": "endpoint independent", "udp": "endpoint dependent"}, "best": "First."},
			[]string{"Other peers cannot dial", "The router uses one port for all peers over TCP", "The router uses another port for each peer over UDP", "The router, or a firewall, lets in the peers alone", "Relays that lead to this node: 2.", "Of the 5 closest peers that answered, 3 name it"},
		},
		"a firewall":      {kad.Diagnosis{UDPBlocked: true}, map[string]any{"udp_blocked": true}, []string{"No UDP gets through."}},
		"a tunnel":        {kad.Diagnosis{SmallMTU: true}, map[string]any{"udp_blocked": false}, []string{"UDP gets through in small packets alone."}},
		"no network":      {kad.Diagnosis{Offline: true}, map[string]any{"offline": true}, []string{"No peer answers any more."}},
		"a public host":   {kad.Diagnosis{Reachability: network.ReachabilityPublic, Filtering: kad.FilteringNone}, nil, []string{"Other peers can dial this node", "A peer has come in"}},
		"a slow clock":    {kad.Diagnosis{NotReady: errors.New("no peer. "), ClockOff: -2 * time.Hour}, map[string]any{"clock_off_ms": -7.2e6, "ready": false}, []string{"Lookups do not work: no peer", "The clock of this machine is behind that of its peers, by 2h0m0s or more."}},
		"a clock too far": {kad.Diagnosis{ClockOff: time.Hour}, map[string]any{"clock_off_ms": 3.6e6}, []string{"The clock of this machine is ahead of that"}},
	} {
		raw, err := json.Marshal(diagnosis(c.found))
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(raw, &got); err != nil {
			t.Fatal(err)
		}
		for field, want := range c.want {
			if !reflect.DeepEqual(got[field], want) {
				t.Errorf("%s: %s is %v, want %v", name, field, got[field], want)
			}
		}
		for _, want := range c.says {
			if !slices.ContainsFunc(got["says"].([]any), func(s any) bool { return strings.HasPrefix(s.(string), want) }) {
				t.Errorf("%s: says %q, want %q", name, got["says"], want)
			}
		}
	}
}
