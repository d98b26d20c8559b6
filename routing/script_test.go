package routing

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/libp2p/go-libp2p/core/peer"
)

// The scripts in testdata are behaviour as a readable diff. After a change,
// "go test -rewrite" writes what they print now; the diff is the review.

func TestTableScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/table", func(t *testing.T, path string) {
		s := &tableScript{now: epoch, cpl: make(map[string]int)}
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			out := s.run(t, d)
			s.table.check(t)
			return out
		})
	})
}

// A tableScript interprets:
//
//	table k=2 probe-after=10m check-timeout=60s per-group=2 in-total=10   a new, empty table
//	cpl 0 ann bob                       how many bits they share with us; 0 if not said
//	seen ann group=g wire=w             and failed, remove, alive, dead, postponed, update, wants
//	proof                               somebody who is not in the table answers
//	offline                             whether we are
//	pass 10m                            time goes by
//	due n=8
//	show                                buckets, least recently seen first; suspects with a question mark
//	stale age=10m, refreshed 3, join    CPLs
//	closest ann n=3
type tableScript struct {
	now   time.Time
	table *Table
	cpl   map[string]int
}

func (s *tableScript) run(t *testing.T, d *datadriven.TestData) string {
	switch d.Cmd {
	case "table":
		s.table = NewTable(KeyOf([]byte("self")), TableConfig{
			K:                arg(t, d, "k", 0),
			ProbeAfter:       duration(t, d, "probe-after"),
			CheckTimeout:     duration(t, d, "check-timeout"),
			MaxPerGroup:      arg(t, d, "per-group", 0),
			MaxPerGroupTotal: arg(t, d, "in-total", 0),
		})
		return ""
	case "cpl":
		var cpl int
		if _, err := fmt.Sscan(d.CmdArgs[0].Key, &cpl); err != nil {
			t.Fatal(err)
		}
		for _, name := range d.CmdArgs[1:] {
			s.cpl[name.Key] = cpl
		}
		return ""
	case "pass":
		s.now = s.now.Add(parseDuration(t, d.CmdArgs[0].Key))
		return ""
	case "due":
		probe, next := s.table.Due(s.now, arg(t, d, "n", 8))
		out := "probe " + list(probe) + "\n"
		if next.IsZero() {
			return out + "nothing more is due"
		}
		return out + fmt.Sprintf("again in %v", next.Sub(s.now))
	case "proof":
		proveOnline(s.table, s.now)
		return ""
	case "offline":
		return fmt.Sprint(s.table.Offline(s.now))
	case "show":
		return s.show()
	case "stale":
		return fmt.Sprint(stale(s.table, s.now, duration(t, d, "age")))
	case "join":
		return fmt.Sprint(s.table.RefreshCPLs())
	case "closest":
		got := s.table.Closest(s.contact(t, d).Key, arg(t, d, "n", 20))
		return list(got)
	}
	return s.one(t, d)
}

// one runs a command about one contact.
func (s *tableScript) one(t *testing.T, d *datadriven.TestData) string {
	c := s.contact(t, d)
	switch d.Cmd {
	case "seen":
		return s.table.Seen(s.now, c).String()
	case "remove":
		return fmt.Sprint(s.table.Remove(c))
	case "failed":
		return fmt.Sprint(s.table.Failed(s.now, c))
	case "alive", "dead":
		return fmt.Sprint(s.table.Checked(s.now, c, d.Cmd == "alive"))
	case "postponed":
		return fmt.Sprint(s.table.Postponed(s.now, c))
	case "update":
		return fmt.Sprint(s.table.Update(s.now, c))
	case "wants":
		return fmt.Sprint(s.table.Wants(c))
	}
	t.Fatalf("unknown command %q", d.Cmd)
	return ""
}

func (s *tableScript) contact(t *testing.T, d *datadriven.TestData) Contact {
	name := d.CmdArgs[0].Key
	c := at(KeyOf([]byte("self")), s.cpl[name], name)
	d.MaybeScanArgs(t, "group", &c.Group)
	var wire string
	if d.MaybeScanArgs(t, "wire", &wire); wire != "" {
		c.Wire = []byte(wire)
	}
	return c
}

func (s *tableScript) show() string {
	var out strings.Builder
	for i, b := range s.table.Buckets() {
		fmt.Fprintf(&out, "%d", b.CPL)
		if b.Last {
			out.WriteByte('+')
		}
		out.WriteByte(':')
		for _, c := range b.Contacts {
			out.WriteString(" " + string(c.ID))
			if c.Suspect {
				out.WriteString("?")
			}
		}
		if b.Pending > 0 {
			out.WriteString(" | pending:")
			for _, e := range s.table.buckets[i].pending {
				out.WriteString(" " + string(e.ID))
			}
		}
		out.WriteByte('\n')
	}
	return out.String()
}

func TestLookupScripts(t *testing.T) {
	datadriven.Walk(t, "testdata/lookup", func(t *testing.T, path string) {
		s := &lookupScript{now: epoch}
		datadriven.RunTest(t, path, s.run)
	})
}

