//go:build linux

package nat

import (
	"fmt"
	"testing"
	"time"
)

// friendPort is the port that a router forwards to a friend.
const friendPort = 4001

// befriend starts a node that relays, on a host behind a router that lets everything in,
// and returns how others join through it. It is the only node that can be dialled.
func befriend(t *testing.T, l *Lab) (join []string) {
	t.Helper()
	requireTraversal(t, "node")
	tcp, quic := fmt.Sprintf("/tcp/%d", friendPort), fmt.Sprintf("/udp/%d/quic-v1", friendPort)
	friend := start(t, l.Hosts[0], "--offer-relay", "--listen", "/ip4/0.0.0.0"+tcp, "--listen", "/ip4/0.0.0.0"+quic)
	for _, at := range []string{tcp, quic} {
		join = append(join, "--join", fmt.Sprintf("/ip4/%s%s/p2p/%s", l.Outside(0), at, friend.ID))
	}
	return join
}

// meetByFriend has A connect to B, where a friend is all that is public, and returns how they
// are connected, and how long after the start of both; "" and the error of the last try if they
// are not.
func meetByFriend(t *testing.T) (via string, took time.Duration, err error) {
	t.Helper()
	l := up(t, Plan{Behind: []Flavour{FullCone, Cone, Cone}, Latency: oneWay})
	join := befriend(t, l)
	began := time.Now()
	a, b := start(t, l.Hosts[1], join...), start(t, l.Hosts[2], join...)
	for ; time.Since(began) < worst; time.Sleep(20 * time.Millisecond) { // it is tried again, as users do
		var c connection
		if c, err = a.connect(t.Context(), b.ID, 10*time.Second); c.Connected {
			return c.Via, time.Since(began), nil
		}
	}
	return "", 0, err
}

// Two nodes behind NATs meet with the help of one friend, whose router forwards a port, and
// whom nobody has told its public address.
func TestForwardedFriend(t *testing.T) {
	via, took, err := meetByFriend(t)
	t.Logf("%s after %v, %v", via, took, err)
	if via == "" || took > goal {
		t.Errorf("connected: %q after %v, %v; want it within %v", via, took, err, goal)
	}
	record(7, "A port-forwarded friend is all that is public", fmt.Sprintf(
		"A friend's router forwards port %d, the friend offers to relay, and knows no public address of its own. A and B, behind a NAT\n"+
			"(%s) each, know the friend's address. A is connected to B, %s, after %s.\n", friendPort, Cone, via, seconds(took)))
}
