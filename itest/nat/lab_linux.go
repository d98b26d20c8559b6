package nat

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// A Plan says what a lab is made of.
type Plan struct {
	// Public is how many machines have a public address: at most 20.
	Public int

	// Behind has a router, with one host behind it, for each of its flavours: at
	// most 20.
	Behind []Flavour

	// Latency is how long each packet takes through the internet, one way, or
	// longer on a busy machine. Zero and less is no time at all.
	Latency time.Duration
}

// maxMachines is how many public addresses, and how many private networks, the
// lab has.
const maxMachines = 20

// A Lab is an internet with machines. Its methods must not be called
// concurrently.
type Lab struct {
	Public []*Machine // with public addresses
	Hosts  []*Machine // behind a router each

	inet    *namespace
	delay   *delay
	routers []*Machine
	only6   []*Machine // have addresses of IPv6 alone
}

// Missing says what keeps this machine from having a lab, or "" if nothing does.
func Missing() string {
	if os.Geteuid() != 0 {
		return "network namespaces need root"
	}
	for _, program := range []string{"ip", "iptables-restore"} {
		if _, err := exec.LookPath(program); err != nil {
			return program + " is not installed"
		}
	}
	lab, err := Up(Plan{Behind: []Flavour{AddressFiltered}})
	if err != nil {
		return "the kernel does not do it: " + err.Error()
	}
	lab.Down()
	return ""
}

// NoLatency says what keeps the machine, which can have a lab, from delaying
// packets, or "" if nothing does.
func NoLatency() string {
	lab, err := Up(Plan{Latency: time.Millisecond})
	if err != nil {
		return "the kernel does not queue packets for programs: " + err.Error()
	}
	lab.Down()
	return ""
}

// Up builds a lab. If it fails, nothing is left of it.
func Up(p Plan) (*Lab, error) {
	if p.Public > maxMachines || len(p.Behind) > maxMachines {
		return nil, fmt.Errorf("nat: %d public machines and %d routers: there are addresses for %d each", p.Public, len(p.Behind), maxMachines)
	}
	l := new(Lab)
	if err := l.build(p); err != nil {
		l.Down()
		return nil, fmt.Errorf("nat: %w", err)
	}
	return l, nil
}

// build adds to the lab what p says.
func (l *Lab) build(p Plan) (err error) {
	if l.inet, err = newNamespace(); err != nil {
		return err
	}
	if err := errors.Join(
		l.inet.set("ipv4/ip_forward"),
		l.inet.set("ipv4/conf/all/rp_filter"),    // nobody sends from an address of others
		l.inet.ip("route add blackhole default"), // rather than an answer that nobody is there
	); err != nil {
		return err
	}
	if p.Latency > 0 {
		if l.delay, err = newDelay(l.inet, p.Latency); err != nil {
			return err
		}
	}
	for i := range p.Public {
		m, err := l.public(ip4(40+i, 1, 0, 1), "eth0")
		if err != nil {
			return err
		}
		l.Public = append(l.Public, m)
	}
	for i, f := range p.Behind {
		if err := l.behind(i, f); err != nil {
			return err
		}
	}
	return nil
}

// ip4 is an address, each part of which is from 0 to 255.
func ip4(a, b, c, d int) netip.Addr {
	return netip.MustParseAddr(fmt.Sprintf("%d.%d.%d.%d", a, b, c, d))
}

// gateway is the address of the internet on each of its links.
const gateway = "169.254.0.1"

