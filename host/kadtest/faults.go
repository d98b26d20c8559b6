package kadtest

import (
	"slices"
	"time"

	kad "github.com/go-kad/kad/host"
)

// Kill ends nodes without notice to the others, as when a process is killed. The
// operating system goes on: it ends the connections, and refuses dials. To have the whole
// machine fail, unplug the nodes first.
func (n *Network) Kill(nodes ...*Node) {
	n.t.Helper()
	for _, d := range nodes {
		n.mu.Lock()
		h := d.host
		if h != nil && d.unplugged {
			n.dark[d.id] = struct{}{}
		}
		n.mu.Unlock()
		if h == nil || !n.remove(h) {
			n.t.Fatalf("kadtest: node %s does not run", d.id)
		}
		h.shut(func(c *conn) {
			if c.link.cut.Load() != 0 {
				c.link.abandon(h)
			} else {
				c.link.end(errReset, errReset)
			}
		})
		if d.DHT != nil {
			if err := d.DHT.Close(); err != nil {
				n.t.Fatal(err)
			}
		}
		h.emit.close()
	}
}

// Restart kills nodes, if they run, and starts them again, with the same keys,
// addresses and Config. They know what the Store or Dir of that Config has kept. They have
// another host and DHT after that, without the handlers that a test has set.
func (n *Network) Restart(nodes ...*Node) {
	n.t.Helper()
	for _, d := range nodes {
		if n.Find(d.id) == d {
			n.Kill(d)
		}
		n.start(d)
	}
}

// Silence makes nodes answer nothing from now on, as when a process hangs: dials
// succeed, and streams can be opened, but no handler is called. What they ask others
// themselves goes on.
func (n *Network) Silence(nodes ...*Node) { n.set(func(d *Node) { d.host.silent.Store(true) }, nodes) }

// Unplug cuts nodes off: nothing that is sent to them arrives, nor what they send. Dials
// hang for 5s, and connections end after Config.KeepAlive, on both sides.
func (n *Network) Unplug(nodes ...*Node) { n.set(func(d *Node) { d.unplugged = true }, nodes) }

// Partition divides the network: nothing passes between nodes of different groups. The
// nodes that are in no group are together in one more. It is as with [Network.Unplug],
// and takes the place of an earlier partition.
func (n *Network) Partition(groups ...[]*Node) {
	n.set(func(d *Node) {
		d.side = 1 + slices.IndexFunc(groups, func(group []*Node) bool { return slices.Contains(group, d) })
	}, n.Nodes())
}

// Heal takes back what Silence and Unplug have done to nodes. Without nodes, it takes
// back all of that, and the partition. What was sent meanwhile, on connections that have
// lasted, arrives.
func (n *Network) Heal(nodes ...*Node) {
	all := len(nodes) == 0
	if all {
		nodes = n.Nodes()
	}
	n.set(func(d *Node) {
		d.host.silent.Store(false)
		d.unplugged = false
		if all {
			d.side = 0
		}
	}, nodes)
}

// set changes nodes that run, and cuts or mends the links between all nodes as that
// demands.
func (n *Network) set(change func(*Node), nodes []*Node) {
	n.t.Helper()
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, d := range nodes {
		if d.host == nil {
			n.t.Errorf("kadtest: node %s does not run", d.id)
			return
		}
		change(d)
	}
	for _, d := range n.order {
		for _, c := range d.host.connections() {
			switch {
			case c.remote.node.host != c.remote: // a killed node: its end is not seen yet
			case apart(d, c.remote.node):
				c.link.block()
			default:
				c.link.unblock()
			}
		}
	}
}

// Churn lets some time pass, in which nodes are replaced, each at a moment of its own:
// a new one is added with cfg, and then one that is not spared is killed.
func (n *Network) Churn(during time.Duration, replaced int, cfg kad.Config, spared ...*Node) {
	n.t.Helper()
	start := time.Now()
	moments := make([]time.Duration, replaced)
	n.mu.Lock()
	for i := range moments {
		moments[i] = time.Duration(n.rng.Int64N(int64(during)))
	}
	n.mu.Unlock()
	slices.Sort(moments)
	for _, at := range moments {
		time.Sleep(at - time.Since(start))
		n.Add(1, cfg)
		n.Kill(n.Pick(1, spared...)...)
	}
	time.Sleep(during - time.Since(start))
}