// A lookupScript interprets:
//
//	order dan cat bob ann                   who there is, closest to the target first
//	is ann connected round-trip=50ms        also expect=200ms, doubtful, recent: as we know it
//	lookup k=20 alpha=2 seeds=(ann,bob)     also beta, paths, max-depth, slow-after
//	answer ann closer=(cat,bob)
//	fail ann, queued ann, dialled ann, connected ann
//	pass 5s                                 time goes by
//	stop, stop-path ann
//	result
//
// After each, it calls Next until that says wait or done, and prints what it
// says.
type lookupScript struct {
	now    time.Time
	order  []string
	known  map[string]Contact // what is known of some
	lookup *Lookup
}

func (s *lookupScript) run(t *testing.T, d *datadriven.TestData) string {
	var said string
	switch d.Cmd {
	case "order":
		s.order, s.known = nil, make(map[string]Contact)
		for _, a := range d.CmdArgs {
			s.order = append(s.order, a.Key)
		}
		return ""
	case "is":
		s.is(t, d)
		return ""
	case "result":
		r := s.lookup.Result()
		return fmt.Sprintf("%s: %s\n%d requests, %d failed, %d hops",
			r.End, list(r.Closest), r.Requests, r.Failed, r.Hops)
	case "lookup":
		s.lookup = NewLookup("self", Key{}, s.contacts(t, d, "seeds"), LookupConfig{
			K:         arg(t, d, "k", 0),
			Alpha:     arg(t, d, "alpha", 0),
			Beta:      arg(t, d, "beta", 0),
			Paths:     arg(t, d, "paths", 0),
			MaxDepth:  arg(t, d, "max-depth", 0),
			SlowAfter: duration(t, d, "slow-after"),
		})
	case "answer":
		said = fmt.Sprintln(s.lookup.Answered(peer.ID(d.CmdArgs[0].Key), s.contacts(t, d, "closer")))
	case "fail":
		said = fmt.Sprintln(s.lookup.Failed(peer.ID(d.CmdArgs[0].Key)))
	case "queued":
		said = fmt.Sprintln(s.lookup.Queued(peer.ID(d.CmdArgs[0].Key)))
	case "dialled":
		said = fmt.Sprintln(s.lookup.Dialled(s.now, peer.ID(d.CmdArgs[0].Key)))
	case "connected":
		said = fmt.Sprintln(s.lookup.Connected(s.now, peer.ID(d.CmdArgs[0].Key)))
	case "stop":
		s.lookup.Stop()
	case "stop-path":
		s.lookup.StopPath(peer.ID(d.CmdArgs[0].Key))
	case "pass":
		s.now = s.now.Add(parseDuration(t, d.CmdArgs[0].Key))
	default:
		t.Fatalf("unknown command %q", d.Cmd)
	}
	return said + s.next()
}

// is takes in what is known of a contact.
func (s *lookupScript) is(t *testing.T, d *datadriven.TestData) {
	c := Contact{RoundTrip: duration(t, d, "round-trip"), Expect: duration(t, d, "expect")}
	c.Connected, c.Doubtful, c.Recent = d.HasArg("connected"), d.HasArg("doubtful"), d.HasArg("recent")
	s.known[d.CmdArgs[0].Key] = c
}

func (s *lookupScript) next() string {
	var out strings.Builder
	for {
		switch a := s.lookup.Next(s.now); a.Kind {
		case Ask:
			out.WriteString("ask " + string(a.Contact.ID))
			if len(s.lookup.paths) > 1 {
				fmt.Fprintf(&out, " (path %d)", a.Path)
			}
			out.WriteByte('\n')
		case Drop:
			out.WriteString("drop " + string(a.Contact.ID) + "\n")
		case Wait:
			fmt.Fprintf(&out, "wait until +%v\n", a.Until.Sub(epoch))
			return out.String()
		case Done:
			out.WriteString("done\n")
			return out.String()
		}
	}
}

func (s *lookupScript) contacts(t *testing.T, d *datadriven.TestData, key string) []Contact {
	var out []Contact
	for _, a := range d.CmdArgs {
		if a.Key != key {
			continue
		}
		for _, name := range a.Vals {
			i := slices.Index(s.order, name)
			if i < 0 && name != "self" {
				t.Fatalf("%s is not in the order", name)
			}
			c := s.known[name]
			c.ID, c.Key = peer.ID(name), away(Key{}, uint64(i+1), name).Key
			out = append(out, c)
		}
	}
	return out
}

// list returns the names of contacts.
func list(contacts []Contact) string {
	if len(contacts) == 0 {
		return "nobody"
	}
	return strings.Join(ids(contacts), " ")
}

// arg returns a number among the arguments of d, or its default.
func arg(t *testing.T, d *datadriven.TestData, key string, value int) int {
	d.MaybeScanArgs(t, key, &value)
	return value
}

// duration returns a duration among the arguments of d, or 0.
func duration(t *testing.T, d *datadriven.TestData, key string) time.Duration {
	var s string
	if d.MaybeScanArgs(t, key, &s); s == "" {
		return 0
	}
	return parseDuration(t, s)
}

func parseDuration(t *testing.T, s string) time.Duration {
	v, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