// public adds a machine with a public address, to which the internet is the
// interface named device.
func (l *Lab) public(addr netip.Addr, device string) (*Machine, error) {
	ns, err := newNamespace()
	if err != nil {
		return nil, err
	}
	m := &Machine{Addr: addr, ns: ns, device: device, far: l.inet, link: "w" + strings.ReplaceAll(addr.String(), ".", "_")}
	err = errors.Join(
		l.inet.ip(
			fmt.Sprintf("link add %s type veth peer name %s netns %d", m.link, device, ns.tid),
			fmt.Sprintf("addr add %s/32 dev %s", gateway, m.link),
			fmt.Sprintf("link set %s up", m.link),
			fmt.Sprintf("route add %s/32 dev %s", addr, m.link),
		),
		ns.ip(
			fmt.Sprintf("addr add %s/32 dev %s", addr, device),
			fmt.Sprintf("link set %s up", device),
			fmt.Sprintf("route add default via %s dev %s onlink", gateway, device),
		),
	)
	if err != nil {
		m.close()
		return nil, err
	}
	return m, nil
}

// behind adds a router, and a host behind it.
func (l *Lab) behind(i int, f Flavour) error {
	if !slices.Contains(Flavours(), f) {
		return fmt.Errorf("there is no flavour %q", f)
	}
	router, err := l.public(ip4(60+i, 1, 0, 1), "wan")
	if err != nil {
		return err
	}
	l.routers = append(l.routers, router)
	ns, err := newNamespace()
	if err != nil {
		return err
	}
	host := &Machine{Addr: ip4(192, 168, i+1, 10), ns: ns, device: "eth0", far: router.ns, link: "lan"}
	l.Hosts = append(l.Hosts, host)
	return errors.Join(
		router.ns.iptables(f.rules(host.Addr.String())...),
		l.plug(host, i),
		router.ns.set("ipv4/ip_forward"),
	)
}

// plug connects a host, by its address, to a router, by its index, which has no host.
func (l *Lab) plug(host *Machine, router int) error {
	host.far = l.routers[router].ns
	inside := ip4(192, 168, router+1, 1)
	return errors.Join(
		host.far.ip(
			fmt.Sprintf("link add lan type veth peer name eth0 netns %d", host.ns.tid),
			fmt.Sprintf("addr add %s/24 dev lan", inside),
			"link set lan up",
		),
		host.ns.ip(
			fmt.Sprintf("addr add %s/24 dev eth0", host.Addr),
			"link set eth0 up",
			fmt.Sprintf("route add default via %s", inside),
		),
	)
}

// Move takes a host from its router to another one, whose host loses its network, and
// whose address it gets, as a laptop that is carried to another network.
func (l *Lab) Move(host, to int) error {
	m := l.Hosts[host]
	err := errors.Join(m.far.ip("link del lan"), l.Hosts[to].far.ip("link del lan"))
	m.Addr = l.Hosts[to].Addr
	if err = errors.Join(err, l.plug(m, to)); err != nil {
		return fmt.Errorf("nat: to another router: %w", err)
	}
	return nil
}

// Beside adds a host to the network of a router, by the index of its host, and returns it.
// The router is then a switch, too, as in most homes.
func (l *Lab) Beside(i int) (*Machine, error) {
	ns, err := newNamespace()
	if err != nil {
		return nil, err
	}
	router := l.routers[i].ns
	host := &Machine{Addr: ip4(192, 168, i+1, 11), ns: ns, device: "eth0", far: router, link: "port1"}
	l.Hosts = append(l.Hosts, host)
	l.Hosts[i].link = "port0"
	err = errors.Join(
		router.iptables("*filter", "-I FORWARD -i lan -o lan -j ACCEPT", "COMMIT"), // where bridges are filtered, too
		router.ip(
			"link set lan down",
			"link set lan name port0",
			"link add lan type bridge",
			"link set port0 master lan",
			fmt.Sprintf("link add port1 type veth peer name eth0 netns %d", ns.tid),
			"link set port1 master lan",
			"addr flush dev port0",
			fmt.Sprintf("addr add %s/24 dev lan", ip4(192, 168, i+1, 1)),
			"link set port0 up",
			"link set port1 up",
			"link set lan up",
		),
		ns.ip(
			fmt.Sprintf("addr add %s/24 dev eth0", host.Addr),
			"link set eth0 up",
			fmt.Sprintf("route add default via %s", ip4(192, 168, i+1, 1)),
		),
	)
	if err != nil {
		return nil, fmt.Errorf("nat: a host beside another: %w", err)
	}
	return host, nil
}

