//go:build linux

package nat

import (
	"bufio"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(doomedVar) != "" {
		doomed()
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		removePrograms()
		if path := os.Getenv("KAD_NAT_RESULTS"); path != "" {
			if err := writeResults(path); err != nil {
				fmt.Println(err)
				code = 1
			}
		}
		os.Exit(code)
	}))
}

func TestLatency(t *testing.T) {
	l := up(t, Plan{Public: 1, Behind: []Flavour{Cone}, Latency: oneWay})
	if l.delay == nil {
		t.Skip("nat: there is no latency here")
	}
	host, public := udp(t, l.Hosts[0], inner), udp(t, l.Public[0], outer)
	for range 20 {
		start := time.Now()
		host.send(t, "ping", netip.AddrPortFrom(l.Public[0].Addr, outer))
		public.send(t, "pong", public.hears(t, "ping"))
		host.hears(t, "pong")
		took := time.Since(start)
		t.Logf("there and back in %v", took)
		if took < 2*oneWay {
			t.Errorf("there and back in %v, want %v or more", took, 2*oneWay)
		}
	}
}

// Rewan moves a router, and nothing of where it was is left.
func TestRewan(t *testing.T) {
	l := up(t, Plan{Public: 1, Behind: []Flavour{FullCone}})
	host, public := udp(t, l.Hosts[0], inner), udp(t, l.Public[0], outer)
	at := netip.AddrPortFrom(l.Public[0].Addr, outer)
	host.send(t, "hello", at)
	before := public.hears(t, "hello")

	now, err := l.Rewan(0)
	if err != nil {
		t.Fatal(err)
	}
	public.send(t, "to the old address", before)
	var after netip.AddrPort
	for deadline := time.Now().Add(patience); !after.IsValid(); {
		host.send(t, "hello again", at) // until the old mapping is gone
		if _, from, err := public.next(silence); err == nil {
			after = from
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	if after.Addr() != now || now == before.Addr() || l.Outside(0) != now {
		t.Errorf("the host appears as %v, want %v, and no more as %v", after, now, before)
	}
	public.send(t, "to the new address", after)
	host.hearsOnly(t, "to the new address")
}

// Who is cut off hears nothing and is not heard, and does not notice otherwise.
func TestCut(t *testing.T) {
	l := up(t, Plan{Public: 1, Behind: []Flavour{FullCone}})
	host, public := udp(t, l.Hosts[0], inner), udp(t, l.Public[0], outer)
	at := netip.AddrPortFrom(l.Public[0].Addr, outer)
	host.send(t, "before", at)
	mapped := public.hears(t, "before")
	for _, m := range []*Machine{l.Hosts[0], l.Public[0]} {
		if err := m.Cut(true); err != nil {
			t.Fatal(err)
		}
		host.send(t, "meanwhile", at)
		public.send(t, "meanwhile", mapped)
		host.hearsNothing(t)
		public.hearsNothing(t)
		if err := m.Cut(false); err != nil {
			t.Fatal(err)
		}
		host.send(t, "after", at)
		public.send(t, "after", public.hears(t, "after"))
		host.hears(t, "after")
	}
}

// Two labs with the same addresses are worlds apart, and there is no way out of
// either: the interfaces of a machine are lo and what the lab gave it.
func TestLabsAreApart(t *testing.T) {
	plan := Plan{Public: 1, Behind: []Flavour{FullCone}}
	one, two := up(t, plan), up(t, plan)
	at := netip.AddrPortFrom(one.Public[0].Addr, outer)
	hereHost, here, there := udp(t, one.Hosts[0], inner), udp(t, one.Public[0], outer), udp(t, two.Public[0], outer)
	hereHost.send(t, "hello", at)
	here.hears(t, "hello")
	there.hearsNothing(t)

	for _, tt := range []struct {
		name string
		ns   *namespace
		want []string
	}{
		{"internet", one.inet, []string{"lo", "w40_1_0_1", "w60_1_0_1"}},
		{"public", one.Public[0].ns, []string{"eth0", "lo"}},
		{"router", one.routers[0].ns, []string{"lan", "lo", "wan"}},
		{"host", one.Hosts[0].ns, []string{"eth0", "lo"}},
	} {
		var got []string
		if err := tt.ns.do(func() error {
			all, err := net.Interfaces()
			for _, i := range all {
				got = append(got, i.Name)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("interfaces of the %s are %q, want %q", tt.name, got, tt.want)
		}
	}
}

// Who sends from an address of somebody else is not heard.
func TestNoForeignSource(t *testing.T) {
	l := up(t, Plan{Public: 2})
	liar, public := l.Public[0], udp(t, l.Public[1], outer)
	const foreign = "50.1.0.1"
	if err := liar.ns.ip("addr add " + foreign + "/32 dev lo"); err != nil {
		t.Fatal(err)
	}
	var conn *net.UDPConn
	if err := liar.ns.do(func() (err error) {
		conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(foreign)})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	at := netip.AddrPortFrom(l.Public[1].Addr, outer)
	udpSocket{conn}.send(t, "a lie", at)
	udp(t, liar, outer).send(t, "the truth", at)
	public.hears(t, "the truth")
	public.hearsNothing(t)
}

func TestDown(t *testing.T) {
	l := up(t, Plan{Public: 1, Latency: oneWay})
	machine := l.Public[0]
	cmd := exec.Command("sleep", "1000")
	if err := machine.Start(cmd); err != nil {
		t.Fatal(err)
	}
	l.Down()
	l.Down() // twice does no harm
	if err := cmd.Wait(); err == nil || cmd.ProcessState.String() != "signal: killed" {
		t.Errorf("the program ended with %v, want it killed", err)
	}
	if _, err := machine.ListenUDP(outer); err == nil {
		t.Error("the machine still works")
	}
	if err := machine.Start(exec.Command("true")); err == nil {
		t.Error("the machine still starts programs")
	}
}

func TestUpRefuses(t *testing.T) {
	for _, p := range []Plan{{Public: maxMachines + 1}, {Behind: make([]Flavour, maxMachines+1)}} {
		if l, err := Up(p); err == nil {
			l.Down()
			t.Errorf("Up(%+v) works", p)
		}
	}
	up(t, Plan{}) // skips where there can be no lab
	if l, err := Up(Plan{Behind: []Flavour{"paper"}}); err == nil {
		l.Down()
		t.Error("there is a router of paper")
	}
}

// doomedVar makes this program one that builds a lab and waits to be killed.
const doomedVar = "KAD_NAT_DOOMED"

// doomed prints the number of a program in its lab, and of the lab's namespace.
func doomed() {
	l, err := Up(Plan{Public: 1, Latency: oneWay})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	cmd := exec.Command("sleep", "1000")
	if err := l.Public[0].Start(cmd); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(cmd.Process.Pid)
	select {}
}

// A process that is killed leaves neither programs nor namespaces.
func TestKilledProcessLeavesNothing(t *testing.T) {
	up(t, Plan{}) // skips where there can be no lab
	self := exec.CommandContext(t.Context(), os.Args[0])
	self.Env = append(os.Environ(), doomedVar+"=1")
	out, err := self.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := self.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	if err != nil {
		t.Fatal(err)
	}
	namespace, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		t.Fatal(err)
	}
	if len(inNamespace(t, namespace)) == 0 {
		t.Errorf("nothing is in the namespace %s of process %d", namespace, pid)
	}
	if err := self.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = self.Wait()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) { // no event tells of the end of a stranger
		left := inNamespace(t, namespace)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			t.Fatalf("still in the namespace: %q", left)
		}
	}
}

// inNamespace returns which threads are in a namespace.
func inNamespace(t *testing.T, namespace string) (threads []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/task/*/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		if got, err := os.Readlink(path); err == nil && got == namespace { // an error is that it has ended
			threads = append(threads, path)
		}
	}
	return threads
}
