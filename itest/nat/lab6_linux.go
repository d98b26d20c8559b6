package nat

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
)

// Public6 adds a machine that has an address of IPv6 alone, of the internet. Behind a
// firewall, nothing comes in that does not answer what has gone out, as behind the routers of
// most homes: there is no translation with IPv6. Packets are not delayed.
func (l *Lab) Public6(firewall bool) (*Machine, error) {
	ns, err := newNamespace()
	if err != nil {
		return nil, err
	}
	i := len(l.only6)
	m := &Machine{
		Addr: netip.MustParseAddr(fmt.Sprintf("2a00:%x::1", 0x40+i)), ns: ns, device: "eth0", far: l.inet, link: fmt.Sprintf("six%d", i),
	}
	l.only6 = append(l.only6, m)
	err = errors.Join(
		l.inet.withIPv6(), ns.withIPv6(),
		l.inet.set("ipv6/conf/all/forwarding"),
		l.inet.ip(
			fmt.Sprintf("link add %s type veth peer name eth0 netns %d", m.link, ns.tid),
			fmt.Sprintf("link set %s up", m.link),
			fmt.Sprintf("addr add fe80::1/64 dev %s nodad", m.link),
			fmt.Sprintf("route add %s/128 dev %s", m.Addr, m.link),
		),
		ns.ip(
			"link set eth0 up",
			fmt.Sprintf("addr add %s/128 dev eth0 nodad", m.Addr),
			"route add default via fe80::1 dev eth0",
		),
	)
	if err == nil && firewall {
		err = ns.feed([]string{
			"*filter",
			"-A INPUT -i lo -j ACCEPT",
			"-A INPUT -p ipv6-icmp -j ACCEPT",
			"-A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
			"-A INPUT -j DROP",
			"COMMIT",
		}, "ip6tables-restore", "-w", "--noflush")
	}
	if err != nil {
		return nil, fmt.Errorf("nat: a machine with IPv6: %w", err)
	}
	return m, nil
}

// withIPv6 lets addresses of IPv6 in: see noIPv6.
func (n *namespace) withIPv6() error {
	return n.do(func() error {
		for _, which := range []string{"all", "default"} {
			if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+which+"/disable_ipv6", []byte("0"), 0); err != nil {
				return err
			}
		}
		return nil
	})
}