// Unplug takes a host from its router, and with that its address, until Plug.
func (l *Lab) Unplug(host int) error {
	if err := l.Hosts[host].far.ip("link del lan"); err != nil {
		return fmt.Errorf("nat: unplug: %w", err)
	}
	return nil
}

// Plug connects a host to its router again.
func (l *Lab) Plug(host int) error { return l.plug(l.Hosts[host], host) }

// Renumber gives a host another address in the network of its router.
func (l *Lab) Renumber(host int) error {
	m := l.Hosts[host]
	before := m.Addr
	m.Addr = m.Addr.Next()
	b := m.Addr.As4()
	b[3] = 1
	err := m.ns.ip(
		fmt.Sprintf("addr del %s/24 dev eth0", before),
		fmt.Sprintf("addr add %s/24 dev eth0", m.Addr),
		fmt.Sprintf("route add default via %s", netip.AddrFrom4(b)),
	)
	if err != nil {
		return fmt.Errorf("nat: another address of a host: %w", err)
	}
	return nil
}

// Narrow gives the line between the router of a host, by its index in Hosts, and the internet
// a small MTU. Both ends say so to what sends larger packets.
func (l *Lab) Narrow(i, mtu int) error {
	err := errors.Join(
		l.routers[i].ns.ip(fmt.Sprintf("link set wan mtu %d", mtu)),
		l.inet.ip(fmt.Sprintf("link set %s mtu %d", l.routers[i].link, mtu)),
	)
	if err != nil {
		return fmt.Errorf("nat: a small MTU: %w", err)
	}
	return nil
}

// Lose has the internet lose a share of the packets, from 0 to 1. The lab has a latency.
func (l *Lab) Lose(share float64) { l.delay.lost.Store(uint32(share * 1000)) }

// LetOut has the router of a host, by its index in Hosts, let out what goes to some ports alone.
func (l *Lab) LetOut(i int, ports string) error {
	rules := []string{"*filter"}
	for _, transport := range []string{"tcp", "udp"} {
		rules = append(rules, fmt.Sprintf("-I FORWARD -i lan -p %s -m multiport ! --dports %s -j DROP", transport, ports))
	}
	if err := l.routers[i].ns.iptables(append(rules, "COMMIT")...); err != nil {
		return fmt.Errorf("nat: a firewall for what goes out: %w", err)
	}
	return nil
}

// Outside returns the public address of the router of a host, by its index in
// Hosts.
func (l *Lab) Outside(i int) netip.Addr { return l.routers[i].Addr }

// Rewan gives the router of a host, by its index in Hosts, another public address,
// which it returns, as a provider does when a line is renewed: the old one is gone,
// and so are, within milliseconds, the mappings. What the host sends before is lost.
func (l *Lab) Rewan(i int) (netip.Addr, error) {
	r := l.routers[i]
	b := r.Addr.As4()
	b[2]++ // in the same network
	now := netip.AddrFrom4(b)
	err := errors.Join(
		l.inet.ip(
			fmt.Sprintf("route add %s/32 dev %s", now, r.link),
			fmt.Sprintf("route del %s/32 dev %s", r.Addr, r.link),
		),
		r.ns.ip(
			fmt.Sprintf("addr add %s/32 dev wan", now),
			fmt.Sprintf("addr del %s/32 dev wan", r.Addr),
		),
	)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("nat: another address: %w", err)
	}
	r.Addr = now
	return now, nil
}

// Down ends all programs of the lab and removes it. Sockets that it has given out
// are to be closed by those who have them.
func (l *Lab) Down() {
	for _, m := range slices.Concat(l.Hosts, l.Public, l.routers, l.only6) {
		m.close()
	}
	l.Hosts, l.Public, l.routers, l.only6 = nil, nil, nil, nil
	if l.delay != nil {
		l.delay.close()
		l.delay = nil
	}
	if l.inet != nil {
		l.inet.close()
		l.inet = nil
	}
}
